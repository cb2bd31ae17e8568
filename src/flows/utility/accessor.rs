//! `GET /utility/accessors/:accessor_id`: an accessor and its public key.

use serde::Deserialize;
use serde_json::json;

use super::{ask, with_nullable_creation};
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/accessors/:accessor_id", Audience::Everybody)
        .does("Shows an accessor: its key, its owner, and whether it is active.")
        .without_acting_node()
        .path::<Path>()
        .tells(json!({
            "accessor_public_key": "text",
            "accessor_type": "text",
            "active": "boolean",
            "owner_node_id": "text",
            "creation_block_height~": "integer",
            "creation_chain_id~": "text",
        }))
        .run(run)
        .since(ApiVersion::V6)
}

#[derive(Deserialize)]
struct Path {
    accessor_id: String,
}

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let params = json!({"accessor_id": call.path.accessor_id});
    let accessor = ask(&call.context, "GetAccessorKey", params).await?;
    Ok(CallOutcome::found(accessor.map(with_nullable_creation)))
}
