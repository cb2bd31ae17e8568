//! `POST /identity/:namespace/:identifier/accessors`: one more key that the
//! person signs with.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::accessor::NewAccessor;
use super::checks::{IdentityChecks, needs_consent};
use super::planned::PlannedOperation;
use super::start::{NeededConsent, OperationStart};
use super::{IdentityPath, operation_endpoint};
use crate::api::{ApiCall, CallOutcome, Endpoint, Texts};
use crate::error::{Error, codes};
use crate::flows::reply::ReplyTo;

pub fn endpoint() -> Endpoint {
    operation_endpoint(
        "/identity/:namespace/:identifier/accessors",
        "Adds an accessor of a user.",
    )
    .body::<Body>()
    .accepts(json!({"accessor_id": "text", "request_id?": "text"}))
    .run(run)
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Body {
    #[serde(flatten)]
    reply: ReplyTo,
    #[serde(flatten)]
    accessor: NewAccessor,
    /// What the person is asked, if consent is needed.
    request_message: Option<String>,
}

async fn run(call: ApiCall<IdentityPath, Texts, Body>) -> Result<CallOutcome, Error> {
    let body = call.body.clone();
    let accessor = body.accessor.check()?;
    let start = OperationStart::of(&call, &body.reply).await?;
    let checks = IdentityChecks::of(&call);
    let identity = call.path.on_ledger();
    checks.namespaces(&[&call.path.namespace]).await?;
    checks.accessor_is_new(&accessor.accessor_id).await?;
    let own = checks.own(&identity).await?;
    let is_needed = needs_consent(&own)?;
    let consent = NeededConsent::of_mode_3_if(is_needed, &call.path, body.request_message)?;
    let group = checks.group(&identity).await?;
    let group = group.ok_or(codes::IDENTITY_NOT_FOUND_ON_IDP)?;
    let planned = PlannedOperation::add_accessor(&group, &accessor);
    let answer = Map::from_iter([("accessor_id".to_owned(), accessor.accessor_id.into())]);
    start.operation(planned, consent, answer).await
}
