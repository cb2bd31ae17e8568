//! `GET /utility/nodes/:node_id/public_keys`: all versions of a node's public keys.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::node::{KEYS, key};
use super::{ask, member_list, with_nullable_creation};
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/nodes/:node_id/public_keys", Audience::Everybody)
        .does("Lists all keys that a node has had.")
        .without_acting_node()
        .path::<Path>()
        .tells(json!({
            "signing_public_key_list": [key()],
            "signing_master_public_key_list": [key()],
            "encryption_public_key_list": [key()],
        }))
        .run(run)
        .since(ApiVersion::V6)
}

#[derive(Deserialize)]
struct Path {
    node_id: String,
}

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let params = json!({"node_id": call.path.node_id});
    let answer = ask(&call.context, "GetNodePublicKeyList", params).await?;
    let Some(answer) = answer else {
        return Ok(CallOutcome::NotFound);
    };
    let mut shown = Map::new();
    for name in KEYS {
        let name = format!("{name}_list");
        let keys = member_list(Some(answer.clone()), &name);
        let keys = keys.as_array().cloned().unwrap_or_default();
        let keys: Value = keys.into_iter().map(with_nullable_creation).collect();
        shown.insert(name, keys);
    }
    Ok(CallOutcome::Ok(Value::Object(shown)))
}
