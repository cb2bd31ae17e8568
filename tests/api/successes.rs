//! What a successful call is answered: as the table says, and as a real network
//! has answered (recordings of `tests/suite` and `tests/wire`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use erawan::api::{ApiVersion, CallOutcome, Endpoint, SuccessBody, openapi, versions};
use erawan::context::Role;
use erawan::flows::endpoints;
use erawan::store::Accept;
use flate2::read::GzDecoder;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::fakes::Node;
use crate::network::{client, send};

const VERSIONS: [ApiVersion; 3] = [ApiVersion::V6, ApiVersion::V5, ApiVersion::V4];

/// All recorded calls that succeeded.
fn recorded() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mode_1 = File::open(root.join("wire/vectors/mode1/http.jsonl")).unwrap();
    let mut readers: Vec<Box<dyn Read>> = vec![Box::new(mode_1)];
    for file in std::fs::read_dir(root.join("suite/recordings")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "gz") {
            readers.push(Box::new(GzDecoder::new(File::open(path).unwrap())));
        }
    }
    let lines = readers.into_iter();
    let lines = lines.flat_map(|reader| BufReader::new(reader).lines());
    let records = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let is_success = |record: &Value| {
        let status = record["status"].as_u64().unwrap_or_default();
        record["kind"] == "call" && (200..300).contains(&status)
    };
    records.filter(is_success).collect()
}

/// An endpoint, and what its bodies must be.
struct Expected {
    endpoint: Endpoint,
    body: Option<Validator>,
}

/// Members that the schema does not name are faults here.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let named = members.get("properties").and_then(Value::as_object);
            if named.is_some_and(|named| !named.is_empty()) {
                members.insert("additionalProperties".into(), json!(false));
            }
            members.values_mut().for_each(strict);
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

fn expected(endpoint: Endpoint) -> Expected {
    let body = match &endpoint.success.body {
        SuccessBody::Json(schema) => {
            let mut schema = schema.as_ref().clone();
            strict(&mut schema);
            Some(jsonschema::validator_for(&schema).unwrap())
        }
        _ => None,
    };
    Expected { endpoint, body }
}

/// Whether a path is one of this pattern; how many of its segments are fixed.
fn fixed_segments(pattern: &str, path: &str) -> Option<usize> {
    let path = path.split('?').next().unwrap_or_default();
    let path: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let pattern: Vec<&str> = pattern.split('/').collect();
    if path.len() != pattern.len() {
        return None;
    }
    let mut fixed = 0;
    for (pattern, segment) in pattern.into_iter().zip(path) {
        match pattern.starts_with(':') {
            true => {}
            false if pattern.eq_ignore_ascii_case(segment) => fixed += 1,
            false => return None,
        }
    }
    Some(fixed)
}

fn find<'a>(all: &'a [Expected], method: &str, path: &str) -> &'a Expected {
    let of_method = all
        .iter()
        .filter(|expected| expected.endpoint.method.as_str() == method);
    let matching = of_method.filter_map(|expected| {
        let fixed = fixed_segments(expected.endpoint.path, path)?;
        Some((fixed, expected))
    });
    let best = matching.max_by_key(|(fixed, _)| *fixed);
    best.unwrap_or_else(|| panic!("no endpoint for {method} {path}"))
        .1
}

/// Long texts are recorded in short (recordings/README.md).
fn written_out(value: &mut Value) {
    match value {
        Value::Object(members) if members.keys().any(|name| name.starts_with('$')) => {
            *value = json!("a long text");
        }
        Value::Object(members) => members.values_mut().for_each(written_out),
        Value::Array(items) => items.iter_mut().for_each(written_out),
        _ => {}
    }
}

#[actix_web::test]
async fn what_a_real_network_has_answered_fits_the_table() {
    let own = Node::start(Role::Rp).await.own;
    let tables: BTreeMap<&str, Vec<Expected>> = VERSIONS
        .into_iter()
        .map(|version| {
            let all = endpoints::all();
            let mut of_version = versions::of(version, &all);
            of_version.extend(own.iter().cloned());
            of_version.extend(all.into_iter().filter(|endpoint| endpoint.since.is_none()));
            let expected = of_version.into_iter().map(expected).collect();
            (openapi::prefix(version), expected)
        })
        .collect();
    let (mut bodies, mut problems) = (0, Vec::new());
    for mut record in recorded() {
        let path = record["path"].as_str().unwrap().to_owned();
        let versioned = tables.iter().find_map(|(prefix, table)| {
            let path = path.strip_prefix(prefix)?;
            path.starts_with('/').then_some((table, path))
        });
        let (table, path) = versioned.unwrap_or((&tables["/v6"], path.as_str()));
        let Expected { endpoint, body } = find(table, record["method"].as_str().unwrap(), path);
        written_out(&mut record["response"]);
        let (status, response) = (&record["status"], &record["response"]);
        let mut problem = |what: String| problems.push(format!("{}: {what}", endpoint.path));
        if *status != endpoint.success.status {
            problem(format!("status {status}"));
        }
        match (&endpoint.success.body, body) {
            (SuccessBody::Text(_), _) => {}
            (_, Some(body)) => {
                bodies += 1;
                for fault in body.iter_errors(response) {
                    problem(format!("{fault} at {}", fault.instance_path()));
                }
            }
            (_, None) if response.is_null() => {}
            (_, None) => problem(format!("a body: {response}")),
        }
        if endpoint.path == "/node/update" {
            let called_json = matches!(endpoint.success.body, SuccessBody::EmptyJson);
            assert!(called_json, "{:?}", endpoint.success);
        }
    }
    problems.sort();
    problems.dedup();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(bodies > 1_500, "{bodies} bodies");
}

/// Headers of the answer to a call that is accepted.
#[actix_web::test]
async fn an_empty_answer_is_called_json_where_it_always_was() {
    let node = Node::start(Role::Rp).await;
    for (path, body, content_type) in [
        (
            "/v6/node/update",
            json!({
                "reference_id": "r",
                "callback_url": "http://127.0.0.1:1/client",
                "supported_request_message_data_url_type_list": ["text/plain"],
            }),
            Some("application/json; charset=utf-8"),
        ),
        (
            "/v6/rp/request_close",
            json!({
                "reference_id": "r",
                "callback_url": "http://127.0.0.1:1/client",
                "request_id": "r",
            }),
            None,
        ),
    ] {
        node.will_return(Ok(CallOutcome::started(Accept::default())));
        let answer = send(client().post(node.url(path)).json(&body)).await;
        assert_eq!((answer.status, answer.text.as_str()), (202, ""), "{path}");
        assert_eq!(answer.content_type.as_deref(), content_type, "{path}");
    }
}
