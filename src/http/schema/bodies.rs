//! JSON Schemas (draft 7) of request bodies (spec/http-api.md 3). The order of
//! members is the order in which faults are told.

use serde_json::{Map, Value, json};

fn text() -> Value {
    json!({"type": "string"})
}

fn some_text() -> Value {
    json!({"type": "string", "minLength": 1})
}

fn number() -> Value {
    json!({"type": "number"})
}

fn url() -> Value {
    json!({"type": "string", "pattern": "^(https?)://", "format": "uri"})
}

fn integer_from(minimum: i64) -> Value {
    json!({"type": "integer", "minimum": minimum})
}

/// Members with their schemas, in order; those named with `!` are required.
fn object(members: Vec<(&str, Value)>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in members {
        let bare = name.trim_end_matches('!');
        if bare != name {
            required.push(bare.to_owned());
        }
        properties.insert(bare.to_owned(), schema);
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The members of every operation that answers through a callback, then its own.
fn operation(members: Vec<(&str, Value)>) -> Value {
    let mut all = vec![
        ("node_id", some_text()),
        ("reference_id!", some_text()),
        ("callback_url!", url()),
    ];
    all.extend(members);
    object(all)
}

/// `POST /rp/requests/{namespace}/{identifier}`
pub fn create_request() -> Value {
    json!({"anyOf": [create_request_variant(&[1]), create_request_variant(&[2, 3])]})
}

fn create_request_variant(modes: &[u8]) -> Value {
    let data_request = object(vec![
        ("service_id!", some_text()),
        ("as_id_list", json!({"type": "array", "items": some_text()})),
        ("min_as!", integer_from(0)),
        ("request_params", text()),
    ]);
    let mut members = vec![
        ("mode!", json!({"type": "number", "enum": modes})),
        (
            "idp_id_list",
            json!({"type": "array", "items": some_text(), "uniqueItems": true}),
        ),
        (
            "data_request_list",
            json!({"type": "array", "items": data_request, "uniqueItems": true}),
        ),
        ("request_message!", text()),
        ("min_ial!", number()),
        ("min_aal!", number()),
        ("min_idp!", integer_from(1)),
        ("request_timeout!", integer_from(1)),
        ("initial_salt", text()),
        ("request_type", some_text()),
    ];
    if modes != [1] {
        members.push(("bypass_identity_check!", json!({"type": "boolean"})));
    }
    operation(members)
}

/// `POST /rp/request_close`
pub fn close_request() -> Value {
    operation(vec![("request_id!", some_text())])
}

/// `POST /idp/response`
pub fn idp_response() -> Value {
    operation(vec![
        ("request_id!", some_text()),
        ("ial!", number()),
        ("aal!", number()),
        (
            "status!",
            json!({"type": "string", "enum": ["accept", "reject"]}),
        ),
        ("accessor_id", text()),
        ("signature!", some_text()),
    ])
}

/// `POST /idp/error_response`
pub fn idp_error_response() -> Value {
    operation(vec![
        ("request_id!", some_text()),
        ("error_code!", integer_from(1)),
    ])
}

/// `POST /as/service/{service_id}`
pub fn offer_service() -> Value {
    operation(vec![
        ("min_ial", number()),
        ("min_aal", number()),
        ("url", url()),
        (
            "supported_namespace_list",
            json!({"type": "array", "items": some_text(), "minItems": 1, "uniqueItems": true}),
        ),
    ])
}

/// `POST /as/data/{request_id}/{service_id}`
pub fn as_data() -> Value {
    operation(vec![("data!", some_text())])
}

/// `POST /as/error/{request_id}/{service_id}`
pub fn as_error() -> Value {
    operation(vec![("error_code!", integer_from(1))])
}

/// `POST /{rp,idp,as,proxy}/callback`
pub fn callback_urls(names: &[&str]) -> Value {
    object(names.iter().map(|name| (*name, url())).collect())
}

/// `POST /node/callback`: at least one of the URLs.
pub fn node_callback_urls() -> Value {
    let names = [
        "sign_url",
        "master_sign_url",
        "decrypt_url",
        "message_queue_send_success_url",
    ];
    let mut schema = callback_urls(&names);
    schema["anyOf"] = names
        .iter()
        .map(|name| json!({"required": [name]}))
        .collect();
    schema
}

/// `POST /identity/{namespace}/{identifier}/removal_from_reference_group`
pub fn removal_from_reference_group() -> Value {
    operation(vec![("request_message", text())])
}

/// `POST /identity/{namespace}/{identifier}/reference_group_merge`
pub fn reference_group_merge() -> Value {
    operation(vec![
        ("namespace_to_merge!", some_text()),
        ("identifier_to_merge!", some_text()),
        ("request_message", text()),
    ])
}

/// `POST /config/set`
pub fn settings() -> Value {
    let flag = || json!({"type": "boolean"});
    object(vec![
        (
            "CALLBACK_API_VERSION",
            json!({"type": "string", "enum": ["4.0", "5.3", "6.0"]}),
        ),
        (
            "EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION",
            json!({"type": "string", "enum": ["5.3", "6.0"]}),
        ),
        ("AUTO_CLOSE_REQUEST_ON_COMPLETED", flag()),
        ("AUTO_CLOSE_REQUEST_ON_REJECTED", flag()),
        ("AUTO_CLOSE_REQUEST_ON_COMPLICATED", flag()),
        ("AUTO_CLOSE_REQUEST_ON_ERRORED", flag()),
    ])
}
