//! `POST /identity/:namespace/:identifier/accessor_revoke_and_add`: the person
//! signs with another key from now on.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::accessor::NewAccessor;
use super::checks::{IdentityChecks, needs_consent};
use super::planned::PlannedOperation;
use super::start::{NeededConsent, OperationStart};
use super::{IdentityPath, operation_endpoint};
use crate::api::{ApiCall, CallOutcome, Endpoint, Texts};
use crate::error::Error;
use crate::flows::reply::ReplyTo;

pub fn endpoint() -> Endpoint {
    operation_endpoint(
        "/identity/:namespace/:identifier/accessor_revoke_and_add",
        "Replaces an accessor of a user.",
    )
    .body::<Body>()
    .accepts(json!({"accessor_id": "text", "request_id?": "text"}))
    .run(run)
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Body {
    #[serde(flatten)]
    reply: ReplyTo,
    /// An accessor that this IdP has added.
    #[schemars(length(min = 1))]
    revoking_accessor_id: String,
    #[serde(flatten)]
    accessor: NewAccessor,
    /// What the person is asked, if consent is needed.
    request_message: Option<String>,
}

async fn run(call: ApiCall<IdentityPath, Texts, Body>) -> Result<CallOutcome, Error> {
    let body = call.body.clone();
    let start = OperationStart::of(&call, &body.reply).await?;
    let checks = IdentityChecks::of(&call);
    checks.accessor_is_own(&body.revoking_accessor_id).await?;
    let accessor = body.accessor.check()?;
    checks.accessor_is_new(&accessor.accessor_id).await?;
    let own = checks.own(&call.path.on_ledger()).await?;
    let is_needed = needs_consent(&own)?;
    let consent = NeededConsent::of_mode_3_if(is_needed, &call.path, body.request_message)?;
    let planned = PlannedOperation::replace_accessor(&body.revoking_accessor_id, &accessor);
    let answer = Map::from_iter([("accessor_id".to_owned(), accessor.accessor_id.into())]);
    start.operation(planned, consent, answer).await
}
