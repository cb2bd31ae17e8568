//! `GET /identity/:namespace/:identifier`: the group that an identity belongs to.

use serde_json::json;

use super::Identity;
use crate::api::{Audience, Call, Endpoint, Outcome};
use crate::crypto::hash::identifier_hash;
use crate::error::Error;
use crate::ledger::query;

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::get("/identity/:namespace/:identifier", Audience::Idp)
        .does("Tells the reference group that an identity belongs to.")
        .without_acting_node()
        .path::<Identity>()
        .tells(json!({"reference_group_code": "text"}))
        .run(run)
}

async fn run(call: Call<Identity>) -> Result<Outcome, Error> {
    let hash = identifier_hash(&call.path.identifier);
    let ledger = call.context.ledger.as_ref();
    let code = query::reference_group_code(ledger, &call.path.namespace, &hash).await?;
    let body = code.map(|code| json!({"reference_group_code": code}));
    Ok(Outcome::found(body))
}
