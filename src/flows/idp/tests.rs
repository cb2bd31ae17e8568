use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::response_created::{Answered, Content};
use super::*;
use crate::context::Role;
use crate::crypto::{hash, test_key};
use crate::delivery::callback::{Callback, Persistence, Target};
use crate::delivery::contract::{ContractClient, run_fetch};
use crate::delivery::dcontract::Contract;
use crate::delivery::transaction::{Continuation, Fate, Transact};
use crate::delivery::{callback, contract, dcontract, message};
use crate::flows::reply::Reply;
use crate::flows::testing::{
    self, TestNode, callbacks, continuation, message_job, of_kind, params, scenario, transactions,
};
use crate::flows::{RequestUpdate, idp, replay_tests};
use crate::job::{Commit, JobOutcome, NewJob, Pool, Run, Table, Write, codec};
use crate::messaging::to_role;
use crate::mq::OutboundMessage;

const GROUP: &str = "aaaaa-bbbbb";
const ACCESSOR: &str = "11267a29-2196-4400-8b67-7424519b87ec";

fn idp() -> TestNode {
    let node = TestNode::new("idp1", Role::Idp);
    let url = json!({
        "incoming_request_url": "http://127.0.0.1:9800/idp",
        "error_url": "http://127.0.0.1:9800/idp",
    });
    let urls = crate::flows::node::set_callback_urls("idp", url.as_object().unwrap());
    node.state.apply(&urls);
    node
}

/// The consent request of the first scenario, with the height it came at.
fn recorded_request() -> ConsentRequest {
    let records = scenario("accept, AS sends data later");
    let incoming = records
        .iter()
        .find(|record| record["body"]["type"] == "incoming_request");
    replay_tests::consent_request(&incoming.unwrap()["body"])
}

async fn receive(node: &TestNode, request: &ConsentRequest) -> Commit {
    node.ledger.set_height(request.height);
    let message = Message::ConsentRequest(request.clone());
    let job = message_job(to_role::CONSENT_REQUEST, "idp1", &message);
    let commit = consent_request::handle(&node.context, &job).await.unwrap();
    node.commit(&commit);
    commit
}

/// A mode 2 request that the ledger knows, and whose accessor key is the test key.
fn mode_2_request(node: &TestNode) -> ConsentRequest {
    let mut request = recorded_request();
    request.mode = 2;
    request.namespace = None;
    request.identifier = None;
    request.reference_group_code = Some(GROUP.to_owned());
    request.request_id = "ab".repeat(32);
    let hash = hash::request_message_hash(&request.request_message, &request.request_message_salt);
    let detail = detail(&request, &hash, 1, &["idp1"], json!([]));
    node.ledger.request_from(&request.request_id, 0, detail);
    node.ledger.answer(
        "GetIdentityInfo",
        json!({"reference_group_code": GROUP, "node_id": "idp1"}),
        json!({"ial": 2.3, "lial": null, "laal": null, "mode_list": [2, 3]}),
    );
    accessor_on_ledger(node, ACCESSOR, GROUP, true);
    request
}

fn detail(
    request: &ConsentRequest,
    hash: &str,
    min_idp: u64,
    idp_ids: &[&str],
    responses: Value,
) -> Value {
    json!({
        "request_id": request.request_id, "min_idp": min_idp, "min_aal": 1, "min_ial": 1.1,
        "request_timeout": 86400, "idp_id_list": idp_ids, "data_request_list": [],
        "request_message_hash": hash, "response_list": responses, "closed": false,
        "timed_out": false, "purpose": "", "mode": request.mode, "request_type": null,
        "requester_node_id": "rp1", "creation_block_height": request.height,
        "creation_chain_id": "test-chain-NDID",
    })
}

fn accessor_on_ledger(node: &TestNode, accessor_id: &str, group: &str, active: bool) {
    let params = json!({"accessor_id": accessor_id});
    node.ledger.answer(
        "GetReferenceGroupCodeByAccessorID",
        params.clone(),
        json!({"reference_group_code": group}),
    );
    node.ledger.answer(
        "GetAccessorKey",
        params,
        json!({
            "accessor_public_key": test_key::public_pem(), "accessor_type": "RSA",
            "active": active, "owner_node_id": "idp1", "creation_block_height": 1,
            "creation_chain_id": "test-chain-NDID",
        }),
    );
}

fn user_signature(request: &ConsentRequest) -> String {
    replay_tests::user_signature(
        &request.request_message,
        &request.initial_salt,
        &request.request_id,
    )
}

fn answer(request: &ConsentRequest, members: Value) -> respond::Answer {
    let mut body = json!({
        "reference_id": "ref", "callback_url": "http://127.0.0.1:9800/idp",
        "request_id": request.request_id, "ial": 2.3, "aal": 3, "status": "accept",
        "signature": "Some signature",
    });
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

async fn refusal_of(node: &TestNode, answer: &respond::Answer) -> u32 {
    let refused = respond::respond(&node.context, "idp1", answer).await;
    refused.unwrap_err().code().number
}

fn is_error(body: &Value, action: &str, request_id: &str, code: u32) -> bool {
    *body
        == json!({
            "node_id": "idp1", "type": "error", "action": action, "request_id": request_id,
            "error": {"code": code, "message": body["error"]["message"]},
        })
}

#[tokio::test]
async fn a_request_that_does_not_match_the_ledger_is_kept_but_not_shown() {
    type Change = fn(&mut ConsentRequest);
    let changes: [(&str, Change); 4] = [
        ("text", |request| request.request_message.push('!')),
        ("identifier", |request| {
            request.identifier = Some("1".to_owned());
        }),
        ("salt", |request| request.initial_salt.push('A')),
        ("no identity", |request| request.namespace = None),
    ];
    for (what, change) in changes {
        let node = idp();
        let mut request = recorded_request();
        change(&mut request);
        let commit = receive(&node, &request).await;
        let made = callbacks(&commit.jobs);
        let [(target, body)] = made.as_slice() else {
            panic!("{what}: {made:?}");
        };
        assert!(matches!(target, Target::Setting { name, .. } if name == "error_url"));
        assert!(
            is_error(body, "idp.processMessage", &request.request_id, 10025),
            "{what}: {body}"
        );
        assert_eq!(node.state.names(Table::ConsentRequest).len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_request_of_somebody_else_than_the_requester_is_not_kept() {
    let node = idp();
    let mut forged = recorded_request();
    forged.rp_id = "as1".to_owned();
    let commit = receive(&node, &forged).await;
    let body = &callbacks(&commit.jobs)[0].1;
    assert!(is_error(
        body,
        "idp.processMessage",
        &forged.request_id,
        10025
    ));
    assert_eq!(
        node.state.names(Table::ConsentRequest),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn an_answer_goes_to_the_requester_whatever_is_received_after_its_request() {
    let node = idp();
    let request = recorded_request();
    receive(&node, &request).await;
    let mut sent_on = request.clone();
    sent_on.rp_id = "as1".to_owned();
    let mut another_text = request.clone();
    another_text.request_message.push('!');
    for forged in [sent_on, another_text] {
        let commit = receive(&node, &forged).await;
        assert_eq!(callbacks(&commit.jobs)[0].1["error"]["code"], 10025);
    }
    let record = row("idp1", &request.request_id);
    let kept = state::load(&node.context, Table::ConsentRequest, &record, "").await;
    let kept: Option<Message> = kept.unwrap();
    assert_eq!(kept, Some(Message::ConsentRequest(request.clone())));

    let accept = respond::respond(&node.context, "idp1", &answer(&request, json!({}))).await;
    let transact = transactions(&accept.unwrap().writes).remove(0);
    let job = continuation(&transact, Fate::Committed { height: 58 });
    let commit = response_created::handle(&node.context, &job).await.unwrap();
    let sent = of_kind(&commit.jobs, message::DELIVER).remove(0);
    let sent: OutboundMessage = codec::decode(&sent.payload).unwrap();
    assert_eq!(sent.destination_node_id, "rp1");
}

#[tokio::test]
async fn a_request_that_asks_other_idps_is_not_shown() {
    let node = idp();
    let request = recorded_request();
    node.ledger.set_height(request.height);
    let job = message_job(
        to_role::CONSENT_REQUEST,
        "idp2",
        &Message::ConsentRequest(request.clone()),
    );
    let commit = consent_request::handle(&node.context, &job).await.unwrap();
    let made = callbacks(&commit.jobs);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].1["error"]["code"], 10025);
}

#[tokio::test]
async fn a_request_that_has_ended_leaves_nothing() {
    let node = idp();
    let mut request = recorded_request();
    request.height = 64;
    assert_eq!(receive(&node, &request).await, Commit::nothing());
}

#[tokio::test]
async fn a_request_without_a_url_to_tell_can_still_be_answered() {
    let node = TestNode::new("idp1", Role::Idp);
    let request = recorded_request();
    let commit = receive(&node, &request).await;
    assert_eq!(commit.jobs, vec![]);
    let accept = respond::respond(&node.context, "idp1", &answer(&request, json!({}))).await;
    let made = transactions(&accept.unwrap().writes);
    assert_eq!(
        params(&made[0]),
        json!({
            "request_id": request.request_id, "aal": 3, "ial": 2.3, "status": "accept",
            "signature": "Some signature",
        })
    );
    assert_eq!(made[0].method, "CreateIdpResponse");
    assert!(made[0].resend_when_disabled && !made[0].retry_on_shortage);
    let then = made[0].then.as_ref().unwrap();
    assert_eq!(then.key, crate::job::request_key(&request.request_id));
}

#[tokio::test]
async fn a_ledger_that_cannot_be_reached_makes_the_job_wait() {
    let node = idp();
    let request = recorded_request();
    node.ledger.set_unavailable(true);
    let message = Message::ConsentRequest(request);
    let job = message_job(to_role::CONSENT_REQUEST, "idp1", &message);
    let error = consent_request::handle(&node.context, &job)
        .await
        .unwrap_err();
    assert!(error.is_temporary());
}

#[tokio::test]
async fn a_known_identity_is_shown_as_its_group() {
    let node = idp();
    let request = mode_2_request(&node);
    let commit = receive(&node, &request).await;
    let made = callbacks(&commit.jobs);
    let body = &made[0].1;
    assert_eq!(body["type"], "incoming_request");
    assert_eq!(body["reference_group_code"], GROUP);
    assert!(body.get("namespace").is_none() && body.get("identifier").is_none());
}

#[tokio::test]
async fn f39_f40_the_client_is_told_of_a_request_as_long_as_it_can_be_answered() {
    let node = idp();
    let request = mode_2_request(&node);
    let commit = receive(&node, &request).await;
    // F40: request and callback are stored in one step.
    let stored = |write: &Write| {
        matches!(
            write,
            Write::Put {
                table: Table::ConsentRequest,
                ..
            }
        )
    };
    assert!(commit.writes.iter().any(stored), "{commit:?}");
    let job = of_kind(&commit.jobs, callback::DELIVER).remove(0);
    let callback: Callback = codec::decode(&job.payload).unwrap();
    let request_id = request.request_id.clone();
    assert_eq!(
        callback.persistence,
        Persistence::UntilRequestEnds { request_id }
    );
}

#[tokio::test]
async fn an_answer_in_mode_2_needs_the_users_signature() {
    let node = idp();
    let request = mode_2_request(&node);
    receive(&node, &request).await;
    let signature = user_signature(&request);
    let good = json!({"accessor_id": ACCESSOR, "signature": signature});

    let accept = respond::respond(&node.context, "idp1", &answer(&request, good.clone())).await;
    assert_eq!(transactions(&accept.unwrap().writes).len(), 1);

    let refused = |change: Value| {
        let mut members = good.clone();
        for (name, value) in change.as_object().unwrap() {
            members[name] = value.clone();
        }
        answer(&request, members)
    };
    accessor_on_ledger(&node, "other group", "ccccc-ddddd", true);
    accessor_on_ledger(&node, "revoked", GROUP, false);
    for (change, code) in [
        (json!({"accessor_id": null}), 20014),
        (json!({"accessor_id": "other group"}), 20077),
        (json!({"accessor_id": "revoked"}), 20011),
        (json!({"ial": 2.1}), 20060),
        (json!({"signature": "Some signature"}), 20028),
        (json!({"ial": 9}), 20094),
        (json!({"aal": 9}), 20095),
    ] {
        assert_eq!(refusal_of(&node, &refused(change)).await, code);
    }
}

#[tokio::test]
async fn an_answer_about_an_unknown_identity_is_refused() {
    let node = idp();
    let mut request = mode_2_request(&node);
    request.reference_group_code = None;
    request.namespace = Some("citizen_id".to_owned());
    request.identifier = Some("1345951597671".to_owned());
    receive(&node, &request).await;
    let identity = json!({
        "identity_namespace": "citizen_id",
        "identity_identifier_hash": hash::identifier_hash("1345951597671"),
    });
    node.ledger
        .answer("GetReferenceGroupCode", identity.clone(), Value::Null);
    let answer = answer(&request, json!({"accessor_id": ACCESSOR}));
    assert_eq!(refusal_of(&node, &answer).await, 20020);

    node.ledger.answer(
        "GetReferenceGroupCode",
        identity,
        json!({"reference_group_code": GROUP}),
    );
    let here = json!({"reference_group_code": GROUP, "node_id": "idp1"});
    node.ledger
        .answer("GetIdentityInfo", here.clone(), Value::Null);
    assert_eq!(refusal_of(&node, &answer).await, 20071);
    let mode_3_only = json!({"ial": 2.3, "lial": null, "laal": null, "mode_list": [3]});
    node.ledger.answer("GetIdentityInfo", here, mode_3_only);
    assert_eq!(refusal_of(&node, &answer).await, 20065);
}

#[tokio::test]
async fn no_more_answers_are_taken_than_can_count() {
    let node = idp();
    let request = mode_2_request(&node);
    receive(&node, &request).await;
    let accepted = json!({"idp_id": "idp2", "ial": 2.3, "aal": 3, "status": "accept",
        "signature": "x", "valid_ial": null, "valid_signature": null});
    let error = json!({"idp_id": "idp2", "error_code": 10101, "valid_ial": null,
        "valid_signature": null});
    let answer = answer(&request, json!({}));
    for (min_idp, responses) in [(1, json!([accepted])), (2, json!([error]))] {
        let detail = detail(&request, "", min_idp, &["idp1", "idp2"], responses);
        node.ledger.request_from(&request.request_id, 0, detail);
        assert_eq!(refusal_of(&node, &answer).await, 20081);
    }
}

#[tokio::test]
async fn an_answer_to_a_request_never_received_is_refused() {
    let node = idp();
    let request = mode_2_request(&node);
    let answer = answer(&request, json!({}));
    assert_eq!(refusal_of(&node, &answer).await, 20038);
}

#[tokio::test]
async fn an_unregistered_error_code_is_refused() {
    let node = idp();
    let request = recorded_request();
    receive(&node, &request).await;
    let answer = error_response::ErrorAnswer {
        reply: answer(&request, json!({})).reply,
        request_id: request.request_id.clone(),
        error_code: 99,
    };
    let refused = error_response::respond_with_error(&node.context, "idp1", &answer).await;
    assert_eq!(refused.unwrap_err().code().number, 20078);
}

#[tokio::test]
async fn the_padded_hash_is_given_for_open_requests_of_mode_2_and_3_only() {
    let node = idp();
    let request = mode_2_request(&node);
    let hash_of = async |request_id: &str, accessor_id: &str| {
        padded_hash::padded_hash(&node.context, "idp1", request_id, accessor_id).await
    };
    let code = |error: Error| error.code().number;
    let early = hash_of(&request.request_id, ACCESSOR).await;
    assert_eq!(code(early.unwrap_err()), 20038);
    receive(&node, &request).await;
    assert_eq!(
        hash_of(&request.request_id, ACCESSOR).await.unwrap().len(),
        344
    );
    accessor_on_ledger(&node, "revoked", GROUP, false);
    let revoked = hash_of(&request.request_id, "revoked").await;
    assert_eq!(code(revoked.unwrap_err()), 20011);
    let mode_1 = recorded_request();
    let mode_1 = hash_of(&mode_1.request_id, ACCESSOR).await;
    assert_eq!(code(mode_1.unwrap_err()), 20075);
}

fn settled(content: Content, rp_id: &str, fate: Fate, reply: Option<Reply>) -> crate::job::Job {
    let answered = Answered {
        node_id: "idp1".to_owned(),
        request_id: "ab".repeat(32),
        rp_id: rp_id.to_owned(),
        content,
        reply,
        call: None,
    };
    let then = Continuation::new(idp::response_created::KIND, "key".to_owned(), &answered);
    let transact = Transact::new("idp1", "CreateIdpResponse", &json!({}), Some(then));
    continuation(&transact, fate)
}

fn reply() -> Option<Reply> {
    Some(Reply {
        reference_id: "ref".to_owned(),
        callback_url: "http://127.0.0.1:9800/idp".to_owned(),
    })
}

fn sent_messages(commit: &Commit) -> Vec<Value> {
    let mut sent = Vec::new();
    for write in &commit.writes {
        if let crate::job::Write::Put {
            table: Table::PrivateMessage,
            value,
            ..
        } = write
        {
            let record: Value = serde_json::from_slice(value).unwrap();
            sent.push(record["message"].clone());
        }
    }
    sent
}

#[tokio::test]
async fn the_rp_is_told_of_an_answer_that_is_on_the_ledger() {
    let node = idp();
    node.ledger.set_height(58);
    let content = Content::Answer {
        mode: 1,
        accessor_id: None,
    };
    let job = settled(content, "rp1", Fate::Committed { height: 58 }, reply());
    let commit = response_created::handle(&node.context, &job).await.unwrap();
    assert_eq!(
        sent_messages(&commit),
        vec![json!({
            "type": "idp_response", "request_id": "ab".repeat(32), "mode": 1, "idp_id": "idp1",
            "chain_id": "test-chain-NDID", "height": 58,
        })]
    );
    assert_eq!(of_kind(&commit.jobs, message::DELIVER).len(), 1);
    let error = settled(
        Content::Error(10101),
        "rp1",
        Fate::Committed { height: 58 },
        reply(),
    );
    let commit = response_created::handle(&node.context, &error)
        .await
        .unwrap();
    assert_eq!(
        sent_messages(&commit),
        vec![json!({
            "type": "idp_response", "request_id": "ab".repeat(32), "idp_id": "idp1",
            "error_code": 10101, "chain_id": "test-chain-NDID", "height": 58,
        })]
    );
}

#[tokio::test]
async fn an_answer_on_the_ledger_is_a_success_though_the_rp_cannot_be_told() {
    let node = idp();
    let content = Content::Error(10101);
    let job = settled(content, "nobody", Fate::Committed { height: 58 }, reply());
    node.ledger.set_height(181);
    let commit = response_created::handle(&node.context, &job).await.unwrap();
    let made: BTreeMap<String, Value> = callbacks(&commit.jobs)
        .into_iter()
        .map(|(_, body)| (body["type"].as_str().unwrap().to_owned(), body))
        .collect();
    assert_eq!(made["response_result"]["success"], true);
    assert_eq!(made["error"]["error"]["code"], 10032);

    node.ledger.set_unavailable(true);
    let error = response_created::handle(&node.context, &job)
        .await
        .unwrap_err();
    assert!(error.is_temporary(), "it is told once the ledger is back");
}

/// An HTTP server on loopback that answers everything with this.
async fn documents(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 2048];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

const DOCUMENT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\ncontract";
const MISSING: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn contract_request(text: &str) -> ConsentRequest {
    let mut request = recorded_request();
    request.request_id = "cd".repeat(32);
    request.request_type = Some("dsign.dcontract".to_owned());
    request.request_message = text.to_owned();
    request
}

/// A contract comes; the job that fetches its documents, if there is one.
async fn receive_contract(node: &TestNode, text: &str) -> Commit {
    let request = contract_request(text);
    let hash = hash::request_message_hash(text, &request.request_message_salt);
    let detail = detail(&request, &hash, 1, &["idp1"], json!([]));
    node.ledger.request_from(&request.request_id, 0, detail);
    receive(node, &request).await
}

/// Runs what follows until nothing is left to be fetched; the last commit.
async fn check_contract(node: &TestNode, commit: Commit) -> Commit {
    let client = ContractClient::new(&node.context.config).unwrap();
    let mut commit = commit;
    loop {
        let mut jobs = commit.jobs.iter();
        let next = jobs.find(|job| [contract::FETCH, dcontract::CHECKED].contains(&job.kind));
        let Some(next) = next.cloned().map(testing::job) else {
            return commit;
        };
        commit = match next.kind() == contract::FETCH {
            true => match run_fetch(&node.context, &client, &next).await {
                Ok(Run::Commit(commit)) => commit,
                other => panic!("{other:?}"),
            },
            false => contract_checked::handle(&node.context, &next)
                .await
                .unwrap(),
        };
        node.commit(&commit);
    }
}

#[tokio::test]
async fn a_contract_is_shown_when_every_document_is_the_agreed_one() {
    let node = idp();
    let url = documents(DOCUMENT).await;
    let hash = hex::encode(hash::sha256(&["contract"])).to_uppercase();
    let text = format!("Please sign\n{url}/a/{hash}\nand\n{url}/b/{hash}?x=1");
    let received = receive_contract(&node, &text).await;
    assert_eq!(
        callbacks(&received.jobs),
        vec![],
        "not before it is verified"
    );
    let commit = check_contract(&node, received).await;
    let made = callbacks(&commit.jobs);
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0].1["type"], "incoming_request");
}

#[tokio::test]
async fn a_contract_that_cannot_be_verified_is_answered_by_the_node_itself() {
    let good = documents(DOCUMENT).await;
    let missing = documents(MISSING).await;
    let hash = hex::encode(hash::sha256(&["contract"]));
    let wrong = hex::encode(hash::sha256(&["another contract"]));
    for text in [
        "no document".to_owned(),
        format!("{good}/{hash}\n{good}/{wrong}"),
        format!("{missing}/{hash}"),
        format!("http://127.0.0.1:1/{hash}"),
        "http://".to_owned(),
    ] {
        let node = idp();
        let received = receive_contract(&node, &text).await;
        let commit = check_contract(&node, received).await;
        let request_id = contract_request(&text).request_id;
        let made = callbacks(&commit.jobs);
        assert_eq!(made.len(), 1, "{text}: {made:?}");
        assert!(is_error(
            &made[0].1,
            "idp.processMessage",
            &request_id,
            10025
        ));
        let sent = transactions(&commit.writes);
        let expected = json!({"request_id": request_id, "error_code": 31000});
        assert_eq!(params(&sent[0]), expected);
        assert!(sent[0].resend_when_disabled);
        let told = continuation(&sent[0], Fate::Committed { height: 60 });
        let commit = response_created::handle(&node.context, &told).await;
        let commit = commit.unwrap();
        assert_eq!(callbacks(&commit.jobs), vec![], "{text}");
        assert_eq!(sent_messages(&commit)[0]["error_code"], 31000);
    }
}

#[tokio::test]
async fn documents_are_fetched_by_deliveries_to_their_hosts() {
    let node = idp();
    let text = "http://tarpit.example/a\nhttps://other.example/b\nhttp://tarpit.example:80/c";
    let commit = receive_contract(&node, text).await;
    let [fetch] = commit.jobs.as_slice() else {
        panic!("{:?}", commit.jobs);
    };
    assert_eq!(fetch.kind.pool(), Pool::Delivery);
    assert_eq!(fetch.receiver(), Some("contract:tarpit.example:80"));
    let contract: Contract = codec::decode(&fetch.payload).unwrap();
    let places = contract.places(&node.context).await.unwrap().unwrap();
    assert_eq!(places.len(), 2);
    let next = contract.fetch(&places[1]);
    assert_eq!(next.receiver(), Some("contract:other.example:443"));
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_told_to_the_dispatcher_and_the_contract_is_refused() {
    let node = idp();
    let received = receive_contract(&node, "http://127.0.0.1:1/hash").await;
    let client = ContractClient::new(&node.context.config).unwrap();
    let fetch = testing::job(received.jobs[0].clone());
    let run = run_fetch(&node.context, &client, &fetch).await.unwrap();
    let Run::Commit(commit) = run else {
        panic!("{run:?}");
    };
    assert!(
        matches!(&commit.outcome, JobOutcome::Failed { reason } if reason.contains("127.0.0.1:1"))
    );
    assert_eq!(commit.jobs[0].kind, dcontract::CHECKED);
    assert_eq!(
        *commit.jobs[0].key,
        *crate::job::request_key(&contract_request("").request_id)
    );
}

#[tokio::test]
async fn what_changes_while_a_contract_is_verified_is_told_after_the_request() {
    let node = idp();
    let status = json!({"incoming_request_status_update_url": "http://127.0.0.1:9800/idp"});
    let urls = crate::flows::node::set_callback_urls("idp", status.as_object().unwrap());
    node.state.apply(&urls);
    let url = documents(DOCUMENT).await;
    let hash = hex::encode(hash::sha256(&["contract"]));
    let received = receive_contract(&node, &format!("{url}/{hash}")).await;
    let update = RequestUpdate {
        node_id: "idp1".to_owned(),
        request_id: contract_request("").request_id,
        height: 70,
        ended: false,
        is_new_history: false,
    };
    let key = crate::job::request_key(&update.request_id);
    let job = testing::job(NewJob::new(idp::request_update::KIND, key, &update));
    let commit = request_update::handle(&node.context, &job).await.unwrap();
    assert_eq!(commit.jobs, vec![], "it does not know the request");
    node.commit(&commit);
    let commit = check_contract(&node, received).await;
    let kinds: Vec<crate::job::Kind> = commit.jobs.iter().map(|job| job.kind).collect();
    assert_eq!(
        kinds,
        [
            crate::delivery::callback::DELIVER,
            crate::flows::status_update::DELIVER
        ]
    );
    assert_eq!(callbacks(&commit.jobs)[0].1["type"], "incoming_request");
    let commit = request_update::handle(&node.context, &job).await.unwrap();
    let told = of_kind(&commit.jobs, crate::flows::status_update::DELIVER);
    assert_eq!(told.len(), 1, "told at once from now on");
}

#[tokio::test]
async fn a_request_that_ends_while_its_contract_is_verified_is_not_shown() {
    let node = idp();
    let url = documents(DOCUMENT).await;
    let hash = hex::encode(hash::sha256(&["contract"]));
    let received = receive_contract(&node, &format!("{url}/{hash}")).await;
    let request_id = contract_request("").request_id;
    let forgotten = Write::delete(Table::ConsentRequest, row("idp1", &request_id));
    node.state.apply(&[forgotten]);
    assert_eq!(check_contract(&node, received).await, Commit::nothing());
}

#[tokio::test]
async fn a_consent_request_that_comes_again_changes_nothing() {
    let node = idp();
    let request = recorded_request();
    assert_eq!(receive(&node, &request).await.jobs.len(), 1);
    assert_eq!(receive(&node, &request).await, Commit::nothing());

    let url = documents(DOCUMENT).await;
    let hash = hex::encode(hash::sha256(&["contract"]));
    let text = format!("{url}/{hash}");
    let received = receive_contract(&node, &text).await;
    let again = receive_contract(&node, &text).await;
    assert_eq!(again, Commit::nothing(), "while it is being verified");
    check_contract(&node, received).await;
    let again = receive_contract(&node, &text).await;
    assert_eq!(again, Commit::nothing());
}

#[tokio::test]
async fn a_request_that_nobody_was_told_of_for_want_of_a_url_is_told_when_it_comes_again() {
    let node = TestNode::new("idp1", Role::Idp);
    let request = recorded_request();
    assert_eq!(receive(&node, &request).await.jobs, vec![]);
    let url = json!({"incoming_request_url": "http://127.0.0.1:9800/idp"});
    let urls = crate::flows::node::set_callback_urls("idp", url.as_object().unwrap());
    node.state.apply(&urls);
    assert_eq!(receive(&node, &request).await.jobs.len(), 1);
}
