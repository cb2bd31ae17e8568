//! `GET /utility/nodes/:node_id`: a node, its role and its current keys.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ask, with_nullable_creation};
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::error::Error;

/// Members that hold a key.
pub(super) const KEYS: [&str; 3] = [
    "signing_public_key",
    "signing_master_public_key",
    "encryption_public_key",
];

/// Shape of a key.
pub(in crate::flows) fn key() -> Value {
    json!({
        "public_key": "text",
        "algorithm": "text",
        "version": "integer",
        "creation_block_height~": "integer",
        "creation_chain_id~": "text",
        "active": "boolean",
    })
}

/// Shape of a node.
fn shown() -> Value {
    let address = || json!([{"ip": "text", "port": "integer"}]);
    json!({
        "signing_public_key": key(),
        "signing_master_public_key": key(),
        "encryption_public_key": key(),
        "node_name": "text",
        "role": "text",
        "max_ial?": "number",
        "max_aal?": "number",
        "supported_feature_list~": ["text"],
        "supported_request_message_data_url_type_list?~": ["text"],
        "agent?": "boolean",
        "node_id_whitelist_active?": "boolean",
        "node_id_whitelist?~": ["text"],
        "proxy?": {
            "node_id": "text",
            "node_name": "text",
            "signing_public_key": key(),
            "signing_master_public_key": key(),
            "encryption_public_key": key(),
            "mq~": address(),
            "config": "text",
        },
        "mq~": address(),
        "active": "boolean",
    })
}

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/nodes/:node_id", Audience::Everybody)
        .does("Shows a node with its role and its current keys.")
        .without_acting_node()
        .path::<Path>()
        .tells(shown())
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    node_id: String,
}

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let params = json!({"node_id": call.path.node_id});
    let mut node = ask(&call.context, "GetNodeInfo", params).await?;
    if let Some(node) = &mut node {
        with_nullable_key_creation(node);
        if let Some(proxy) = node.get_mut("proxy") {
            with_nullable_key_creation(proxy);
        }
    }
    Ok(CallOutcome::found(node))
}

fn with_nullable_key_creation(node: &mut Value) {
    for name in KEYS {
        if let Some(key) = node.get_mut(name) {
            *key = with_nullable_creation(key.take());
        }
    }
}
