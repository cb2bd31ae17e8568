//! The schemas of incoming messages (spec/messaging-and-crypto.md 4). Unknown
//! members are allowed everywhere. A member that is present must have its type
//! even where it is optional.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Value, json};

use super::message::Message;
use crate::error::{Error, codes};

/// Most problems named in an error.
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
    // The schemas are constants of this file, and its tests compile each of
    // them.
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
        // Names the place and the rule, not the value, because messages are
        // private.
        .map(|error| json!({"instancePath": error.instance_path().as_str(), "schemaPath": error.schema_path().as_str()}))
        .collect();
    if !problems.is_empty() {
        return Err(mismatch(json!(problems)));
    }
    // Moves the value without a copy, because a message may be large.
    Message::deserialize(message).map_err(|error| mismatch(json!(error.to_string())))
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

/// The schema of an object with these required and optional members.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of spec/messaging-and-crypto.md 4.
    const EXAMPLES: [&str; 7] = [
        r##"{"type":"consent_request","namespace":"citizen_id","identifier":"1234567890123","mode":1,"request_id":"3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5","min_aal":1,"min_ial":1.1,"request_timeout":86400,"data_request_list":[{"service_id":"001.cust_info_001","as_id_list":["as1"],"min_as":1}],"data_request_params_salt_list":["54ZxddvQGzzNAclM8CkSJWJ44KBx4ksKtmUQMXzcLuA="],"request_message":"please confirm","rp_id":"rp1","request_message_salt":"EOejeoqF+nqUbsD/ikixX4QeNgqllKizWDJO0amkAM0=","initial_salt":"ZXJhd2FuIHNwZWMgdGVzdCB2ZWN0b3Igc2FsdCAwMDE=","creation_time":1732000000000,"chain_id":"test-chain-NDID","height":40}"##,
        r##"{"type":"consent_request","reference_group_code":"aaaaa-bbbbb-ccccc-ddddd","mode":3,"request_id":"3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5","min_aal":2.1,"min_ial":2.3,"request_timeout":86400,"data_request_list":[],"data_request_params_salt_list":[],"request_message":"data:text/plain;charset=utf-8;base64,cGxlYXNlIGNvbmZpcm0=","rp_id":"rp1","request_message_salt":"EOejeoqF+nqUbsD/ikixX4QeNgqllKizWDJO0amkAM0=","initial_salt":"ZXJhd2FuIHNwZWMgdGVzdCB2ZWN0b3Igc2FsdCAwMDE=","request_type":"dsign.dcontract","creation_time":1732000000000,"chain_id":"test-chain-NDID","height":40}"##,
        r##"{"type":"idp_response","request_id":"3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5","mode":3,"accessor_id":"11267a29-2196-4400-8b67-7424519b87ec","idp_id":"idp1","chain_id":"test-chain-NDID","height":42}"##,
        r##"{"type":"idp_response","request_id":"3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5","idp_id":"idp1","error_code":30000,"chain_id":"test-chain-NDID","height":42}"##,
        r##"{"type":"data_request","request_id":"3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5","mode":3,"namespace":"citizen_id","identifier":"1234567890123","service_data_request_list":[{"service_id":"001.cust_info_001","request_params":"{\"format\":\"pdf\"}","request_params_salt":"54ZxddvQGzzNAclM8CkSJWJ44KBx4ksKtmUQMXzcLuA="}],"request_message":"please confirm","request_message_salt":"EOejeoqF+nqUbsD/ikixX4QeNgqllKizWDJO0amkAM0=","response_private_data_list":[{"idp_id":"idp1","accessor_id":"11267a29-2196-4400-8b67-7424519b87ec"}],"creation_time":1732000000000,"request_timeout":86400,"rp_id":"rp1","initial_salt":"ZXJhd2FuIHNwZWMgdGVzdCB2ZWN0b3Igc2FsdCAwMDE=","chain_id":"test-chain-NDID","height":42}"##,
        r##"{"type":"as_response","request_id":"3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5","as_id":"as1","service_id":"001.cust_info_001","signature":"JSYmx/B+qtQ53Ptf…(b64)…","data_salt":"oe1F+2x7KayjjySwyrK3l8UiwkNozFFptAYjMFwmoPs=","packed_data":{"buffer_base64":"eyJuYW1lIjoi4LiX4LiU4Liq4Lit4LiaIn0=","metadata":{"compression_algorithm":null}},"chain_id":"test-chain-NDID","height":45}"##,
        r##"{"type":"as_response","request_id":"3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5","as_id":"as1","service_id":"001.cust_info_001","error_code":40000,"chain_id":"test-chain-NDID","height":45}"##,
    ];

    fn code(message: &Value) -> u32 {
        validate(message).unwrap_err().code().number
    }

    #[test]
    fn the_specified_examples_are_valid_and_written_the_same() {
        for text in EXAMPLES {
            let value: Value = serde_json::from_str(text).unwrap();
            let message = validate(&value).unwrap();
            assert_eq!(serde_json::to_value(&message).unwrap(), value);
        }
    }

    #[test]
    fn unknown_members_are_allowed_and_wrong_ones_are_not() {
        for text in EXAMPLES {
            let valid: Value = serde_json::from_str(text).unwrap();
            let mut more = valid.clone();
            more["something_new"] = json!({"a": [1]});
            assert!(validate(&more).is_ok());
            for name in valid.as_object().unwrap().keys() {
                let mut wrong = valid.clone();
                wrong[name] = Value::Null;
                let expected = if name == "type" { 10043 } else { 10044 };
                assert_eq!(code(&wrong), expected, "{name} is null in {text}");
            }
        }
        assert_eq!(code(&json!([])), 10043);
        assert_eq!(code(&json!({"type": "toString"})), 10043);
    }

    #[test]
    fn members_needed_together_are_needed() {
        let consent: Value = serde_json::from_str(EXAMPLES[0]).unwrap();
        let without = |message: &Value, name: &str| {
            let mut message = message.clone();
            message.as_object_mut().unwrap().shift_remove(name);
            message
        };
        assert_eq!(code(&without(&consent, "identifier")), 10044);
        let mut by_group = without(&consent, "identifier");
        by_group["reference_group_code"] = json!("group");
        assert_eq!(code(&by_group), 10044);
        by_group["mode"] = json!(2);
        assert!(validate(&by_group).is_ok());

        let response: Value = serde_json::from_str(EXAMPLES[2]).unwrap();
        assert_eq!(code(&without(&response, "accessor_id")), 10044);
        assert_eq!(code(&without(&response, "mode")), 10044);
        let data: Value = serde_json::from_str(EXAMPLES[5]).unwrap();
        assert_eq!(code(&without(&data, "data_salt")), 10044);
    }
}
