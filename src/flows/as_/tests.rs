use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::api::Outcome;
use crate::config::Runtime;
use crate::context::Role;
use crate::context::row;
use crate::crypto::external::ExternalCrypto;
use crate::crypto::external_tests::Service;
use crate::crypto::hash;
use crate::delivery::callback::{Callback, DataRequestAnswer, DataRequestRef, Persistence, Target};
use crate::delivery::transaction::{Fate, Transact};
use crate::delivery::{callback, message, transaction};
use crate::flows::testing::{
    TestNode, callbacks, continuation, job, message_job, of_kind, params, scenario, transactions,
};
use crate::flows::{as_, ledger_call, replay_tests};
use crate::job::{Commit, Millis, NewJob, Table, Write, codec, request_key};
use crate::messaging::to_role;
use crate::mq::OutboundMessage;
use crate::mq::message::{DataRequest, Message, ResponsePrivateData};

const SERVICE: &str = "bank_statement";
const DATA: &str = "{\"test\":\"test\"}";

fn an_as() -> TestNode {
    let node = TestNode::new("as1", Role::As);
    let url = b"http://127.0.0.1:9800/as".to_vec();
    node.state
        .apply(&[Write::put_column(Table::ServiceUrl, "as1", SERVICE, url)]);
    schema(&node, json!({"service_id": SERVICE, "active": true}));
    node
}

fn schema(node: &TestNode, detail: Value) {
    node.ledger
        .answer("GetServiceDetail", json!({"service_id": SERVICE}), detail);
}

/// The data request of the first scenario.
fn recorded_request() -> DataRequest {
    let records = scenario("accept, AS sends data later");
    let body = |kind: &str| {
        let record = records.iter().find(|record| record["body"]["type"] == kind);
        record.unwrap()["body"].clone()
    };
    let consent = replay_tests::consent_request(&body("incoming_request"));
    replay_tests::data_request(&body("data_request"), &consent, 58)
}

async fn receive(node: &TestNode, request: &DataRequest) -> Commit {
    node.ledger.set_height(request.height);
    let job = message_job(
        to_role::DATA_REQUEST,
        "as1",
        &Message::DataRequest(request.clone()),
    );
    let commit = data_request::handle(&node.context, &job).await.unwrap();
    node.commit(&commit);
    commit
}

/// A node that was asked for data.
async fn asked() -> (TestNode, DataRequest) {
    let node = an_as();
    let request = recorded_request();
    receive(&node, &request).await;
    (node, request)
}

fn reference(request: &DataRequest) -> DataRequestRef {
    DataRequestRef {
        node_id: "as1".to_owned(),
        request_id: request.request_id.clone(),
        service_id: SERVICE.to_owned(),
    }
}

async fn answer_callback(
    node: &TestNode,
    request: &DataRequest,
    status: u16,
    body: Option<&str>,
) -> Commit {
    let answer = DataRequestAnswer {
        request: reference(request),
        status,
        body: body.map(|body| body.as_bytes().to_vec()),
    };
    let key = request_key(&request.request_id);
    let job = job(NewJob::new(callback::ANSWERED, key, &answer));
    let commit = callback_answer::handle(&node.context, &job).await.unwrap();
    node.commit(&commit);
    commit
}

fn data(reference_id: &str, data: &str) -> respond::Data {
    serde_json::from_value(json!({
        "reference_id": reference_id, "callback_url": "http://127.0.0.1:9800/as", "data": data,
    }))
    .unwrap()
}

/// Hands data over as an API call does.
async fn hand_over(node: &TestNode, request: &DataRequest, body: &respond::Data) -> Transact {
    let request_id = &request.request_id;
    let accept = respond::respond(
        &node.context,
        "as1",
        request_id,
        SERVICE,
        body,
        "response_result",
    )
    .await;
    let accept = accept.unwrap();
    assert!(node.accept(&accept));
    transactions(&accept.writes).remove(0)
}

async fn refusal_of(node: &TestNode, request: &DataRequest, text: &str) -> crate::error::Error {
    let body = data("ref", text);
    respond::respond(
        &node.context,
        "as1",
        &request.request_id,
        SERVICE,
        &body,
        "response_result",
    )
    .await
    .unwrap_err()
}

async fn settle(node: &TestNode, transact: &Transact, fate: Fate) -> Commit {
    let job = continuation(transact, fate);
    let commit = response_created::handle(&node.context, &job).await.unwrap();
    node.commit(&commit);
    commit
}

fn is_pending(node: &TestNode) -> bool {
    !node.state.names(Table::PendingDataRequest).is_empty()
}

fn error_of(commit: &Commit) -> u64 {
    let made = callbacks(&commit.jobs);
    assert_eq!(made.len(), 1, "{made:?}");
    let (target, body) = &made[0];
    let error_url = Target::Setting {
        role: "as".to_owned(),
        name: "error_url".to_owned(),
    };
    assert_eq!(*target, error_url);
    assert_eq!(body["type"], "error");
    body["error"]["code"].as_u64().unwrap()
}

fn sent_messages(commit: &Commit) -> Vec<Value> {
    let mut sent = Vec::new();
    for write in &commit.writes {
        if let Write::Put {
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

/// Who the messages of a commit go to.
fn receivers(commit: &Commit) -> Vec<String> {
    of_kind(&commit.jobs, message::DELIVER)
        .iter()
        .map(|job| {
            let sent: OutboundMessage = codec::decode(&job.payload).unwrap();
            sent.destination_node_id
        })
        .collect()
}

#[tokio::test]
async fn a_request_that_does_not_match_the_ledger_reaches_nobody() {
    type Change = fn(&mut DataRequest);
    let changes: [(&str, Change); 4] = [
        ("text", |request| request.request_message.push('!')),
        ("identifier", |request| request.identifier.push('1')),
        ("parameters", |request| {
            request.service_data_request_list[0].request_params = None;
        }),
        ("service", |request| {
            request.service_data_request_list[0].service_id = "other".to_owned();
        }),
    ];
    for (what, change) in changes {
        let node = an_as();
        let mut request = recorded_request();
        change(&mut request);
        let commit = receive(&node, &request).await;
        assert_eq!(error_of(&commit), 10025, "{what}");
        let body = &callbacks(&commit.jobs)[0].1;
        assert_eq!(body["action"], "as.processMessage");
        assert_eq!(body["request_id"], request.request_id);
        assert!(!is_pending(&node), "{what}");
    }
}

#[tokio::test]
async fn a_request_without_enough_consent_reaches_nobody() {
    let node = an_as();
    let mut request = recorded_request();
    request.height = 56;
    assert_eq!(error_of(&receive(&node, &request).await), 10024);
    assert!(!is_pending(&node));
}

#[tokio::test]
async fn the_accessors_of_mode_2_answers_are_verified() {
    let node = an_as();
    let mut request = recorded_request();
    let identity = json!({
        "identity_namespace": request.namespace,
        "identity_identifier_hash": hash::identifier_hash(&request.identifier),
    });
    node.ledger.answer(
        "GetReferenceGroupCode",
        identity,
        json!({"reference_group_code": "group"}),
    );
    for (accessor, group) in [("a1", "group"), ("a2", "another")] {
        let params = json!({"accessor_id": accessor});
        let group = json!({"reference_group_code": group});
        node.ledger
            .answer("GetReferenceGroupCodeByAccessorID", params.clone(), group);
        let key = json!({
            "accessor_public_key": crate::crypto::test_key::public_pem(),
            "accessor_type": "RSA", "active": true, "owner_node_id": "idp1",
        });
        node.ledger.answer("GetAccessorKey", params, key);
    }
    let detail = crate::ledger::query::request_detail(
        node.context.ledger.as_ref(),
        &request.request_id,
        Some(58),
    );
    let mut detail = serde_json::to_value(detail.await.unwrap().unwrap()).unwrap();
    detail["mode"] = 2.into();
    let mut answered = |accessor_id: Option<&str>, signature: &str| {
        detail["response_list"][0]["signature"] = signature.into();
        let request_id = &request.request_id;
        node.ledger.request_from(request_id, 0, detail.clone());
        request.response_private_data_list = vec![ResponsePrivateData {
            idp_id: "idp1".to_owned(),
            accessor_id: accessor_id.map(str::to_owned),
        }];
        request.clone()
    };
    let signature = replay_tests::user_signature(
        &recorded_request().request_message,
        &recorded_request().initial_salt,
        &recorded_request().request_id,
    );
    for (accessor_id, signature) in [
        (None, signature.as_str()),
        (Some("a1"), "Some signature"),
        (Some("a2"), &signature),
    ] {
        let request = answered(accessor_id, signature);
        assert_eq!(error_of(&receive(&node, &request).await), 10024);
    }
    let mut request = answered(Some("a1"), &signature);
    let looked_at = || {
        let asked = node.ledger.asked();
        let keys = asked
            .iter()
            .filter(|asked| asked.method == "GetAccessorKey");
        keys.count()
    };
    let before = looked_at();
    let answer = request.response_private_data_list[0].clone();
    request.response_private_data_list = vec![answer; 500];
    let commit = receive(&node, &request).await;
    assert_eq!(callbacks(&commit.jobs)[0].1["type"], "data_request");
    assert_eq!(looked_at() - before, 1, "the same answer is verified once");
}

/// What a node that has received the request could send on under its own name.
fn sent_on_by(node_id: &str, request: &DataRequest) -> DataRequest {
    DataRequest {
        rp_id: node_id.to_owned(),
        ..request.clone()
    }
}

#[tokio::test]
async fn a_request_of_somebody_else_than_the_requester_is_not_kept() {
    let node = an_as();
    let forged = sent_on_by("idp1", &recorded_request());
    assert_eq!(error_of(&receive(&node, &forged).await), 10025);
    assert!(!is_pending(&node));
    assert_eq!(node.state.names(Table::DataRequest), Vec::<String>::new());
}

#[tokio::test]
async fn data_goes_to_the_requester_whatever_is_received_after_its_request() {
    let (node, request) = asked().await;
    let another_salt = DataRequest {
        initial_salt: "another".to_owned(),
        ..request.clone()
    };
    for forged in [sent_on_by("idp1", &request), another_salt] {
        assert_eq!(error_of(&receive(&node, &forged).await), 10025);
    }
    let transact = hand_over(&node, &request, &data("ref", DATA)).await;
    let commit = settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert_eq!(receivers(&commit), ["rp1"]);
    let salt = hash::data_salt(&request.request_id, SERVICE, "as1", &request.initial_salt);
    assert_eq!(sent_messages(&commit)[0]["data_salt"], salt.as_str());

    let (node, request) = asked().await;
    receive(&node, &sent_on_by("idp1", &request)).await;
    let error = r#"{"error_code":10101}"#;
    let commit = answer_callback(&node, &request, 200, Some(error)).await;
    let transact = transactions(&commit.writes).remove(0);
    let commit = settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert_eq!(receivers(&commit), ["rp1"]);
}

#[tokio::test]
async fn a_request_that_fails_its_checks_is_replaced_by_one_that_passes() {
    let node = an_as();
    let request = recorded_request();
    let mut wrong = request.clone();
    wrong.request_message.push('!');
    receive(&node, &wrong).await;
    let record = row("as1", &request.request_id);
    assert_eq!(node.state.names(Table::DataRequest), [record]);
    receive(&node, &request).await;
    hand_over(&node, &request, &data("ref", DATA)).await;
}

#[tokio::test]
async fn a_request_to_other_ases_reaches_nobody() {
    let node = an_as();
    let request = recorded_request();
    node.ledger.set_height(request.height);
    let message = Message::DataRequest(request);
    let job = message_job(to_role::DATA_REQUEST, "as2", &message);
    let commit = data_request::handle(&node.context, &job).await.unwrap();
    assert_eq!(error_of(&commit), 10025);
}

#[tokio::test]
async fn the_application_is_asked_once_however_often_the_rp_asks() {
    let node = an_as();
    let request = recorded_request();
    let first = receive(&node, &request).await;
    let asked = of_kind(&first.jobs, callback::DELIVER);
    let callback: Callback = codec::decode(&asked[0].payload).unwrap();
    assert_eq!(callback.answer_to, Some(reference(&request)));
    let persistence = Persistence::UntilRequestEnds {
        request_id: request.request_id.clone(),
    };
    assert_eq!(callback.persistence, persistence);
    assert_eq!(receive(&node, &request).await.jobs, vec![]);

    let transact = hand_over(&node, &request, &data("ref", DATA)).await;
    settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert!(!is_pending(&node));
    let mut late = request.clone();
    late.height = 60;
    assert_eq!(receive(&node, &late).await.jobs, vec![]);
    assert!(!is_pending(&node));
}

#[tokio::test]
async fn an_application_that_refused_is_not_asked_again() {
    let node = an_as();
    let request = recorded_request();
    let first = receive(&node, &request).await;
    assert_eq!(of_kind(&first.jobs, callback::DELIVER).len(), 1);
    let answer = DataRequestAnswer {
        request: reference(&request),
        status: 500,
        body: Some(Vec::new()),
    };
    let job = job(NewJob::new(callback::ANSWERED, "request:r", &answer));
    let dropped = callback_answer::handle(&node.context, &job).await.unwrap();
    node.commit(&dropped);
    assert!(!is_pending(&node));
    assert_eq!(receive(&node, &request).await.jobs, vec![]);
}

#[tokio::test]
async fn the_application_is_asked_once_for_a_service_that_is_named_many_times() {
    let node = an_as();
    let mut request = recorded_request();
    let wanted = request.service_data_request_list[0].clone();
    request.service_data_request_list = vec![wanted; 500];
    let commit = receive(&node, &request).await;
    assert_eq!(of_kind(&commit.jobs, callback::DELIVER).len(), 1);
    assert!(is_pending(&node));
}

#[tokio::test]
async fn a_service_without_url_asks_nobody() {
    let node = TestNode::new("as1", Role::As);
    let request = recorded_request();
    assert_eq!(receive(&node, &request).await.jobs, vec![]);
    assert!(!is_pending(&node));
    node.ledger.set_height(request.height);
    let refused = refusal_of(&node, &request, DATA).await;
    assert_eq!(refused.code().number, 20037);
}

#[tokio::test]
async fn an_answer_later_changes_nothing() {
    let (node, request) = asked().await;
    let commit = answer_callback(&node, &request, 204, Some("")).await;
    assert_eq!(commit, Commit::nothing());
    assert!(is_pending(&node));
}

#[tokio::test]
async fn every_unusable_answer_has_its_code_and_leaves_the_request_open() {
    for (body, code) in [
        (Some("rubbish"), 20033),
        (Some(""), 20033),
        (Some("{}"), 20034),
        (Some("[]"), 20034),
        (Some("5"), 20034),
        (Some(r#"{"data":""}"#), 20034),
        (Some(r#"{"data":null}"#), 20034),
        (Some(r#"{"data":5}"#), 20035),
        (Some(r#"{"data":{"a":1}}"#), 20035),
        (Some(r#"{"error_code":"10101"}"#), 20080),
        (Some(r#"{"error_code":"10101","data":"x"}"#), 20080),
        (Some(r#"{"error_code":99}"#), 20078),
        (Some(r#"{"error_code":10101.5}"#), 20078),
        (None, 20036),
    ] {
        let (node, request) = asked().await;
        let commit = answer_callback(&node, &request, 200, body).await;
        assert_eq!(error_of(&commit), code, "{body:?}");
        let action = &callbacks(&commit.jobs)[0].1["action"];
        assert_eq!(action, "afterGotDataFromCallback");
        assert!(is_pending(&node), "{body:?}");
        hand_over(&node, &request, &data("ref", DATA)).await;
    }
}

#[tokio::test]
async fn another_status_gives_the_request_up() {
    for status in [201, 302, 404, 500] {
        let (node, request) = asked().await;
        let commit = answer_callback(&node, &request, status, None).await;
        assert_eq!(error_of(&commit), 20032);
        assert!(!is_pending(&node));
        let refused = refusal_of(&node, &request, DATA).await;
        assert_eq!(refused.code().number, 20037);
    }
}

#[tokio::test]
async fn an_answer_with_a_reference_is_reported_and_one_without_only_when_it_fails() {
    let refused = || Fate::Refused {
        code: 25022,
        message: "Duplicate answered AS ID".to_owned(),
    };
    let with = r#"{"data":"x","reference_id":"r","callback_url":"http://127.0.0.1:9800/as"}"#;
    let without = r#"{"data":"x","reference_id":"r"}"#;
    let (node, request) = asked().await;
    let reported = answer_callback(&node, &request, 200, Some(with)).await;
    let reported = transactions(&reported.writes).remove(0);
    let silent = answer_callback(&node, &request, 200, Some(without)).await;
    let silent = transactions(&silent.writes).remove(0);

    let failure = settle(&node, &silent, refused()).await;
    assert_eq!(error_of(&failure), 25022);
    let action = &callbacks(&failure.jobs)[0].1["action"];
    assert_eq!(action, "afterGotDataFromCallback");
    let success = settle(&node, &reported, Fate::Committed { height: 60 }).await;
    let made = callbacks(&success.jobs);
    assert_eq!(made[0].1["type"], "response_result");
    assert_eq!(made[0].1["reference_id"], "r");

    let (node, request) = asked().await;
    let silent = answer_callback(&node, &request, 200, Some(without)).await;
    let silent = transactions(&silent.writes).remove(0);
    let success = settle(&node, &silent, Fate::Committed { height: 60 }).await;
    assert_eq!(callbacks(&success.jobs), vec![]);
}

#[tokio::test]
async fn version_4_names_the_result_of_a_callback_answer_differently() {
    let (node, request) = asked().await;
    *node.context.config.runtime.callback_version.write() = crate::config::ApiVersion::V4;
    let body = r#"{"error_code":10101,"reference_id":"r","callback_url":"http://a"}"#;
    let commit = answer_callback(&node, &request, 200, Some(body)).await;
    let transact = transactions(&commit.writes).remove(0);
    let commit = settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert_eq!(callbacks(&commit.jobs)[0].1["type"], "send_data_result");
    assert_eq!(
        sent_messages(&commit),
        vec![json!({
            "type": "as_response", "request_id": request.request_id, "as_id": "as1",
            "service_id": SERVICE, "error_code": 10101, "chain_id": "test-chain-NDID",
            "height": 60,
        })]
    );
}

#[tokio::test]
async fn an_answer_the_ledger_refuses_does_not_disturb_the_one_it_took() {
    let (node, request) = asked().await;
    let first = hand_over(&node, &request, &data("first", "first data")).await;
    let second = hand_over(&node, &request, &data("second", "second data")).await;
    assert_eq!(node.state.names(Table::DataAnswer).len(), 2);
    let refused = Fate::Refused {
        code: 25022,
        message: "Duplicate answered AS ID".to_owned(),
    };
    let commit = settle(&node, &second, refused).await;
    let body = &callbacks(&commit.jobs)[0].1;
    assert_eq!(body["success"], false);
    assert_eq!(body["error"]["code"], 25022);
    assert!(is_pending(&node), "the application may try again");
    assert_eq!(node.state.names(Table::DataAnswer).len(), 1);

    let commit = settle(&node, &first, Fate::Committed { height: 60 }).await;
    let message = &sent_messages(&commit)[0];
    let packed = message["packed_data"]["buffer_base64"].as_str().unwrap();
    assert_eq!(packed, "Zmlyc3QgZGF0YQ==");
    assert_eq!(message["signature"], params(&first)["signature"]);
    assert!(!is_pending(&node));
    assert_eq!(node.state.names(Table::DataAnswer), Vec::<String>::new());
}

/// The recorded network's key signed the same data, so the signature is the same.
#[tokio::test]
async fn the_signature_is_the_recorded_one() {
    let (node, request) = asked().await;
    let transact = hand_over(&node, &request, &data("ref", DATA)).await;
    assert_eq!(transact.method, "CreateAsResponse");
    assert!(!transact.resend_when_disabled && !transact.retry_on_shortage);
    let records = scenario("accept, AS sends data later");
    let shown = records
        .iter()
        .find_map(|record| record["response"][0]["source_signature"].as_str());
    assert_eq!(
        params(&transact),
        json!({
            "request_id": request.request_id, "signature": shown.unwrap(),
            "service_id": SERVICE,
        })
    );
}

#[tokio::test]
async fn an_answer_reaches_the_rp_though_the_request_has_ended_meanwhile() {
    let (node, request) = asked().await;
    let transact = hand_over(&node, &request, &data("ref", DATA)).await;
    let update = crate::flows::RequestUpdate {
        node_id: "as1".to_owned(),
        request_id: request.request_id.clone(),
        height: 64,
        ended: true,
        is_new_history: false,
    };
    let key = request_key(&request.request_id);
    let job = job(NewJob::new(as_::request_update::KIND, key, &update));
    node.commit(&request_update::handle(&node.context, &job).await.unwrap());
    let record = row("as1", &request.request_id);
    assert!(!node.state.names(Table::DataRequest).contains(&record));
    let commit = settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert_eq!(sent_messages(&commit).len(), 1);
}

#[tokio::test]
async fn data_must_fit_the_schema_of_its_service() {
    let (node, request) = asked().await;
    let with = |text: &str, version: &str| {
        let detail = json!({
            "service_id": SERVICE, "active": true, "data_schema": text,
            "data_schema_version": version,
        });
        schema(&node, detail);
    };
    let object = r#"{
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "kind": {"enum": ["a"]}},
        "additionalProperties": false
    }"#;
    with(object, "1");
    hand_over(&node, &request, &data("ref", r#"{"name":"x"}"#)).await;
    let refused = refusal_of(&node, &request, "not JSON").await;
    assert_eq!(refused.code().number, 10035);
    let refused = refusal_of(&node, &request, r#"{"kind":"b","more":1}"#).await;
    assert_eq!(refused.code().number, 20059);
    let details = refused.details().unwrap();
    assert_eq!(details["valid"], false);
    let errors = details["errors"].as_array().unwrap();
    let found = |keyword: &str| {
        let error = errors.iter().find(|error| error["keyword"] == keyword);
        error.unwrap_or_else(|| panic!("no {keyword} in {errors:?}"))
    };
    let required = found("required");
    assert_eq!(required["instancePath"], "");
    assert_eq!(required["schemaPath"], "#/required");
    assert_eq!(required["params"], json!({"missingProperty": "name"}));
    assert!(!required["message"].as_str().unwrap().is_empty());
    assert_eq!(found("enum")["instancePath"], "/kind");
    let unexpected = &found("additionalProperties")["params"];
    assert_eq!(*unexpected, json!({"additionalProperty": "more"}));

    with(r#"{"type": 5}"#, "1");
    assert_eq!(refusal_of(&node, &request, "{}").await.code().number, 10037);
    with("rubbish", "1");
    assert_eq!(refusal_of(&node, &request, "{}").await.code().number, 10037);
    with(r#"{"$ref": "http://127.0.0.1:1/schema"}"#, "1");
    assert_eq!(refusal_of(&node, &request, "{}").await.code().number, 10037);
    for (text, version) in [("n/a", "1"), (object, "n/a"), (object, ""), ("", "1")] {
        with(text, version);
        let another = uuid::Uuid::new_v4().to_string();
        hand_over(&node, &request, &data(&another, "not JSON")).await;
    }
    schema(&node, Value::Null);
    assert_eq!(refusal_of(&node, &request, "{}").await.code().number, 10036);
}

#[tokio::test]
async fn data_that_cannot_be_packed_is_refused() {
    let (node, request) = asked().await;
    let spaced = refusal_of(&node, &request, "data:text/plain;base64,AAAA AAAA").await;
    assert_eq!(spaced.code().number, 20070);
    let large = refusal_of(&node, &request, &"x".repeat(10 * 1024 * 1024 + 1)).await;
    assert_eq!(large.code().number, 20085);
    assert_eq!(node.state.names(Table::DataAnswer), Vec::<String>::new());
}

#[tokio::test]
async fn no_more_answers_are_taken_than_can_count() {
    let (node, request) = asked().await;
    let detail = crate::ledger::query::request_detail(
        node.context.ledger.as_ref(),
        &request.request_id,
        Some(58),
    );
    let mut detail = serde_json::to_value(detail.await.unwrap().unwrap()).unwrap();
    let service = &mut detail["data_request_list"][0];
    service["as_id_list"] = json!(["as1", "as2"]);
    let signed = json!([{"as_id": "as2", "signed": true, "received_data": false}]);
    let failed = json!([{"as_id": "as2", "error_code": 10101}]);
    for (min_as, answers, taken) in [
        (1, &signed, false),
        (2, &failed, false),
        (2, &signed, true),
        (0, &signed, true),
    ] {
        let service = &mut detail["data_request_list"][0];
        service["min_as"] = min_as.into();
        service["response_list"] = answers.clone();
        node.ledger
            .request_from(&request.request_id, 0, detail.clone());
        if taken {
            let another = uuid::Uuid::new_v4().to_string();
            hand_over(&node, &request, &data(&another, DATA)).await;
        } else {
            let refused = refusal_of(&node, &request, DATA).await;
            assert_eq!(refused.code().number, 20082, "{min_as} {answers}");
        }
    }
}

#[tokio::test]
async fn a_first_offer_must_be_complete_and_a_later_one_need_not() {
    let node = an_as();
    let providers = json!({"service_id": SERVICE});
    node.ledger.answer(
        "GetAsNodesByServiceId",
        providers.clone(),
        json!({"node": []}),
    );
    let offer = |members: Value| {
        let mut body = json!({"reference_id": "s", "callback_url": "http://a"});
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        serde_json::from_value::<service::Offer>(body).unwrap()
    };
    let whole = json!({"min_ial": 1.1, "min_aal": 1, "url": "http://b",
        "supported_namespace_list": ["citizen_id"]});
    for missing in ["min_ial", "min_aal", "url", "supported_namespace_list"] {
        let mut members = whole.clone();
        members.as_object_mut().unwrap().remove(missing);
        let refused = service::offer(&node.context, "as1", SERVICE, &offer(members)).await;
        assert_eq!(refused.unwrap_err().code().number, 20023, "{missing}");
    }
    let mut unknown = whole.clone();
    unknown["supported_namespace_list"] = json!(["citizen_id", "nope"]);
    let refused = service::offer(&node.context, "as1", SERVICE, &offer(unknown)).await;
    assert_eq!(refused.unwrap_err().code().number, 20013);

    node.ledger.answer(
        "GetAsNodesByServiceId",
        providers,
        json!({"node": [{"node_id": "as1"}]}),
    );
    let only_url = offer(json!({"url": "http://new"}));
    let started = service::offer(&node.context, "as1", SERVICE, &only_url).await;
    let Ok(Outcome::Accepted { accept, .. }) = started else {
        panic!("not started: {started:?}");
    };
    let transact = transactions(&accept.writes).remove(0);
    assert_eq!(transact.method, "UpdateServiceDestination");
    assert_eq!(params(&transact), json!({"service_id": SERVICE}));
    let refused = Fate::Refused {
        code: 25007,
        message: "Not enough token".to_owned(),
    };
    for (fate, url) in [
        (refused, "http://127.0.0.1:9800/as"),
        (Fate::Committed { height: 60 }, "http://new"),
    ] {
        let job = continuation(&transact, fate);
        let commit = ledger_call::handle(&job).unwrap();
        node.commit(&commit);
        let stored = service::url(&node.context, "as1", SERVICE).await.unwrap();
        assert_eq!(stored.as_deref(), Some(url));
    }
}

#[tokio::test]
async fn a_payment_is_logged_for_ended_requests_too() {
    let node = an_as();
    let request = recorded_request();
    node.ledger.set_height(64);
    let check = |service_id: &'static str| {
        payment_log::check(&node.context, &request.request_id, service_id)
    };
    check(SERVICE).await.unwrap();
    let refused = check("nope").await.unwrap_err();
    assert_eq!(refused.code().number, 20039);
}

/// Keys are with an external crypto service from now on.
fn signs_at(node: &mut TestNode, service: &Service, url: &str) {
    let url = url.as_bytes().to_vec();
    let put = Write::put_column(Table::CallbackUrl, "node", "sign_url", url);
    node.state.apply(&[put]);
    let (state, client) = (node.state.clone(), service.client.clone());
    let crypto = ExternalCrypto::new(state, Arc::new(Runtime::default()), client);
    node.context.crypto = Arc::new(crypto);
}

/// Hands data over by an API call; the job that has it signed.
async fn signing_job(node: &TestNode, request: &DataRequest, body: &respond::Data) -> NewJob {
    let id = &request.request_id;
    let accept = respond::respond(&node.context, "as1", id, SERVICE, body, "response_result").await;
    let accept = accept.unwrap();
    assert!(node.accept(&accept));
    let [job] = &accept.jobs[..] else {
        panic!("{:?}", accept.jobs);
    };
    assert_eq!(job.kind, as_::sign_data::KIND);
    job.clone()
}

#[actix::test]
async fn an_external_crypto_service_signs_data_in_a_job() {
    let (mut node, request) = asked().await;
    let service = Service::start();
    signs_at(&mut node, &service, &service.url("sign"));
    let signing = job(signing_job(&node, &request, &data("ref", DATA)).await);
    let signed = sign_data::handle(&node.context, &signing).await.unwrap();
    node.commit(&signed);
    let [transact] = &of_kind(&signed.jobs, transaction::TRANSACT)[..] else {
        panic!("{:?}", signed.jobs);
    };
    let transact: Transact = codec::decode(&transact.payload).unwrap();
    assert_eq!(transact.method, "CreateAsResponse");
    let told = settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert_eq!(callbacks(&told.jobs)[0].1["success"], true);
    assert!(!is_pending(&node));
}

#[actix::test]
async fn data_is_refused_when_the_crypto_service_stays_away_and_may_be_sent_again() {
    let (mut node, request) = asked().await;
    let service = Service::start();
    signs_at(&mut node, &service, "http://127.0.0.1:1/");
    let body = data("ref", DATA);
    let mut signing = job(signing_job(&node, &request, &body).await);
    let young = sign_data::handle(&node.context, &signing).await;
    assert!(young.unwrap_err().is_of_crypto_service());

    let age = Duration::from_secs(599).as_millis() as u64;
    signing.accepted_at = Millis(Millis::now().0 - age);
    signing.tries = 8;
    let refused = sign_data::handle(&node.context, &signing).await.unwrap();
    node.commit(&refused);
    let told = &callbacks(&refused.jobs)[0].1;
    assert_eq!(told["type"], "response_result");
    assert_eq!(told["reference_id"], "ref");
    assert_eq!(told["success"], false);
    assert_eq!(told["error"]["code"], 10000);
    assert!(is_pending(&node));
    signing_job(&node, &request, &body).await;

    // A service that answers with nonsense does not get better.
    signs_at(&mut node, &service, &service.url("failing"));
    signing.tries = 0;
    let refused = sign_data::handle(&node.context, &signing).await.unwrap();
    assert_eq!(callbacks(&refused.jobs)[0].1["success"], false);
}
