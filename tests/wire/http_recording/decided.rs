//! Where we mean to differ from the recorded system, and how.

use serde_json::{Value, json};

/// Endpoints that the recorded system served and this release answers with 501.
pub const NOT_IN_THIS_RELEASE: &[&str] = &[
    "/v6/utility/private_messages",
    "/v6/utility/private_message_removal",
    "/v6/utility/service_price_ceiling",
];

/// Whether a path is of an endpoint that is not in this release.
pub fn is_not_in_this_release(path: &str) -> bool {
    NOT_IN_THIS_RELEASE
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

/// A record as it must be with us; `None` when it must not happen.
pub fn ours(record: Value) -> Option<Value> {
    match record["scenario"].as_str() {
        Some("same reference twice") => one_request_of_a_reference(record),
        Some("look-ups") if record["path"] == "/source" => Some(without_source(record)),
        _ => Some(record),
    }
}

/// Of two simultaneous requests with one reference id the recorded system took
/// both; one is right (spec/http-api.md 7, Q21).
fn one_request_of_a_reference(mut record: Value) -> Option<Value> {
    const TAKEN: &str = "9d985d737c5972ffd3889a283c35182bbdbe18c33044070621e06fb0165a948d";
    const REFUSED: &str = "fde4";
    let named = |value: &Value, prefix: &str| {
        value["request_id"]
            .as_str()
            .is_some_and(|id| id.starts_with(prefix))
    };
    if named(&record["body"], REFUSED) {
        return None;
    }
    if named(&record["response"], REFUSED) && record["status"] == 202 {
        record["status"] = json!(400);
        record["response"] = json!({"error": {
            "code": 20045,
            "message": "Request for this reference ID is in progress",
        }});
    } else if named(&record["response"], REFUSED) {
        record["response"] = json!({"request_id": TAKEN});
    }
    Some(record)
}

/// Our source is published nowhere yet.
fn without_source(mut record: Value) -> Value {
    record["status"] = json!(404);
    record["headers"] = json!({"content-length": "0"});
    record["response"] = Value::Null;
    record
}
