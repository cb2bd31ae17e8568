//! `POST /identity/:namespace/:identifier/association_revoke`: this IdP does not
//! vouch for the person any more.

use serde_json::Map;

use super::checks::{IdentityChecks, WITH_CONSENT};
use super::planned::PlannedOperation;
use super::start::{NeededConsent, OperationStart};
use super::{IdentityBody, IdentityPath};
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, Texts};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    let path = "/identity/:namespace/:identifier/association_revoke";
    Endpoint::post(path, Audience::Idp)
        .does("Ends the association of this IdP with a user.")
        .begins()
        .path::<IdentityPath>()
        .body::<IdentityBody>()
        .run(run)
}

async fn run(call: ApiCall<IdentityPath, Texts, IdentityBody>) -> Result<CallOutcome, Error> {
    let body = call.body.clone();
    let start = OperationStart::of(&call, &body.reply).await?;
    let checks = IdentityChecks::of(&call);
    let identity = call.path.on_ledger();
    checks.namespaces(&[&call.path.namespace]).await?;
    let own = checks.own(&identity).await?;
    let consent = own
        .mode_list
        .contains(&WITH_CONSENT)
        .then(|| NeededConsent::of_mode_3(call.path.clone(), body.request_message))
        .transpose()?;
    let planned = PlannedOperation::revoke_association(&identity);
    start.operation(planned, consent, Map::new()).await
}
