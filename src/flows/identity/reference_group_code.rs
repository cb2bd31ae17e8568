//! `GET /identity/:namespace/:identifier`: the group that an identity belongs to.

use serde_json::json;

use super::IdentityPath;
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::crypto::hash::identifier_hash;
use crate::error::Error;
use crate::ledger::query;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/identity/:namespace/:identifier", Audience::Idp)
        .does("Shows the reference group of an identity.")
        .without_acting_node()
        .path::<IdentityPath>()
        .tells(json!({"reference_group_code": "text"}))
        .run(run)
}

async fn run(call: ApiCall<IdentityPath>) -> Result<CallOutcome, Error> {
    let hash = identifier_hash(&call.path.identifier);
    let ledger = call.context.ledger.as_ref();
    let code = query::reference_group_code(ledger, &call.path.namespace, &hash).await?;
    let body = code.map(|code| json!({"reference_group_code": code}));
    Ok(CallOutcome::found(body))
}
