//! Creating a request.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::crypto::behalf::OnBehalf;
use crate::error::{Error, codes};
use crate::flows::testing::{params, recorded, scenario};
use crate::flows::{identifier, rp};
use crate::job::{Guard, Millis};

const SCENARIO: &str = "accept, AS sends data later";

fn body() -> Value {
    scenario(SCENARIO)[0]["request"].clone()
}

fn with(changes: Value) -> Value {
    let mut body = body();
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn create(node: &TestNode, body: Value) -> Result<Accept, Error> {
    let input = CreateRequest::new("citizen_id", "1345951597671", body)?;
    let (accept, _) = create_request(&node.context, "rp1", input).await?;
    Ok(accept)
}

fn rp() -> TestNode {
    let node = TestNode::new("rp1", Role::Rp);
    node.ledger.set_height(55);
    node
}

/// Records write long texts as `{"$repeat": "x", "times": n}`.
fn expanded(mut body: Value) -> Value {
    for value in body.as_object_mut().unwrap().values_mut() {
        if let Some(text) = value["$repeat"].as_str() {
            let times = value["times"].as_u64().unwrap();
            *value = json!(text.repeat(times as usize));
        }
    }
    body
}

#[actix::test]
async fn the_accept_holds_state_reference_and_transaction() {
    let node = rp();
    let input = CreateRequest::new("citizen_id", "1345951597671", body()).unwrap();
    let (accept, answer) = create_request(&node.context, "rp1", input).await.unwrap();
    let salt = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    assert_eq!(answer.initial_salt, salt);
    assert_eq!(answer.request_id.len(), 64);
    assert_eq!(
        accept.guards,
        [Guard::Absent {
            table: Table::RequestReference,
            row: "rp1/rp-ref-1".to_owned(),
        }]
    );
    assert!(node.accept(&accept));
    let id = answer.request_id.as_str();
    assert_eq!(node.state.names(Table::RequestData), [row("rp1", id)]);
    assert_eq!(
        accept.jobs,
        [],
        "the process that stores the transaction broadcasts it"
    );

    let transact = transactions(&accept.writes).remove(0);
    assert_eq!(transact.method, "CreateRequest");
    assert!(!transact.resend_when_disabled && !transact.retry_on_shortage);
    let params_salt = hash::request_params_salt(id, "bank_statement", salt);
    // As recorded on the ledger at height 56, but for the random id.
    assert_eq!(
        params(&transact),
        json!({
            "mode": 1, "request_id": id, "min_idp": 1, "min_aal": 1, "min_ial": 1.1,
            "request_timeout": 86400,
            "data_request_list": [{
                "service_id": "bank_statement", "as_id_list": ["as1"], "min_as": 1,
                "request_params_hash":
                    hash::request_params_hash(Some(r#"{"format":"pdf"}"#), &params_salt),
            }],
            "request_message_hash": "ZSTuEOVktA24PA2FDBVDEAn6C2oTmwruf57BlDUl49w=",
            "idp_id_list": ["idp1"],
        })
    );
    let then = transact.then.unwrap();
    assert_eq!(then.kind, rp::request_created::KIND);
    assert_eq!(then.key, request_key(id));
}

#[actix::test]
async fn the_ledger_is_asked_what_the_recorded_node_asked() {
    let node = rp();
    create(&node, body()).await.unwrap();
    let asked: Vec<(String, Value)> = node
        .ledger
        .asked()
        .into_iter()
        .map(|asked| (asked.method, asked.params))
        .collect();
    let recorded: Vec<(String, Value)> = recorded("queries.jsonl")
        .into_iter()
        .map(|record| {
            let method = record["method"].as_str().unwrap().to_owned();
            (method, record["params"].clone())
        })
        .collect();
    for question in &asked {
        assert!(recorded.contains(question), "{question:?}");
    }
    assert_eq!(asked.len(), 8, "{asked:?}");
}

#[actix::test]
async fn every_recorded_refusal_is_given() {
    let mut refused = 0;
    let mut passed = 0;
    for record in scenario("requests that must be refused") {
        let path = record["path"].as_str().unwrap_or_default();
        let is_call = record["method"] == "POST" && record["node"] == "rp1";
        let Some(identity) = path.strip_prefix("/v6/rp/requests/") else {
            continue;
        };
        let code = record["response"]["error"]["code"].as_u64();
        if !is_call || matches!(code, Some(20003 | 20007)) {
            continue;
        }
        let (namespace, identifier) = identity.split_once('/').unwrap();
        let node = rp();
        node.ledger.set_height(181);
        let services = json!({"service_id": "bank_statement"});
        let providers = json!({"service_id": "bank_statement", "node_id_list": ["as1"]});
        let of_service = node
            .context
            .ledger
            .query("GetAsNodesInfoByServiceId", providers, None);
        let answer = of_service.await.unwrap().unwrap().as_ref().clone();
        node.ledger
            .answer("GetAsNodesInfoByServiceId", services, answer);
        let body = expanded(record["request"].clone());
        let mut input = CreateRequest::new(namespace, identifier, body).unwrap();
        input.checks_identifier = true;
        let result = create_request(&node.context, "rp1", input).await;
        match record["status"].as_u64() {
            Some(400) => {
                let error = result.err().unwrap_or_else(|| panic!("{record}"));
                assert_eq!(error.to_json(), record["response"]["error"], "{record}");
                refused += 1;
            }
            Some(202) => {
                result.unwrap_or_else(|error| panic!("{error}: {record}"));
                passed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused >= 17, "{refused}");
    assert!(passed >= 8, "{passed}");
}

#[actix::test]
async fn a_reference_in_use_is_refused_and_its_request_stays() {
    let node = rp();
    assert!(node.accept(&create(&node, body()).await.unwrap()));
    let before = node.state.names(Table::RequestReference);
    // Wrong in an earlier check: must not free the reference (Q14).
    let error = create(&node, with(json!({"min_ial": 5})))
        .await
        .unwrap_err();
    assert_eq!(error.code(), codes::UNSUPPORTED_IAL);
    let error = create(&node, body()).await.unwrap_err();
    assert_eq!(error.code(), codes::DUPLICATE_REFERENCE_ID);
    assert_eq!(node.state.names(Table::RequestReference), before);
}

#[actix::test]
async fn of_two_calls_at_once_with_one_reference_one_is_accepted() {
    let node = rp();
    let first = create(&node, body()).await.unwrap();
    let second = create(&node, body()).await.unwrap();
    assert!(node.accept(&first));
    assert!(!node.accept(&second));
    assert_eq!(node.state.names(Table::RequestData).len(), 1);
}

#[actix::test]
async fn a_message_that_cannot_be_sent_never_reaches_the_ledger() {
    let node = rp();
    let long = "x".repeat(3_355_443);
    let long_params = json!([{
        "service_id": "bank_statement", "as_id_list": ["as1"], "min_as": 1,
        "request_params": long,
    }]);
    for changes in [
        json!({"request_message": long}),
        json!({"data_request_list": long_params}),
    ] {
        let accept = create(&node, with(changes)).await.unwrap();
        assert!(accept.writes.is_empty());
        assert_eq!(accept.jobs.len(), 1);
        let (target, body) = jobs_of(&accept).remove(0);
        assert_eq!(target, client_url());
        assert_eq!(body["type"], "create_request_result");
        assert_eq!(body["success"], false);
        assert_eq!(body["reference_id"], "rp-ref-1");
        assert_eq!(
            body["error"],
            json!({"code": 10000, "message": "message size larger than max length limit"})
        );
        assert!(node.accept(&accept), "the reference id is free");
    }
    create(&node, body()).await.unwrap();
}

#[actix::test]
async fn a_call_while_the_ledger_is_away_is_refused_for_now_and_not_for_good() {
    let node = rp();
    node.ledger.set_without_chain(true);
    let error = create(&node, body()).await.unwrap_err();
    assert_eq!(error.code(), codes::TENDERMINT_NOT_CONNECTED);
    assert!(error.is_temporary());
    node.ledger.set_without_chain(false);
    create(&node, body()).await.unwrap();
}

#[actix::test]
async fn whole_numbers_may_be_written_with_a_fraction_of_zero() {
    let node = rp();
    let body = with(json!({"mode": 1.0, "min_idp": 1.0, "request_timeout": 3.0}));
    let accept = create(&node, body).await.unwrap();
    let params = params(&transactions(&accept.writes)[0]);
    assert_eq!(params["mode"].to_string(), "1");
    assert_eq!(params["request_timeout"].to_string(), "3");
    for wrong in [json!(1.5), json!(-1), json!(1e300)] {
        let body = with(json!({"request_timeout": wrong}));
        let error = CreateRequest::new("citizen_id", "1", body).unwrap_err();
        assert_eq!(error.code(), codes::BODY_VALIDATION_FAILED);
    }
}

#[actix::test]
async fn the_path_decides_the_identity_not_the_body() {
    let body = with(json!({"namespace": "other", "identifier": "other"}));
    let input = CreateRequest::new("citizen_id", "1345951597671", body).unwrap();
    assert_eq!(input.namespace, "citizen_id");
    assert!(identifier::is_thai_id(&input.identifier));
}

#[actix::test]
async fn the_settled_transaction_starts_everything() {
    let (play, commit) = Play::settled(SCENARIO).await;
    let created = play.recorded("create_request_result").remove(0);
    assert_eq!(callbacks(&commit.jobs), [(client_url(), created)]);
    assert_eq!(destinations(&commit), ["idp1"]);

    let message = sent(&commit).remove(0);
    assert_eq!(message["type"], "consent_request");
    assert_eq!(message["namespace"], "citizen_id");
    assert_eq!(message["identifier"], "1345951597671");
    assert_eq!(message["height"], 56);
    assert_eq!(message["chain_id"], testing::CHAIN);
    assert_eq!(
        message["data_request_list"],
        json!([{"service_id": "bank_statement", "as_id_list": ["as1"], "min_as": 1}])
    );
    assert!(message.get("min_idp").is_none() && message.get("callback_url").is_none());

    let timer = of_kind(&commit.jobs, rp::time_out::KIND)[0].clone();
    assert_eq!(*timer.key, *request_key(&play.of.request_id));
    let creation_time = message["creation_time"].as_u64().unwrap();
    let due = Millis(creation_time).after(Duration::from_secs(86400));
    assert_eq!(timer.not_before, Some(due));
    play.node.commit(&commit);
    let progress = play.stored().await.unwrap().progress;
    assert_eq!(progress.timer, Some(timer.id));
    assert_eq!(progress.creation.unwrap().time, creation_time);
}

#[actix::test]
async fn a_refused_transaction_is_told_and_leaves_nothing() {
    let (play, transact) = Play::accepted(SCENARIO).await;
    let fate = Fate::Refused {
        code: 25007,
        message: "no token".to_owned(),
    };
    let commit = play.settle(&transact, fate).await;
    let body = bodies(&commit).remove(0);
    assert_eq!(
        body,
        json!({
            "node_id": "rp1", "type": "create_request_result", "success": false,
            "reference_id": "rp-ref-1", "request_id": play.of.request_id,
            "error": {"code": 25007, "message": "no token"},
        })
    );
    for table in [Table::RequestData, Table::RequestReference] {
        assert!(play.node.state.names(table).is_empty());
    }
}

#[actix::test]
async fn a_failure_after_the_transaction_undoes_nothing() {
    let (play, transact) = Play::accepted(SCENARIO).await;
    let own_key = json!({"node_id": "rp1"});
    play.node
        .ledger
        .answer("GetNodeSigningPublicKey", own_key, Value::Null);
    let commit = play.settle(&transact, Fate::Committed { height: 56 }).await;
    let told: Vec<(CallbackTarget, Value)> = callbacks(&commit.jobs);
    assert_eq!(told[0].0, error_url());
    assert_eq!(told[0].1["action"], "rp.processMessage");
    assert_eq!(told[0].1["error"]["code"], 10034);
    assert_eq!(told[1].1["success"], true);
    assert_eq!(of_kind(&commit.jobs, rp::time_out::KIND).len(), 1);
    assert!(play.stored().await.is_some());
}

#[actix::test]
async fn an_unreachable_ledger_is_waited_for() {
    let (play, transact) = Play::accepted(SCENARIO).await;
    play.node.ledger.set_unavailable(true);
    let job = continuation(&transact, Fate::Committed { height: 56 });
    let error = dispatch::run(&play.node.context, &job).await.unwrap_err();
    assert!(error.is_temporary());
}

/// The key of the node is here, and even the ledger knows it.
#[actix::test]
async fn a_proxy_creates_nothing_for_a_node_that_is_not_behind_it_and_says_so_in_the_result() {
    let mut node = TestNode::new("proxy1", Role::Proxy);
    node.ledger.set_height(55);
    let (keys, ledger) = (node.context.crypto.clone(), node.context.ledger.clone());
    node.context.crypto = Arc::new(OnBehalf::new(keys, ledger, "proxy1", true));
    let behind = |nodes: Value| {
        let params = json!({"proxy_node_id": "proxy1"});
        node.ledger
            .answer("GetNodesBehindProxyNode", params, json!({"nodes": nodes}));
    };
    behind(json!([{"node_id": "rp1", "config": "KEY_ON_NODE"}]));
    let accept = create(&node, body()).await.unwrap();
    assert!(transactions(&accept.writes).is_empty(), "nothing is signed");
    assert!(node.accept(&accept));
    let told = of_kind(&accept.jobs, rp::request_created::KIND);
    let job = testing::job(told[0].clone());
    let Run::Commit(commit) = dispatch::run(&node.context, &job).await.unwrap() else {
        panic!("it ends");
    };
    let result = bodies(&commit).remove(0);
    assert_eq!(result["type"], "create_request_result");
    assert_eq!(
        (&result["node_id"], &result["success"]),
        (&json!("rp1"), &json!(false))
    );
    assert_eq!(result["error"]["code"], 10034);
    node.commit(&commit);
    assert!(
        node.state.names(Table::RequestReference).is_empty(),
        "it is free again"
    );

    behind(json!([{"node_id": "rp1", "config": "KEY_ON_PROXY"}]));
    let accept = create(&node, body()).await.unwrap();
    assert_eq!(transactions(&accept.writes).len(), 1);
}
