//! `POST /identity/:namespace/:identifier/association_revoke`: this IdP does not
//! vouch for the person any more.

use serde_json::{Map, json};

use super::checks::{IdentityChecks, WITH_CONSENT};
use super::planned::PlannedOperation;
use super::start::{NeededConsent, OperationStart};
use super::{IdentityBody, IdentityPath, operation_endpoint};
use crate::api::{ApiCall, CallOutcome, Endpoint, Texts};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    operation_endpoint(
        "/identity/:namespace/:identifier/association_revoke",
        "Ends the association of this IdP with a user.",
    )
    .body::<IdentityBody>()
    .accepts(json!({"request_id?": "text"}))
    .run(run)
}

async fn run(call: ApiCall<IdentityPath, Texts, IdentityBody>) -> Result<CallOutcome, Error> {
    let body = call.body.clone();
    let start = OperationStart::of(&call, &body.reply).await?;
    let checks = IdentityChecks::of(&call);
    let identity = call.path.on_ledger();
    checks.namespaces(&[&call.path.namespace]).await?;
    let own = checks.own(&identity).await?;
    let is_needed = own.mode_list.contains(&WITH_CONSENT);
    let consent = NeededConsent::of_mode_3_if(is_needed, &call.path, body.request_message)?;
    let planned = PlannedOperation::revoke_association(&identity);
    start.operation(planned, consent, Map::new()).await
}
