//! JSON Schemas (draft 7) of query strings (spec/http-api.md 3).

use serde_json::{Map, Value, json};

fn some_text() -> Value {
    json!({"type": "string", "minLength": 1})
}

/// Parameters that are text wherever they are given.
pub fn texts(names: &[&str]) -> Value {
    let properties: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "string"})))
        .collect();
    json!({"type": "object", "properties": properties})
}

/// One parameter that may be left out.
pub fn optional_text(name: &str) -> Value {
    json!({"type": "object", "properties": {name: some_text()}})
}

/// One parameter that must be there.
pub fn required_text(name: &str) -> Value {
    json!({"type": "object", "properties": {name: some_text()}, "required": [name]})
}

/// `GET /idp/request_message_padded_hash`
pub fn padded_hash() -> Value {
    json!({
        "type": "object",
        "properties": {
            "node_id": some_text(),
            "request_id": some_text(),
            "accessor_id": some_text(),
        },
        "required": ["request_id", "accessor_id"],
    })
}

/// `GET /utility/idp`, or `/utility/idp/{namespace}/{identifier}`, which has `mode` and no `agent`.
pub fn idps(of_identity: bool) -> Value {
    let names = [
        "min_ial",
        "min_aal",
        "supported_feature_list",
        "filter_for_node_id",
    ];
    let mut schema = texts(&names);
    if of_identity {
        schema["properties"]["mode"] = json!({"type": "string", "enum": ["2", "3"]});
    } else {
        schema["properties"]["agent"] = json!({"type": "string", "enum": ["true", "false"]});
    }
    schema
}
