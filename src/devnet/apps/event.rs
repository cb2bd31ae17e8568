//! Names the event that a callback tells of, by its content alone. Two
//! callbacks of one event must have one identity, whatever died between them.

use openssl::sha::sha256;
use serde_json::Value;

/// Members that identify an event that happens once.
const ONCE: [(&str, &[&str]); 7] = [
    ("incoming_request", &["request_id"]),
    ("data_request", &["request_id", "service_id"]),
    ("create_request_result", &["reference_id", "request_id"]),
    ("close_request_result", &["reference_id", "request_id"]),
    ("create_identity_result", &["reference_id"]),
    ("response_result", &["reference_id", "request_id"]),
    (
        "add_or_update_service_result",
        &["reference_id", "service_id"],
    ),
];

/// The event of a callback to an application. An event that can happen several
/// times (a status, an error) is named by its whole content: no two are alike
/// but for the height of the block.
pub fn event_of(application: &str, body: &Value) -> String {
    let kind = body["type"].as_str().unwrap_or("?");
    let text = |member: &str| match &body[member] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Some((_, members)) = ONCE.iter().find(|(name, _)| *name == kind) {
        let members: Vec<String> = members.iter().map(|member| text(member)).collect();
        return format!("{application}: {kind} {}", members.join(" "));
    }
    let mut content = body.clone();
    if let Value::Object(members) = &mut content {
        members.retain(|name, _| name != "block_height");
    }
    content.sort_all_objects();
    let digest = hex::encode(&sha256(content.to_string().as_bytes())[..8]);
    format!(
        "{application}: {kind} {} {} ({digest})",
        text("request_id"),
        text("status")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_callback_that_comes_again_is_of_the_same_event() {
        let one = json!({"type": "request_status", "request_id": "r", "status": "pending", "block_height": "a:7"});
        let again = json!({"type": "request_status", "request_id": "r", "block_height": "a:8", "status": "pending"});
        assert_eq!(event_of("rp", &one), event_of("rp", &again));
    }

    #[test]
    fn another_status_request_service_or_application_is_another_event() {
        let status = |request: &str, status: &str| json!({"type": "request_status", "request_id": request, "status": status});
        let one = event_of("rp", &status("r", "pending"));
        assert_ne!(one, event_of("rp", &status("r", "confirmed")));
        assert_ne!(one, event_of("rp", &status("s", "pending")));
        assert_ne!(one, event_of("idp", &status("r", "pending")));
        let data = |service: &str| json!({"type": "data_request", "request_id": "r", "service_id": service});
        assert_ne!(event_of("as", &data("a")), event_of("as", &data("b")));
    }

    #[test]
    fn an_event_that_happens_once_is_known_by_its_names_whatever_else_is_told() {
        let one = json!({"type": "incoming_request", "request_id": "r", "creation_time": 1});
        let again = json!({"type": "incoming_request", "request_id": "r", "creation_time": 2});
        assert_eq!(event_of("idp", &one), event_of("idp", &again));
    }
}
