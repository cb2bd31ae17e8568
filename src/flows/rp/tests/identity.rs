//! Modes 2 and 3, white lists, groups of ASes.

use openssl::pkey::Private;
use openssl::rsa::{Padding, Rsa};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::crypto::accessor;
use crate::error::codes;
use crate::flows::testing::params;

const GROUP: &str = "group-1";

fn identity_params(more: Value) -> Value {
    let mut params = json!({
        "identity_namespace": "citizen_id",
        "identity_identifier_hash": hash::identifier_hash("1345951597671"),
    });
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    params
}

/// The recorded answer about both IdPs.
async fn both_idps(node: &TestNode) -> Value {
    let params = json!({"min_ial": 1.1, "min_aal": 1, "node_id_list": ["idp1", "idp2"]});
    let found = node
        .context
        .ledger
        .query("GetIdpNodesInfo", params, Some(180));
    found.await.unwrap().unwrap().as_ref().clone()
}

fn only(idps: &Value, node_id: &str) -> Value {
    let mut idps = idps.clone();
    let list = idps["node"].as_array_mut().unwrap();
    list.retain(|idp| idp["node_id"] == node_id);
    idps
}

fn body(changes: Value) -> Value {
    let mut body = testing::scenario("accept, AS sends data later")[0]["request"].clone();
    body["mode"] = json!(2);
    body["bypass_identity_check"] = json!(false);
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn rp() -> TestNode {
    let node = TestNode::new("rp1", Role::Rp);
    node.ledger.set_height(60);
    let ledger = &node.ledger;
    let code = json!({"reference_group_code": GROUP});
    ledger.answer("GetReferenceGroupCode", identity_params(json!({})), code);
    node
}

async fn created(node: &TestNode, body: Value) -> (RequestRef, Commit, Transact) {
    let input = CreateRequest::new("citizen_id", "1345951597671", body).unwrap();
    let (accept, answer) = create_request(&node.context, "rp1", input).await.unwrap();
    assert!(node.accept(&accept));
    let transact = transactions(&accept.writes).remove(0);
    let job = continuation(&transact, Fate::Committed { height: 60 });
    let Run::Commit(commit) = dispatch::run(&node.context, &job).await.unwrap() else {
        panic!("wants to run again");
    };
    node.commit(&commit);
    let of = RequestRef {
        node_id: "rp1".to_owned(),
        request_id: answer.request_id,
    };
    (of, commit, transact)
}

#[actix::test]
async fn mode_2_asks_every_idp_that_knows_the_identity() {
    let node = rp().await;
    let idps = both_idps(&node).await;
    let filters = json!({
        "min_ial": 1.1, "min_aal": 1, "node_id_list": [], "mode_list": [2],
    });
    node.ledger
        .answer("GetIdpNodesInfo", identity_params(filters), idps);
    let (_, commit, transact) = created(&node, body(json!({"idp_id_list": []}))).await;
    assert_eq!(params(&transact)["idp_id_list"], json!(["idp2", "idp1"]));
    assert_eq!(destinations(&commit), ["idp2", "idp1"]);
    let messages = sent(&commit);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["reference_group_code"], GROUP);
    assert!(messages[0].get("namespace").is_none() && messages[0].get("identifier").is_none());
}

#[actix::test]
async fn on_the_fly_names_the_person_to_idps_that_do_not_know_it() {
    let node = rp().await;
    let idps = both_idps(&node).await;
    let listed = json!(["idp1", "idp2"]);
    let all = json!({"min_aal": 1, "node_id_list": listed});
    node.ledger.answer("GetIdpNodesInfo", all, idps.clone());
    let knowing = json!({"min_aal": 1, "node_id_list": listed, "mode_list": [2]});
    let knowing = identity_params(knowing);
    node.ledger
        .answer("GetIdpNodesInfo", knowing, only(&idps, "idp1"));
    let bypassed = json!({"idp_id_list": listed, "bypass_identity_check": true, "mode": 3});
    let (_, commit, _) = created(&node, body(bypassed)).await;
    assert_eq!(destinations(&commit), ["idp1", "idp2"]);
    let messages = sent(&commit);
    assert_eq!(messages[0]["reference_group_code"], GROUP);
    assert_eq!(messages[1]["namespace"], "citizen_id");
    assert_eq!(messages[1]["identifier"], "1345951597671");
    assert!(messages[1].get("reference_group_code").is_none());
}

async fn refusal(node: &TestNode, body: Value) -> crate::error::Code {
    let input = CreateRequest::new("citizen_id", "1345951597671", body).unwrap();
    let result = create_request(&node.context, "rp1", input).await;
    result.unwrap_err().code()
}

async fn node_info(node: &TestNode, node_id: &str) -> Value {
    let params = json!({"node_id": node_id});
    let found = node.context.ledger.query("GetNodeInfo", params, Some(180));
    found.await.unwrap().unwrap().as_ref().clone()
}

async fn set_whitelist(node: &TestNode, node_id: &str, list: Value) {
    let mut info = node_info(node, node_id).await;
    info["node_id_whitelist_active"] = json!(true);
    info["node_id_whitelist"] = list;
    let params = json!({"node_id": node_id});
    node.ledger.answer("GetNodeInfo", params, info);
}

#[actix::test]
async fn white_lists_of_both_sides_are_heeded() {
    let mode_1 = |list: Value| body(json!({"mode": 1, "idp_id_list": list}));
    let node = rp().await;
    set_whitelist(&node, "rp1", json!(["idp2"])).await;
    let code = refusal(&node, mode_1(json!(["idp1"]))).await;
    assert_eq!(code, codes::NOT_IN_WHITELIST);

    set_whitelist(&node, "rp1", json!(["idp1"])).await;
    let (_, commit, _) = created(&node, mode_1(json!([]))).await;
    assert_eq!(
        destinations(&commit),
        ["idp1"],
        "stands in for an empty list"
    );

    let node = rp().await;
    set_whitelist(&node, "idp1", json!(["rp2"])).await;
    let code = refusal(&node, mode_1(json!(["idp1"]))).await;
    assert_eq!(code, codes::NOT_IN_WHITELIST);
    set_whitelist(&node, "idp1", json!(["rp1"])).await;
    created(&node, mode_1(json!(["idp1"]))).await;
}

#[actix::test]
async fn idps_without_an_address_do_not_count() {
    let node = rp().await;
    let mut idps = both_idps(&node).await;
    idps["node"][1]["mq"] = Value::Null;
    let params = json!({"min_ial": 1.1, "min_aal": 1, "node_id_list": ["idp1", "idp2"]});
    node.ledger.answer("GetIdpNodesInfo", params, idps);
    let listed = body(json!({"mode": 1, "idp_id_list": ["idp1", "idp2"]}));
    assert_eq!(refusal(&node, listed).await, codes::UNQUALIFIED_IDP);
}

#[actix::test]
async fn a_data_url_asks_for_idps_that_can_show_it() {
    let node = rp().await;
    let params = json!({
        "min_ial": 1.1, "min_aal": 1, "node_id_list": ["idp1"],
        "supported_request_message_data_url_type_list": ["application/pdf"],
    });
    node.ledger.answer("GetIdpNodesInfo", params, Value::Null);
    let pdf = json!({"mode": 1, "request_message": "data:application/pdf;base64,AAAA"});
    assert_eq!(refusal(&node, body(pdf)).await, codes::NO_IDP_FOUND);
    let blank = json!({"mode": 1, "request_message": "data:application/pdf;base64,AA AA"});
    assert_eq!(
        refusal(&node, body(blank)).await,
        codes::DATA_URL_BASE64_MUST_NOT_CONTAIN_WHITESPACES
    );
}

/// A user of an IdP: a key and its accessor.
struct User {
    key: Rsa<Private>,
    accessor_id: &'static str,
}

impl User {
    fn of(node: &TestNode, accessor_id: &'static str, idp_id: &str) -> Self {
        let key = Rsa::generate(2048).unwrap();
        let pem = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
        let by_id = json!({"accessor_id": accessor_id});
        let accessor = json!({
            "accessor_public_key": pem, "accessor_type": "RSA", "active": true,
            "owner_node_id": idp_id, "creation_block_height": 1, "creation_chain_id": "c",
        });
        let ledger = &node.ledger;
        ledger.answer("GetAccessorKey", by_id.clone(), accessor);
        let code = json!({"reference_group_code": GROUP});
        ledger.answer("GetReferenceGroupCodeByAccessorID", by_id, code);
        let declared = json!({"ial": 2.3, "lial": null, "laal": null, "mode_list": [2]});
        let of_idp = identity_params(json!({"node_id": idp_id}));
        ledger.answer("GetIdentityInfo", of_idp, declared);
        Self { key, accessor_id }
    }

    /// The IdP's answer with this user's signature.
    fn answer(&self, request: &RequestRecord, idp_id: &str) -> Value {
        let pem = String::from_utf8(self.key.public_key_to_pem().unwrap()).unwrap();
        let padded = accessor::padded_hash(
            &request.request_message,
            &request.initial_salt,
            &request.request_id,
            &pem,
        )
        .unwrap();
        let padded = STANDARD.decode(padded).unwrap();
        let mut signature = vec![0; 256];
        self.key
            .private_encrypt(&padded, &mut signature, Padding::NONE)
            .unwrap();
        let mut answer = accepted_by(idp_id);
        answer["signature"] = json!(STANDARD.encode(signature));
        answer
    }
}

/// A mode 2 request to both IdPs, both must answer.
async fn mode_2() -> Play {
    let node = rp().await;
    let idps = both_idps(&node).await;
    let listed = json!(["idp1", "idp2"]);
    let filters = json!({
        "min_ial": 1.1, "min_aal": 1, "node_id_list": listed, "mode_list": [2],
    });
    node.ledger
        .answer("GetIdpNodesInfo", identity_params(filters), idps);
    let (of, _, _) = created(&node, body(json!({"idp_id_list": listed, "min_idp": 2}))).await;
    let play = Play {
        node,
        records: Vec::new(),
        of,
    };
    play.set(60, vec![]);
    play
}

impl Play {
    fn set(&self, height: u64, answers: Vec<Value>) {
        let changes = json!({
            "mode": 2, "min_idp": 2, "response_list": answers,
            "data_request_list": [service(json!([]))],
        });
        let detail = detail(&self.of, changes);
        self.node
            .ledger
            .request_from(&self.of.request_id, height, detail);
    }

    async fn told(&self, idp_id: &str, user: &User, height: u64) -> Commit {
        let mut message = self.idp_message(idp_id, height);
        message.mode = Some(2);
        message.accessor_id = Some(user.accessor_id.to_owned());
        self.idp_response(message).await
    }
}

fn flags(body: &Value) -> Vec<(Value, Value)> {
    let answers = body["response_list"].as_array().unwrap();
    answers
        .iter()
        .map(|answer| {
            (
                answer["valid_signature"].clone(),
                answer["valid_ial"].clone(),
            )
        })
        .collect()
}

#[actix::test]
async fn valid_answers_lead_to_data_requests_with_all_accessors() {
    let play = mode_2().await;
    let first = User::of(&play.node, "accessor-1", "idp1");
    let second = User::of(&play.node, "accessor-2", "idp2");
    let request = play.stored().await.unwrap().request;
    let one = first.answer(&request, "idp1");
    let two = second.answer(&request, "idp2");
    play.set(70, vec![one.clone()]);
    play.set(71, vec![one, two]);
    let commit = play.told("idp1", &first, 70).await;
    assert_eq!(flags(&bodies(&commit)[0]), [(json!(true), json!(true))]);
    assert!(destinations(&commit).is_empty());
    let commit = play.told("idp2", &second, 71).await;
    assert_eq!(flags(&bodies(&commit)[0]).len(), 2);
    assert_eq!(destinations(&commit), ["as1"]);
    assert_eq!(
        sent(&commit)[0]["response_private_data_list"],
        json!([
            {"idp_id": "idp1", "accessor_id": "accessor-1"},
            {"idp_id": "idp2", "accessor_id": "accessor-2"},
        ])
    );
}

#[actix::test]
async fn answers_of_one_block_are_reported_when_both_are_judged() {
    let play = mode_2().await;
    let first = User::of(&play.node, "accessor-1", "idp1");
    let second = User::of(&play.node, "accessor-2", "idp2");
    let request = play.stored().await.unwrap().request;
    let both = vec![
        first.answer(&request, "idp1"),
        second.answer(&request, "idp2"),
    ];
    play.set(70, both);
    let commit = play.told("idp2", &second, 70).await;
    assert!(commit.jobs.is_empty());
    assert!(play.block(70, false).await.jobs.is_empty());
    let commit = play.told("idp1", &first, 70).await;
    let valid = (json!(true), json!(true));
    assert_eq!(flags(&bodies(&commit)[0]), [valid.clone(), valid]);
    assert_eq!(destinations(&commit), ["as1"]);
}

#[actix::test]
async fn an_answer_whose_message_is_late_is_shown_without_verdict_and_made_up_for() {
    let play = mode_2().await;
    let first = User::of(&play.node, "accessor-1", "idp1");
    let second = User::of(&play.node, "accessor-2", "idp2");
    let request = play.stored().await.unwrap().request;
    let one = first.answer(&request, "idp1");
    play.set(70, vec![one.clone()]);
    play.set(71, vec![one, second.answer(&request, "idp2")]);
    let commit = play.told("idp2", &second, 71).await;
    let unknown = (Value::Null, Value::Null);
    let valid = (json!(true), json!(true));
    assert_eq!(flags(&bodies(&commit)[0]), [unknown, valid.clone()]);
    assert!(destinations(&commit).is_empty());
    let commit = play.told("idp1", &first, 70).await;
    assert_eq!(flags(&bodies(&commit)[0]), [valid]);
    assert_eq!(destinations(&commit), ["as1"], "both are known now");
    assert_eq!(sent(&commit)[0]["height"], 71);
}

#[actix::test]
async fn an_invalid_answer_stops_data_requests_but_not_the_status() {
    let play = mode_2().await;
    let first = User::of(&play.node, "accessor-1", "idp1");
    let second = User::of(&play.node, "accessor-2", "idp2");
    let request = play.stored().await.unwrap().request;
    let one = first.answer(&request, "idp1");
    let mut forged = second.answer(&request, "idp2");
    forged["signature"] = one["signature"].clone();
    forged["ial"] = json!(3);
    play.set(70, vec![one.clone()]);
    play.set(71, vec![one, forged]);
    play.told("idp1", &first, 70).await;
    let commit = play.told("idp2", &second, 71).await;
    let invalid = (json!(false), json!(false));
    assert_eq!(flags(&bodies(&commit)[0])[1], invalid);
    assert!(destinations(&commit).is_empty());
    assert_eq!(
        play.stored().await.unwrap().validity.to_list(),
        [
            json!({"idp_id": "idp1", "valid_signature": true, "valid_ial": true}),
            json!({"idp_id": "idp2", "valid_signature": false, "valid_ial": false}),
        ]
    );
}

#[actix::test]
async fn an_accessor_of_somebody_else_is_not_valid() {
    let play = mode_2().await;
    let user = User::of(&play.node, "accessor-1", "idp1");
    let request = play.stored().await.unwrap().request;
    play.set(70, vec![user.answer(&request, "idp1")]);
    let of_another = json!({"reference_group_code": "group-2"});
    play.node.ledger.answer(
        "GetReferenceGroupCodeByAccessorID",
        json!({"accessor_id": "accessor-1"}),
        of_another,
    );
    let commit = play.told("idp1", &user, 70).await;
    assert_eq!(flags(&bodies(&commit)[0]), [(json!(false), json!(true))]);
}

#[actix::test]
async fn ases_with_the_same_services_share_a_message() {
    let node = rp().await;
    let params = json!({"service_id": "bank_statement", "node_id_list": ["as1"]});
    let found = node
        .context
        .ledger
        .query("GetAsNodesInfoByServiceId", params, None);
    let info = found.await.unwrap().unwrap()["node"][0].clone();
    let receiver = |node_id: &str| {
        let mut info = info.clone();
        info["node_id"] = json!(node_id);
        let info = serde_json::from_value(info).unwrap();
        super::super::receivers::of_as(info).unwrap()
    };
    let providers = [
        vec![receiver("as1"), receiver("as2"), receiver("as3")],
        vec![receiver("as2"), receiver("as3")],
        vec![],
    ];
    let groups: Vec<(Vec<usize>, Vec<String>)> = super::super::data_request::groups(&providers)
        .into_iter()
        .map(|group| {
            let receivers = group.receivers.into_iter().map(|one| one.node_id);
            (group.services, receivers.collect())
        })
        .collect();
    assert_eq!(
        groups,
        [
            (vec![0], vec!["as1".to_owned()]),
            (vec![0, 1], vec!["as2".to_owned(), "as3".to_owned()]),
        ]
    );
}
