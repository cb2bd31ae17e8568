//! Where we mean to differ from the recorded system, and how.

use serde_json::{Value, json};

/// A record as it must be with us, and what must follow it; nothing when it
/// must not happen.
pub fn ours(record: Value) -> Vec<Value> {
    let is_too_large = record["body"]["error"]["code"] == 10000;
    match record["scenario"].as_str() {
        Some("same reference twice") => one_request_of_a_reference(record).into_iter().collect(),
        Some("look-ups") if record["path"] == "/source" => vec![without_source(record)],
        _ if is_too_large => not_on_the_ledger(record),
        _ => vec![record],
    }
}

/// The recorded system left a request whose message is too large on the ledger
/// for ever; it must never get there (spec/http-api.md 7, Q19).
fn not_on_the_ledger(failure: Value) -> Vec<Value> {
    let request_id = failure["body"]["request_id"].as_str().unwrap_or_default();
    let look_up = json!({
        "scenario": failure["scenario"],
        "kind": "call",
        "node": "rp1",
        "method": "GET",
        "path": format!("/v6/utility/requests/{request_id}"),
        "status": 404,
        "headers": {"content-length": "0"},
        "response": null,
    });
    vec![failure, look_up]
}

/// The recorded system took two simultaneous requests with one reference id; one is
/// right (spec/http-api.md 7, Q21).
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

/// A second answer to a consent or data request. The recorded client sent it
/// while the first was on its way to the ledger, which then refused it; if the
/// first has arrived there, the node itself refuses it (spec/flows.md 3.3, 4.5),
/// and no callback follows. Both are right: which one it is depends on speed
/// alone. Gives the error codes of the early refusal: enough answers, or the
/// request is no longer waiting for this node.
pub fn refused_at_once(record: &Value) -> &'static [u64] {
    match record["request"]["reference_id"].as_str() {
        Some("idp-ref-44") => &[20081, 20038],
        Some("as-ref-49") => &[20082, 20037],
        _ => &[],
    }
}
