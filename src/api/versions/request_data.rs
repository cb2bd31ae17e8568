//! `GET /rp/request_data` of versions 5 and 4: one name of a method instead of an
//! algorithm and a key's version (spec/http-api-v4-v5.md 4).

use serde_json::{Value, json};

use super::{Adapter, Members, each};
use crate::api::success::Success;

pub(super) fn v5() -> Adapter {
    Adapter {
        answer_out: Some(|list| each(list, with_sign_method)),
        success: Some(Success::json(200, &shape())),
        ..Adapter::default()
    }
}

fn shape() -> Value {
    json!([{
        "source_node_id": "text",
        "service_id": "text",
        "source_signature": "text",
        "signature_sign_method": "text",
        "data_salt": "text",
        "data": "text",
    }])
}

fn with_sign_method(data: &mut Members) {
    let version = data.shift_remove("signature_signing_key_version");
    let members = std::mem::take(data).into_iter();
    data.extend(members.map(|(name, value)| match name.as_str() {
        "signature_signing_algorithm" => {
            let method = sign_method(value, version.is_some());
            ("signature_sign_method".to_owned(), method)
        }
        _ => (name, value),
    }));
}

/// Data from before keys had versions keeps its old name.
fn sign_method(algorithm: Value, has_key_version: bool) -> Value {
    match has_key_version || algorithm != "RSASSA_PKCS1_V1_5_SHA_256" {
        true => algorithm,
        false => json!("RSA-SHA256"),
    }
}
