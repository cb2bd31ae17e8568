//! `GET /utility/messages/:message_id`: a message that an RP put on the ledger.

use serde::Deserialize;
use serde_json::json;

use super::{ask, with_creation_block};
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/messages/:message_id", Audience::Everybody)
        .does("Shows a message as the ledger has it.")
        .without_acting_node()
        .path::<Path>()
        .tells(json!({
            "message_id": "text",
            "message": "text",
            "purpose": "text",
            "requester_node_id": "text",
            "creation_block_height": "text",
            "creation_chain_id": "text",
        }))
        .run(run)
        .since(ApiVersion::V5)
}

#[derive(Deserialize)]
struct Path {
    message_id: String,
}

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let params = json!({"message_id": call.path.message_id});
    let message = ask(&call.context, "GetMessageDetail", params).await?;
    Ok(CallOutcome::found(message.map(with_creation_block)))
}
