//! Look-ups of identities (spec/http-api.md 3.6): plain ledger queries.

use serde_json::{Value, json};

use super::endpoint::Level;
use super::operations::Outcome;
use crate::crypto::hash::identifier_hash;
use crate::error::Error;
use crate::ledger::query;
use crate::node::Context;

/// `GET /identity/{namespace}/{identifier}`
///
/// # Errors
/// Those of the ledger.
pub(super) async fn reference_group_code(
    context: &Context,
    namespace: &str,
    identifier: &str,
) -> Result<Outcome, Error> {
    let hash = identifier_hash(identifier);
    let code = query::reference_group_code(context.ledger.as_ref(), namespace, &hash).await?;
    Ok(code.map_or(Outcome::NotFound, |code| {
        Outcome::Ok(json!({"reference_group_code": code}))
    }))
}

/// `GET /identity/{namespace}/{identifier}/{ial,lial,laal}`: what this IdP declared.
///
/// # Errors
/// Those of the ledger.
pub(super) async fn level(
    context: &Context,
    node_id: &str,
    level: Level,
    namespace: &str,
    identifier: &str,
) -> Result<Outcome, Error> {
    let params = json!({
        "identity_namespace": namespace,
        "identity_identifier_hash": identifier_hash(identifier),
        "node_id": node_id,
    });
    let Some(identity) = context
        .ledger
        .query("GetIdentityInfo", params, None)
        .await?
    else {
        return Ok(Outcome::NotFound);
    };
    let name = match level {
        Level::Ial => "ial",
        Level::Lial => "lial",
        Level::Laal => "laal",
    };
    let declared = identity.get(name).cloned().unwrap_or(Value::Null);
    Ok(Outcome::Ok(json!({name: declared})))
}
