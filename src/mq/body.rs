//! The bytes of each message type (spec/messaging-and-crypto.md 3.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;
use serde_json::{Map, Value};

use super::data_url;
use super::message::Message;
use crate::error::{Error, codes};
use crate::json;
use crate::proto::wire;
use crate::pulse;

/// A message as a JSON object, members in the order of creation.
pub fn to_object(message: &Message) -> Map<String, Value> {
    match serde_json::to_value(message) {
        Ok(Value::Object(object)) => object,
        // A struct of plain data with text keys is always an object.
        other => unreachable!("a message is an object: {other:?}"),
    }
}

/// The bytes that are signed and encrypted.
pub fn encode(message: &Message) -> Vec<u8> {
    let mut object = to_object(message);
    match message {
        Message::IdpResponse(_) | Message::DataRequest(_) => {
            Value::Object(object).to_string().into_bytes()
        }
        Message::ConsentRequest(request) => {
            object.shift_remove("request_message");
            encode_consent_request(object, &request.request_message).encode_to_vec()
        }
        Message::AsResponse(_) => {
            let packed = object.shift_remove("packed_data");
            encode_as_response(object, packed.as_ref()).encode_to_vec()
        }
    }
}

fn encode_consent_request(
    mut object: Map<String, Value>,
    request_message: &str,
) -> wire::ConsentRequestMqMessage {
    match data_url::split_base64(request_message) {
        Some(parts) => wire::ConsentRequestMqMessage {
            request_json: Value::Object(object).to_string(),
            request_message_data_url_prefix: parts.prefix.to_owned(),
            request_message_bytes: Bytes::from(parts.bytes),
        },
        None => {
            object.insert("request_message".to_owned(), request_message.into());
            wire::ConsentRequestMqMessage {
                request_json: Value::Object(object).to_string(),
                ..Default::default()
            }
        }
    }
}

fn encode_as_response(
    object: Map<String, Value>,
    packed: Option<&Value>,
) -> wire::AsDataResponseMqMessage {
    let request_json = Value::Object(object).to_string();
    let bytes = packed
        .and_then(|packed| packed["buffer_base64"].as_str())
        .and_then(|text| STANDARD.decode(text).ok());
    match (packed, bytes) {
        (Some(packed), Some(bytes)) => wire::AsDataResponseMqMessage {
            request_json,
            packed_data_metadata: packed["metadata"].to_string(),
            packed_data_bytes: Bytes::from(bytes),
        },
        _ => wire::AsDataResponseMqMessage {
            request_json,
            ..Default::default()
        },
    }
}

/// Restores the JSON object from the bytes of a message of this type.
/// # Errors
/// 10043 unknown type; 10023 bytes of another form.
pub fn decode(type_name: &str, bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    pulse::keep_off("parsing a message");
    match type_name {
        "idp_response" | "data_request" => parse_object(bytes),
        "consent_request" => {
            let message = wire::ConsentRequestMqMessage::decode(bytes).map_err(malformed)?;
            let mut object = parse_object(message.request_json.as_bytes())?;
            let prefix = &message.request_message_data_url_prefix;
            if !prefix.is_empty() {
                let text = data_url::join_base64(prefix, &message.request_message_bytes);
                object.insert("request_message".to_owned(), text.into());
            }
            Ok(object)
        }
        "as_response" => {
            let message = wire::AsDataResponseMqMessage::decode(bytes).map_err(malformed)?;
            let mut object = parse_object(message.request_json.as_bytes())?;
            if !message.packed_data_metadata.is_empty() {
                let metadata = parse_object(message.packed_data_metadata.as_bytes())?;
                let packed = serde_json::json!({
                    "buffer_base64": STANDARD.encode(&message.packed_data_bytes),
                    "metadata": metadata,
                });
                object.insert("packed_data".to_owned(), packed);
            }
            Ok(object)
        }
        _ => Err(codes::INVALID_MESSAGE_TYPE.into()),
    }
}

/// Nobody has signed these bytes yet, so the cost of parsing is bounded.
fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    if json::has_too_many_values(bytes) {
        return Err(malformed("too many values"));
    }
    json::parse(bytes).map_err(malformed)
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::with_message(
        codes::MALFORMED_MESSAGE_FORMAT,
        format!("{}: {error}", codes::MALFORMED_MESSAGE_FORMAT.message),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// spec/messaging-and-crypto.md 10, "Serialisation only".
    #[test]
    fn bytes_are_those_of_the_specified_vectors() {
        let request = object(json!({"type": "consent_request", "request_id": "r"}));
        let url = "data:text/plain;base64,SGVsbG8=";
        let bytes = encode_consent_request(request.clone(), url).encode_to_vec();
        assert_eq!(
            hex::encode(&bytes),
            "0a2b7b2274797065223a22636f6e73656e745f72657175657374222c22726571756573745f6964223a2272227d1217646174613a746578742f706c61696e3b6261736536342c1a0548656c6c6f"
        );
        let decoded = decode("consent_request", &bytes).unwrap();
        assert_eq!(decoded["request_message"], url);

        let bytes = encode_consent_request(request, "plain text").encode_to_vec();
        assert_eq!(
            hex::encode(&bytes),
            "0a4a7b2274797065223a22636f6e73656e745f72657175657374222c22726571756573745f6964223a2272222c22726571756573745f6d657373616765223a22706c61696e2074657874227d"
        );
        let decoded = decode("consent_request", &bytes).unwrap();
        assert_eq!(decoded["request_message"], "plain text");

        let response =
            json!({"type": "as_response", "request_id": "r1", "as_id": "as1", "height": 5});
        let packed = json!({"buffer_base64": "AAEC", "metadata": {"compression_algorithm": null}});
        let bytes = encode_as_response(object(response), Some(&packed)).encode_to_vec();
        assert_eq!(
            hex::encode(&bytes),
            "0a417b2274797065223a2261735f726573706f6e7365222c22726571756573745f6964223a227231222c2261735f6964223a22617331222c22686569676874223a357d121e7b22636f6d7072657373696f6e5f616c676f726974686d223a6e756c6c7d1a03000102"
        );
        assert_eq!(
            decode("as_response", &bytes).unwrap()["packed_data"],
            packed
        );
    }

    #[test]
    fn more_values_than_any_message_has_are_refused_before_they_take_memory() {
        let zeros = |count| format!("{{\"a\":[{}0]}}", "0,".repeat(count));
        let wrapped = |text: &str| wire::ConsentRequestMqMessage {
            request_json: text.to_owned(),
            ..Default::default()
        };
        let packed = |metadata: &str| wire::AsDataResponseMqMessage {
            request_json: "{}".to_owned(),
            packed_data_metadata: metadata.to_owned(),
            ..Default::default()
        };
        let many = zeros(json::MOST_VALUES);
        for (type_name, bytes) in [
            ("idp_response", many.clone().into_bytes()),
            ("data_request", many.clone().into_bytes()),
            ("consent_request", wrapped(&many).encode_to_vec()),
            ("as_response", packed(&many).encode_to_vec()),
        ] {
            let error = decode(type_name, &bytes).unwrap_err();
            assert_eq!(error.code().number, 10023, "{type_name}");
        }
        assert!(decode("idp_response", zeros(1000).as_bytes()).is_ok());
    }

    /// A cut emoji is U+FFFD, as it is in the hash that the ledger has.
    #[test]
    fn half_a_surrogate_pair_makes_no_message_unreadable() {
        let text = br#"{"request_message":"x\ud83d"}"#;
        let wrapped = wire::ConsentRequestMqMessage {
            request_json: String::from_utf8(text.to_vec()).unwrap(),
            ..Default::default()
        };
        for (type_name, bytes) in [
            ("data_request", text.to_vec()),
            ("consent_request", wrapped.encode_to_vec()),
        ] {
            let decoded = decode(type_name, &bytes).unwrap();
            assert_eq!(decoded["request_message"], "x\u{FFFD}", "{type_name}");
        }
    }

    #[test]
    fn bytes_of_another_form_are_refused() {
        let number = |type_name, bytes: &[u8]| decode(type_name, bytes).unwrap_err().code().number;
        assert_eq!(number("", b"{}"), 10043);
        assert_eq!(number("toString", b"{}"), 10043);
        for type_name in [
            "idp_response",
            "data_request",
            "consent_request",
            "as_response",
        ] {
            assert_eq!(number(type_name, b"[1]"), 10023, "{type_name}");
            assert_eq!(number(type_name, b""), 10023, "{type_name}");
        }
    }
}
