//! `GET /utility/supported_ial`: identity assurance levels in use.

use serde_json::json;

use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::error::Error;
use crate::ledger::query;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/supported_ial", Audience::Everybody)
        .does("Lists the IALs of the network.")
        .without_acting_node()
        .tells(json!(["number"]))
        .run(run)
        .since(ApiVersion::V5)
}

async fn run(call: ApiCall) -> Result<CallOutcome, Error> {
    let levels = query::supported_ials(call.context.ledger.as_ref()).await?;
    Ok(CallOutcome::Ok(json!(levels)))
}
