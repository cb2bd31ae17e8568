use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::api::{ApiVersion, Method, Schema};
use crate::error::{Error, codes};

/// The endpoint with this path.
fn endpoint(method: Method, path: &str) -> Endpoint {
    let mut all = all().into_iter();
    let found = all.find(|endpoint| endpoint.method == method && endpoint.path == path);
    found.unwrap_or_else(|| panic!("there is no {path}"))
}

fn body_schema(path: &str) -> Schema {
    let endpoint = endpoint(Method::Post, path);
    endpoint
        .body
        .unwrap_or_else(|| panic!("{path} has no body"))
}

fn check_body(path: &str, body: &Value) -> Result<(), Error> {
    body_schema(path).check(body, codes::BODY_VALIDATION_FAILED)
}

fn check_query(path: &str, query: &Value) -> Result<(), Error> {
    let endpoint = endpoint(Method::Get, path);
    endpoint
        .query
        .check(query, codes::QUERY_STRING_VALIDATION_FAILED)
}

#[test]
fn every_endpoint_is_there_once() {
    let all = all();
    let distinct: HashSet<_> = all.iter().map(|entry| (entry.method, entry.path)).collect();
    assert_eq!(distinct.len(), all.len());
    for entry in &all {
        assert_eq!(entry.path, entry.path.to_ascii_lowercase());
    }
}

#[test]
fn every_schema_compiles_and_refuses_what_is_no_object() {
    for entry in all() {
        let Some(schema) = &entry.body else {
            continue;
        };
        let error = schema.check(&json!([]), codes::BODY_VALIDATION_FAILED);
        assert!(error.unwrap_err().details().is_some(), "{}", entry.path);
        // What belongs to no version takes any query string.
        if entry.since.is_none() {
            continue;
        }
        let repeated = json!({"node_id": ["a", "b"], "prefix": ["a", "b"]});
        let code = codes::QUERY_STRING_VALIDATION_FAILED;
        assert!(
            entry.query.check(&repeated, code).is_err(),
            "{}",
            entry.path
        );
    }
}

/// Keyword, path and message of each fault, in order.
fn shape(details: &Value) -> Vec<(String, String, String)> {
    let errors = details["errors"].as_array().unwrap();
    let text = |error: &Value, member: &str| error[member].as_str().unwrap().to_owned();
    errors
        .iter()
        .map(|error| {
            (
                text(error, "instancePath"),
                text(error, "keyword"),
                text(error, "message"),
            )
        })
        .collect()
}

#[test]
fn faults_are_those_of_the_recordings() {
    let recordings = include_str!("../../tests/wire/vectors/mode1/http.jsonl");
    let mut compared = 0;
    for line in recordings.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let code = record["response"]["error"]["code"].as_u64();
        let path = record["path"].as_str().unwrap_or_default();
        let Some(path) = path.strip_prefix("/v6").filter(|_| code == Some(20003)) else {
            continue;
        };
        let mut segments: Vec<&str> = path.split('/').collect();
        let all = all();
        let entry = all.iter().find(|entry| {
            let pattern = entry.path.split('/');
            segments.len() == pattern.clone().count()
                && entry.method == Method::Post
                && pattern
                    .zip(&mut segments)
                    .all(|(wanted, given)| wanted.starts_with(':') || wanted == *given)
        });
        let entry = entry.unwrap_or_else(|| panic!("{path} is no endpoint"));
        let is_json = record["content_type"] == "application/json";
        let body = match &record["request"] {
            Value::String(_) if !is_json => json!({}),
            Value::String(text) if text.is_empty() => json!({}),
            Value::String(text) => serde_json::from_str(text).unwrap(),
            body => body.clone(),
        };
        let schema = entry.body.as_ref().unwrap();
        let error = schema
            .check(&body, codes::BODY_VALIDATION_FAILED)
            .expect_err(line);
        let recorded = &record["response"];
        assert_eq!(error.to_json(), recorded["error"], "{line}");
        let details = error.details().unwrap();
        assert_eq!(details["valid"], recorded["details"]["valid"]);
        let without_texts = |shape: Vec<(String, String, String)>| -> Vec<(String, String)> {
            shape
                .into_iter()
                .map(|(path, keyword, _)| (path, keyword))
                .collect()
        };
        assert_eq!(
            without_texts(shape(details)),
            without_texts(shape(&recorded["details"])),
            "{line}"
        );
        compared += 1;
    }
    assert!(compared > 20, "only {compared} answers compared");
}

#[test]
fn urls_are_judged_by_scheme_and_form() {
    let keywords = |url: Value| -> Vec<String> {
        match check_body("/rp/callback", &json!({"error_url": url})) {
            Ok(()) => Vec::new(),
            Err(error) => {
                let shape = shape(error.details().unwrap());
                shape.into_iter().map(|(_, keyword, _)| keyword).collect()
            }
        }
    };
    for url in [
        "http://a",
        "https://a.b:80/c?d=e#f",
        "http://[::1]:9/",
        "http://a/%41",
    ] {
        assert_eq!(keywords(json!(url)), [""; 0], "{url}");
    }
    assert_eq!(keywords(json!("x")), ["pattern", "format"]);
    assert_eq!(keywords(json!("ftp://a")), ["pattern"]);
    assert_eq!(keywords(json!("HTTP://a")), ["pattern"]);
    assert_eq!(keywords(json!("http://a b")), ["format"]);
    assert_eq!(keywords(json!("http://a/%4")), ["format"]);
    assert_eq!(keywords(json!("http://ไทย")), ["format"]);
    assert_eq!(keywords(json!(5)), ["type"]);
    assert_eq!(keywords(Value::Null), ["type"]);
}

#[test]
fn repeated_parameters_are_refused() {
    let repeated = json!({"node_id": ["a", "b"]});
    let error = check_query("/rp/request_data/:request_id", &repeated).unwrap_err();
    assert_eq!(error.code().number, 20002);
    let mode = json!({"mode": "1"});
    assert!(check_query("/utility/idp/:namespace/:identifier", &mode).is_err());
    let agent = json!({"agent": "true"});
    assert!(check_query("/utility/idp", &agent).is_ok());
}

#[test]
fn one_callback_url_of_the_node_is_enough_and_needed() {
    let path = "/node/callback";
    assert!(check_body(path, &json!({"sign_url": "http://a"})).is_ok());
    let error = check_body(path, &json!({})).unwrap_err();
    let keywords: Vec<_> = shape(error.details().unwrap())
        .into_iter()
        .map(|(_, keyword, _)| keyword)
        .collect();
    assert_eq!(
        keywords,
        ["required", "required", "required", "required", "anyOf"]
    );
}

/// Endpoints that each group has at least, in versions 4, 5 and 6
/// (spec/http-api-v4-v5.md 3).
const COUNTS: [(&str, [usize; 3]); 9] = [
    ("rp", [8, 9, 9]),
    ("idp", [4, 5, 5]),
    ("as", [5, 8, 8]),
    ("node", [4, 4, 4]),
    ("proxy", [2, 2, 2]),
    ("identity", [14, 18, 18]),
    ("identity_request", [2, 2, 2]),
    ("utility", [12, 23, 26]),
    ("ndid", [29, 37, 41]),
];

#[test]
fn each_version_has_the_endpoints_of_the_specification() {
    let all = all();
    for (group, counts) in COUNTS {
        let of_group = all.iter().filter(|entry| entry.group() == group);
        let since: Vec<_> = of_group.map(|entry| entry.since.unwrap()).collect();
        let versions = [ApiVersion::V4, ApiVersion::V5, ApiVersion::V6];
        let found = versions.map(|version| since.iter().filter(|since| **since <= version).count());
        let lacks = std::iter::zip(found, counts).any(|(found, count)| found < count);
        assert!(!lacks, "{group}: {found:?}, not {counts:?}");
    }
}
