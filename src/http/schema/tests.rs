use serde_json::Value;

use super::*;
use crate::http::routes;

#[test]
fn every_schema_compiles() {
    assert!(!all().is_empty());
    for route in routes::all() {
        let body = check_body(route.endpoint, &json!([]));
        assert!(body.is_ok() || body.is_err_and(|error| error.details().is_some()));
        assert!(
            check_query(route.endpoint, &json!({"node_id": "x"})).is_ok()
                || route.endpoint == Endpoint::PaddedHash
                || route.endpoint == Endpoint::Utility(Utility::ServicePriceCeiling)
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
    let recordings = include_str!("../../../tests/wire/vectors/mode1/http.jsonl");
    let mut compared = 0;
    for line in recordings.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let code = record["response"]["error"]["code"].as_u64();
        let path = record["path"].as_str().unwrap_or_default();
        let Some(path) = path.strip_prefix("/v6").filter(|_| code == Some(20003)) else {
            continue;
        };
        let method = actix_web::http::Method::POST;
        let segments = routes::segments(path);
        let roles = [crate::node::Role::Proxy];
        let routes::Found::Route(route, _) = routes::find(&method, &segments, roles[0]) else {
            panic!("{path} is not a route");
        };
        let is_json = record["content_type"] == "application/json";
        let body = match &record["request"] {
            Value::String(_) if !is_json => json!({}),
            Value::String(text) if text.is_empty() => json!({}),
            Value::String(text) => serde_json::from_str(text).unwrap(),
            body => body.clone(),
        };
        let error = check_body(route.endpoint, &body).expect_err(line);
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
        let endpoint = Endpoint::SetCallbackUrls(CallbackOwner::Rp);
        match check_body(endpoint, &json!({"error_url": url})) {
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
    let error = check_query(Endpoint::RequestData, &repeated).unwrap_err();
    assert_eq!(error.code().number, 20002);
    let mode = json!({"mode": "1"});
    assert!(check_query(Endpoint::Utility(Utility::IdpsOfIdentity), &mode).is_err());
    let agent = json!({"agent": "true"});
    assert!(check_query(Endpoint::Utility(Utility::Idps), &agent).is_ok());
}

#[test]
fn one_callback_url_of_the_node_is_enough_and_needed() {
    let endpoint = Endpoint::SetCallbackUrls(CallbackOwner::Node);
    assert!(check_body(endpoint, &json!({"sign_url": "http://a"})).is_ok());
    let error = check_body(endpoint, &json!({})).unwrap_err();
    let keywords: Vec<_> = shape(error.details().unwrap())
        .into_iter()
        .map(|(_, keyword, _)| keyword)
        .collect();
    assert_eq!(
        keywords,
        ["required", "required", "required", "required", "anyOf"]
    );
}
