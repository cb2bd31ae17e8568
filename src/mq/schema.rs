//! What an incoming message must look like (spec/messaging-and-crypto.md 4).
//! Unknown members are allowed everywhere; a member that is there must have
//! its type even where it is optional.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::message::Message;
use crate::error::{Error, codes};

/// Problems named in an error, at most.
const MAX_PROBLEMS: usize = 20;

struct Schemas {
    consent_request: Validator,
    idp_response: Validator,
    data_request: Validator,
    as_response: Validator,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas {
    consent_request: compile(consent_request()),
    idp_response: compile(idp_response()),
    data_request: compile(data_request()),
    as_response: compile(as_response()),
});

fn compile(schema: Value) -> Validator {
    // The schemas are constants of this file; its tests compile each of them.
    jsonschema::validator_for(&schema).expect("schemas of this file are valid")
}

/// Checks a message against the schema of its `type` and reads it.
///
/// # Errors
/// 10043 unknown type; 10044 mismatch, with the problems found in the details.
pub fn validate(message: &Value) -> Result<Message, Error> {
    let schemas = &*SCHEMAS;
    let schema = match message["type"].as_str() {
        Some("consent_request") => &schemas.consent_request,
        Some("idp_response") => &schemas.idp_response,
        Some("data_request") => &schemas.data_request,
        Some("as_response") => &schemas.as_response,
        _ => return Err(codes::INVALID_MESSAGE_TYPE.into()),
    };
    let problems: Vec<Value> = schema
        .iter_errors(message)
        .take(MAX_PROBLEMS)
        // Where and which rule, not the value: messages are private.
        .map(|error| json!({"instancePath": error.instance_path().as_str(), "schemaPath": error.schema_path().as_str()}))
        .collect();
    if !problems.is_empty() {
        return Err(mismatch(json!(problems)));
    }
    serde_json::from_value(message.clone()).map_err(|error| mismatch(json!(error.to_string())))
}

fn mismatch(problems: Value) -> Error {
    Error::from(codes::INVALID_MESSAGE_SCHEMA).with_details(json!({"validationResult": problems}))
}

fn text() -> Value {
    json!({"type": "string", "minLength": 1})
}

fn positive() -> Value {
    json!({"type": "integer", "minimum": 1})
}

/// An object with these required and optional members.
fn object(required: Value, optional: Value) -> Value {
    let mut properties = required.clone();
    if let (Some(properties), Some(optional)) = (properties.as_object_mut(), optional.as_object()) {
        properties.extend(optional.clone());
    }
    let names: Vec<&String> = required
        .as_object()
        .map(|required| required.keys().collect())
        .unwrap_or_default();
    json!({"type": "object", "properties": properties, "required": names})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn consent_request() -> Value {
    let service = object(
        json!({"service_id": text()}),
        json!({"as_id_list": list(text()), "min_as": {"type": "integer", "minimum": 0}}),
    );
    let mut schema = object(
        json!({
            "type": text(),
            "mode": {"enum": [1, 2, 3]},
            "request_id": text(),
            "min_ial": {"type": "number"},
            "min_aal": {"type": "number"},
            "request_timeout": positive(),
            "data_request_list": list(service),
            "data_request_params_salt_list": list(text()),
            "request_message": {"type": "string"},
            "request_message_salt": text(),
            "initial_salt": text(),
            "rp_id": text(),
            "creation_time": positive(),
            "chain_id": text(),
            "height": positive(),
        }),
        json!({
            "namespace": text(),
            "identifier": text(),
            "reference_group_code": text(),
            "request_type": text(),
        }),
    );
    schema["anyOf"] = json!([
        {"required": ["namespace", "identifier"]},
        {"properties": {"mode": {"enum": [2, 3]}}, "required": ["reference_group_code"]},
    ]);
    schema
}

fn idp_response() -> Value {
    let mut schema = object(
        json!({
            "type": text(),
            "request_id": text(),
            "idp_id": text(),
            "chain_id": text(),
            "height": positive(),
        }),
        json!({
            "mode": {"type": "number"},
            "accessor_id": text(),
            "error_code": {"type": "number", "minimum": 1},
        }),
    );
    schema["anyOf"] = json!([
        {"properties": {"mode": {"const": 1}}, "required": ["mode"]},
        {"properties": {"mode": {"enum": [2, 3]}}, "required": ["mode", "accessor_id"]},
        {"required": ["error_code"]},
    ]);
    schema
}

fn data_request() -> Value {
    let service = object(
        json!({"service_id": text(), "request_params_salt": text()}),
        json!({"request_params": {"type": "string"}}),
    );
    let private_data = object(json!({"idp_id": text()}), json!({"accessor_id": text()}));
    object(
        json!({
            "type": text(),
            "request_id": text(),
            "mode": {"enum": [1, 2, 3]},
            "namespace": text(),
            "identifier": text(),
            "service_data_request_list": list(service),
            "request_message": {"type": "string"},
            "request_message_salt": text(),
            "response_private_data_list": list(private_data),
            "creation_time": positive(),
            "request_timeout": positive(),
            "rp_id": text(),
            "initial_salt": text(),
            "chain_id": text(),
            "height": positive(),
        }),
        json!({}),
    )
}

fn as_response() -> Value {
    let metadata = object(
        json!({"compression_algorithm": {"type": ["string", "null"]}}),
        json!({"base64_data_url": {"type": "boolean"}, "data_url_prefix": text()}),
    );
    let packed_data = object(
        json!({"buffer_base64": text(), "metadata": metadata}),
        json!({}),
    );
    let mut schema = object(
        json!({
            "type": text(),
            "request_id": text(),
            "as_id": text(),
            "service_id": text(),
            "chain_id": text(),
            "height": positive(),
        }),
        json!({
            "signature": text(),
            "data_salt": text(),
            "packed_data": packed_data,
            "error_code": {"type": "number", "minimum": 1},
        }),
    );
    schema["anyOf"] = json!([
        {"required": ["signature", "data_salt", "packed_data"]},
        {"required": ["error_code"]},
    ]);
    schema
}
