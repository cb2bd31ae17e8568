//! `GET /utility/nodes/:node_id` of versions 5 and 4: two keys as plain PEM
//! texts (spec/http-api-v4-v5.md 4, 5).

use serde_json::{Value, json};

use super::idps::{FLAG, feature_as_flag};
use super::{Adapter, Members, remove};
use crate::api::success::Success;

pub(super) fn v5() -> Adapter {
    Adapter {
        answer_out: Some(version_5),
        success: Some(Success::json(200, &shape(true))),
        ..Adapter::default()
    }
}

pub(super) fn v4() -> Adapter {
    Adapter {
        answer_out: Some(version_4),
        success: Some(Success::json(200, &shape(false))),
        ..Adapter::default()
    }
}

fn shape(is_v5: bool) -> Value {
    let address = || json!([{"ip": "text", "port": "integer"}]);
    let mut shape = json!({
        "public_key": "text",
        "master_public_key": "text",
        "node_name": "text",
        "role": "text",
        "max_ial?": "number",
        "max_aal?": "number",
        "supported_request_message_data_url_type_list?~": ["text"],
        "proxy?": {
            "node_id": "text",
            "node_name": "text",
            "public_key": "text",
            "master_public_key": "text",
            "mq~": address(),
            "config": "text",
        },
        "mq~": address(),
        "active": "boolean",
    });
    if is_v5 {
        shape[FLAG] = json!("boolean");
        shape["agent?"] = json!("boolean");
        shape["node_id_whitelist_active?"] = json!("boolean");
        shape["node_id_whitelist?~"] = json!(["text"]);
    }
    shape
}

fn version_5(node: &mut Value) {
    let Some(node) = node.as_object_mut() else {
        return;
    };
    with_plain_keys(node);
    feature_as_flag(node);
    if let Some(Value::Object(proxy)) = node.get_mut("proxy") {
        with_plain_keys(proxy);
    }
}

fn version_4(node: &mut Value) {
    version_5(node);
    if let Some(node) = node.as_object_mut() {
        let unknown = [
            FLAG,
            "agent",
            "node_id_whitelist",
            "node_id_whitelist_active",
        ];
        remove(node, &unknown);
    }
}

/// The PEM text of the signing key and of the master key, and no other key.
fn with_plain_keys(members: &mut Members) {
    let all = std::mem::take(members).into_iter();
    let kept = all.filter_map(|(name, mut value)| {
        let name = match name.as_str() {
            "encryption_public_key" => return None,
            "signing_public_key" => "public_key".to_owned(),
            "signing_master_public_key" => "master_public_key".to_owned(),
            _ => return Some((name, value)),
        };
        let pem = value.get_mut("public_key").map(Value::take);
        Some((name, pem.unwrap_or_default()))
    });
    members.extend(kept);
}
