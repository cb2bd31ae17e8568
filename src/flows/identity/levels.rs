//! `GET /identity/:namespace/:identifier/{ial,lial,laal}`: the levels that this
//! IdP declared of an identity.

use serde_json::{Value, json};

use super::IdentityPath;
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::crypto::hash::identifier_hash;
use crate::error::Error;

pub fn endpoints() -> [Endpoint; 3] {
    [
        endpoint(
            "/identity/:namespace/:identifier/ial",
            "Tells the IAL that this IdP declared of an identity.",
            "ial",
            "number",
        ),
        endpoint(
            "/identity/:namespace/:identifier/lial",
            "Tells whether this IdP declared a LIAL of an identity.",
            "lial",
            "boolean",
        )
        .since(ApiVersion::V5),
        endpoint(
            "/identity/:namespace/:identifier/laal",
            "Tells whether this IdP declared a LAAL of an identity.",
            "laal",
            "boolean",
        )
        .since(ApiVersion::V5),
    ]
}

fn endpoint(
    path: &'static str,
    does: &'static str,
    level: &'static str,
    kind: &'static str,
) -> Endpoint {
    Endpoint::get(path, Audience::Idp)
        .does(does)
        .path::<IdentityPath>()
        .tells(json!({(format!("{level}~")): kind}))
        .run(move |call| run(call, level))
}

async fn run(call: ApiCall<IdentityPath>, level: &'static str) -> Result<CallOutcome, Error> {
    let params = json!({
        "identity_namespace": call.path.namespace,
        "identity_identifier_hash": identifier_hash(&call.path.identifier),
        "node_id": call.node_id,
    });
    let ledger = &call.context.ledger;
    let Some(identity) = ledger.query("GetIdentityInfo", params, None).await? else {
        return Ok(CallOutcome::NotFound);
    };
    let declared = identity.get(level).cloned().unwrap_or(Value::Null);
    Ok(CallOutcome::Ok(json!({level: declared})))
}
