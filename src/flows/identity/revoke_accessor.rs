//! `POST /identity/:namespace/:identifier/accessor_revoke`: the person does not
//! sign with this key any more.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::checks::{IdentityChecks, needs_consent};
use super::planned::PlannedOperation;
use super::start::{NeededConsent, OperationStart};
use super::{IdentityPath, operation_endpoint};
use crate::api::{ApiCall, CallOutcome, Endpoint, Texts};
use crate::error::Error;
use crate::flows::reply::ReplyTo;

pub fn endpoint() -> Endpoint {
    operation_endpoint(
        "/identity/:namespace/:identifier/accessor_revoke",
        "Revokes an accessor of a user.",
    )
    .body::<Body>()
    .accepts(json!({"request_id?": "text"}))
    .run(run)
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Body {
    #[serde(flatten)]
    reply: ReplyTo,
    /// An accessor that this IdP has added.
    #[schemars(length(min = 1))]
    accessor_id: String,
    /// What the person is asked, if consent is needed.
    request_message: Option<String>,
}

async fn run(call: ApiCall<IdentityPath, Texts, Body>) -> Result<CallOutcome, Error> {
    let body = call.body.clone();
    let start = OperationStart::of(&call, &body.reply).await?;
    let checks = IdentityChecks::of(&call);
    let own = checks.own(&call.path.on_ledger()).await?;
    checks.accessor_is_own(&body.accessor_id).await?;
    let is_needed = needs_consent(&own)?;
    let consent = NeededConsent::of_mode_3_if(is_needed, &call.path, body.request_message)?;
    let planned = PlannedOperation::revoke_accessor(&body.accessor_id);
    start.operation(planned, consent, Map::new()).await
}
