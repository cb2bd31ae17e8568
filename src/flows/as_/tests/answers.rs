//! The client application answers.

use serde_json::{Value, json};

use super::super::*;
use super::{
    DATA, SERVICE, answer_callback, asked, data, error_of, hand_over, is_pending, refusal_of,
    schema, sent_messages, settle,
};
use crate::context::row;
use crate::delivery::transaction::Fate;
use crate::flows::as_;
use crate::flows::testing::{callbacks, job, params, scenario, transactions};
use crate::job::{Commit, NewJob, Table, request_key};

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
