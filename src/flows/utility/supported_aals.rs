//! `GET /utility/supported_aal`: authentication assurance levels in use.

use serde_json::json;

use crate::api::{ApiVersion, Audience, Call, Endpoint, Outcome};
use crate::error::Error;
use crate::ledger::query;

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/supported_aal", Audience::Everybody)
        .does("Lists the AALs of the network.")
        .without_acting_node()
        .tells(json!(["number"]))
        .run(run)
        .since(ApiVersion::V5)
}

async fn run(call: Call) -> Result<Outcome, Error> {
    let levels = query::supported_aals(call.context.ledger.as_ref()).await?;
    Ok(Outcome::Ok(json!(levels)))
}
