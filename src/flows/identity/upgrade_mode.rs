//! `POST /identity/:namespace/:identifier/mode`: upgrades an identity to mode 3, in
//! which changes need the person's consent. The upgrade needs it too.

use serde_json::{Map, json};

use super::checks::{IdentityChecks, consent_mode, needs_consent};
use super::planned::PlannedOperation;
use super::start::{NeededConsent, OperationStart};
use super::{IdentityBody, IdentityPath, operation_endpoint};
use crate::api::{ApiCall, CallOutcome, Endpoint, Texts};
use crate::error::{Error, codes};

pub fn endpoint() -> Endpoint {
    operation_endpoint(
        "/identity/:namespace/:identifier/mode",
        "Upgrades an identity from mode 2 to mode 3.",
    )
    .body::<IdentityBody>()
    .accepts(json!({"request_id": "text"}))
    .run(run)
}

async fn run(call: ApiCall<IdentityPath, Texts, IdentityBody>) -> Result<CallOutcome, Error> {
    let body = call.body.clone();
    let start = OperationStart::of(&call, &body.reply).await?;
    let checks = IdentityChecks::of(&call);
    let identity = call.path.on_ledger();
    checks.namespaces(&[&call.path.namespace]).await?;
    let own = checks.own(&identity).await?;
    if needs_consent(&own)? {
        return Err(codes::MODE_ALREADY_UPGRADED.into());
    }
    if body.request_message.is_none() {
        return Err(codes::REQUEST_MESSAGE_NEEDED.into());
    }
    let mode = consent_mode(&checks.modes_at_idps(&identity).await?);
    let wanted = NeededConsent::new(call.path.clone(), mode, body.request_message)?;
    let planned = PlannedOperation::upgrade_mode(&identity);
    start.operation(planned, Some(wanted), Map::new()).await
}
