//! Every call of the recordings, answered by the API as it was recorded
//! (status, headers, body). What lies behind the HTTP layer answers as it did
//! then; what the HTTP layer refuses must not reach it.

use std::collections::HashMap;
use std::sync::Arc;

use erawan::api::CallOutcome;
use erawan::context::Role;
use erawan::error::{Code, Error, codes};
use erawan::job::{NewJob, noop};
use erawan::store::Accept;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fakes::Node;
use crate::network::{ReceivedResponse, client, send};
use crate::recorded_calls::{expand, records, without_wording};

const QUERIES: &str = include_str!("../wire/vectors/mode1/queries.jsonl");

/// Answers of the recorded ledger, by method and parameters, oldest first.
type RecordedQueries = HashMap<(String, String), Vec<Option<Value>>>;

fn recorded_queries() -> Arc<RecordedQueries> {
    let mut queries: HashMap<_, Vec<_>> = HashMap::new();
    for line in QUERIES.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let method = record["method"].as_str().unwrap().to_owned();
        let found = !record["log"].as_str().unwrap().contains("not found");
        let value = record["value"].as_str().filter(|_| found);
        let value = value.map(|value| serde_json::from_str(value).unwrap());
        let key = (method, record["params"].to_string());
        queries.entry(key).or_default().push(value);
    }
    Arc::new(queries)
}

fn code(number: u64) -> Code {
    let found = codes::ALL
        .iter()
        .find(|code| u64::from(code.number) == number);
    *found.unwrap()
}

/// What the operation behind a recorded call must have come to.
fn outcome(record: &Value) -> Result<CallOutcome, Error> {
    let response = &record["response"];
    if let Some(number) = response["error"]["code"].as_u64() {
        let message = response["error"]["message"].as_str().unwrap();
        return Err(Error::with_message(code(number), message));
    }
    match record["status"].as_u64().unwrap() {
        200 => Ok(CallOutcome::Ok(response.clone())),
        202 => Ok(CallOutcome::Accepted {
            accept: Accept {
                jobs: vec![NewJob::new(noop::NOOP, "key", &())],
                ..Accept::default()
            },
            body: Some(response.clone()).filter(|body| !body.is_null()),
            refused: Some(codes::DUPLICATE_REFERENCE_ID),
        }),
        204 => Ok(CallOutcome::Stored(Vec::new())),
        _ => Ok(CallOutcome::NotFound),
    }
}

async fn call(node: &Node, record: &Value) -> ReceivedResponse {
    let method: Method = record["method"].as_str().unwrap().parse().unwrap();
    let url = node.url(record["path"].as_str().unwrap());
    let mut request = client().request(method, url);
    if let Some(content_type) = record["content_type"].as_str() {
        request = request.header("content-type", content_type);
    }
    match expand(&record["request"]) {
        Value::Null => {}
        Value::String(text) => request = request.body(text),
        body => request = request.body(body.to_string()),
    }
    send(request).await
}

fn assert_body(record: &Value, answer: &ReceivedResponse) {
    let (body, recorded) = (answer.json(), &record["response"]);
    let path = record["path"].as_str().unwrap();
    if recorded["details"].is_object() {
        assert_eq!(body["error"], recorded["error"], "{record}");
        assert_eq!(
            without_wording(&body["details"]),
            without_wording(&recorded["details"])
        );
    } else if path == "/info" {
        let names =
            |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(names(&body), names(recorded));
    } else if path == "/config" {
        assert_settings(&body, recorded);
    } else if path == "/source" {
        assert!(answer.status == 200 || answer.status == 404);
    } else if path.contains("/utility/requests/") && recorded.is_object() {
        // The status is derived by the flows, which have their own tests.
        let mut recorded = recorded.clone();
        recorded["status"] = body["status"].clone();
        assert_eq!(body, recorded, "{path}");
    } else {
        assert_eq!(body, *recorded, "{record}");
    }
}

/// Every setting shown has the type it had; secrets are not shown.
fn assert_settings(shown: &Value, recorded: &Value) {
    for (name, value) in shown.as_object().unwrap() {
        let before = &recorded[name];
        let same = std::mem::discriminant(value) == std::mem::discriminant(before);
        assert!(same, "{name}: {value} was {before}");
    }
    for name in recorded.as_object().unwrap().keys() {
        // Files are shown where they are set.
        let may_be_absent = ["Path", "Password", "Hash"]
            .iter()
            .any(|end| name.ends_with(end));
        assert!(
            may_be_absent || shown.get(name).is_some(),
            "{name} is not shown"
        );
    }
    let text = shown.to_string();
    assert!(!text.contains("secret") && !text.contains("Password") && !text.contains("Hash"));
    for name in [
        "autoCloseRequestOnCompleted",
        "callbackApiVersion",
        "tendermintPort",
    ] {
        assert_eq!(shown[name], recorded[name]);
    }
}

fn assert_headers(record: &Value, answer: &ReceivedResponse) {
    if record["path"] == "/source" {
        return;
    }
    let header = |name: &str| record["headers"][name].as_str().map(str::to_owned);
    assert_eq!(answer.content_type, header("content-type"), "{record}");
    let recorded_length = header("content-length");
    if recorded_length.is_none() || recorded_length.as_deref() == Some("0") {
        assert_eq!(answer.content_length, recorded_length, "{record}");
    }
}

/// Whether the answer is the HTTP layer's own.
fn is_refused_before_operations(record: &Value) -> bool {
    let code = record["response"]["error"]["code"].as_u64();
    let wrong_role = |role: &str| {
        let path = record["path"].as_str().unwrap();
        let foreign = [("rp", "/v6/idp/"), ("idp", "/v6/rp/")];
        foreign.contains(&(role, path.get(..8).unwrap_or_default()))
            || foreign.contains(&(role, path.get(..7).unwrap_or_default()))
    };
    let role = record["node"].as_str().unwrap().trim_end_matches('1');
    matches!(code, Some(20003 | 20007)) || wrong_role(role)
}

#[actix_web::test]
async fn every_recorded_call_is_answered_as_recorded() {
    let queries = recorded_queries();
    let mut nodes = HashMap::new();
    for (name, role) in [("rp1", Role::Rp), ("idp1", Role::Idp), ("as1", Role::As)] {
        nodes.insert(name, Node::start(role).await);
    }
    let mut compared = 0;
    for record in records().filter(|record| record["kind"] == "call") {
        let Some(node) = nodes.get(record["node"].as_str().unwrap()) else {
            continue;
        };
        node.will_return(outcome(&record));
        let wanted = record["response"].clone();
        let queries = queries.clone();
        node.ledger.answer_with(move |method, params| {
            let key = (method.to_owned(), params.to_string());
            let answers = queries.get(&key).cloned().unwrap_or_default();
            Ok(as_then(answers, &wanted))
        });
        let answer = call(node, &record).await;
        if record["path"] != "/source" {
            let status = u64::from(answer.status);
            assert_eq!(
                status,
                record["status"].as_u64().unwrap(),
                "{record} {answer:?}"
            );
        }
        assert_headers(&record, &answer);
        assert_body(&record, &answer);
        let reached = node.take_reached();
        if is_refused_before_operations(&record) {
            assert_eq!(reached, [], "{record}");
        }
        compared += 1;
    }
    assert!(compared > 200, "only {compared} calls compared");
}

/// The answer of that time to a question with several answers: the last that agrees
/// with what the client heard.
fn as_then(answers: Vec<Option<Value>>, told: &Value) -> Option<Value> {
    let agrees = |answer: &&Option<Value>| match answer {
        Some(answer) => ["closed", "timed_out", "data_request_list", "response_list"]
            .iter()
            .all(|name| answer[*name] == told[*name]),
        None => told.is_null(),
    };
    let found = answers.iter().rev().find(agrees);
    found.or(answers.last()).cloned().flatten()
}

#[actix_web::test]
async fn the_body_of_a_recorded_request_reaches_its_operation_unchanged() {
    let node = Node::start(Role::Rp).await;
    let record = records()
        .find(|record| record["status"] == 202 && record["node"] == "rp1")
        .unwrap();
    call(&node, &record).await;
    let reached = node.take_reached();
    assert_eq!(reached.len(), 1);
    assert_eq!(
        reached[0].operation,
        "POST /rp/requests/:namespace/:identifier"
    );
    assert_eq!(reached[0].node_id, "rp1");
    assert_eq!(reached[0].arguments, ["citizen_id", "1345951597671"]);
    assert_eq!(reached[0].body, record["request"]);
    assert_ne!(reached[0].body, json!({}));
}
