//! `GET /utility/requests/:request_id`: a request as the ledger has it, with its status.

use serde::Deserialize;
use serde_json::json;

use crate::api::{Audience, Call, Endpoint, Outcome};
use crate::error::Error;
use crate::flows::status;
use crate::ledger::query;

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/requests/:request_id", Audience::Everybody)
        .does("Shows a request as the ledger has it, with its status.")
        .without_acting_node()
        .path::<Path>()
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    request_id: String,
}

async fn run(call: Call<Path>) -> Result<Outcome, Error> {
    let ledger = call.context.ledger.as_ref();
    let detail = query::request_detail(ledger, &call.path.request_id, None).await?;
    let Some(detail) = detail else {
        return Ok(Outcome::NotFound);
    };
    let mut shown = json!(detail);
    if let Some(members) = shown.as_object_mut() {
        for hidden in ["purpose", "creation_chain_id", "creation_block_height"] {
            members.remove(hidden);
        }
        members.insert("status".into(), status::derive(&detail).into());
        let block = detail.creation_block();
        members.insert("creation_block_height".into(), block.into());
    }
    Ok(Outcome::Ok(shown))
}
