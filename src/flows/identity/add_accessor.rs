//! `POST /identity/:namespace/:identifier/accessors`: one more key that the
//! person signs with.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::Identity;
use super::accessor::NewAccessor;
use super::checks::{Checks, needs_consent};
use super::planned::Planned;
use super::start::{Start, Wanted};
use crate::api::{Audience, Call, Endpoint, Outcome, Texts};
use crate::error::{Error, codes};
use crate::flows::reply::Reply;

/// The table entry.
pub fn endpoint() -> Endpoint {
    let path = "/identity/:namespace/:identifier/accessors";
    Endpoint::post(path, Audience::Idp)
        .does("Adds an accessor of a user.")
        .begins()
        .path::<Identity>()
        .body::<Body>()
        .accepts(json!({"accessor_id": "text", "request_id?": "text"}))
        .run(run)
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Body {
    #[serde(flatten)]
    reply: Reply,
    #[serde(flatten)]
    accessor: NewAccessor,
    /// What the person is asked, if consent is needed.
    request_message: Option<String>,
}

async fn run(call: Call<Identity, Texts, Body>) -> Result<Outcome, Error> {
    let body = call.body.clone();
    let accessor = body.accessor.check()?;
    let start = Start::of(&call, &body.reply).await?;
    let checks = Checks::of(&call);
    let identity = call.path.on_ledger();
    checks.namespaces(&[&call.path.namespace]).await?;
    checks.accessor_is_new(&accessor.accessor_id).await?;
    let own = checks.own(&identity).await?;
    let consent = needs_consent(&own)?
        .then(|| Wanted::of_mode_3(call.path.clone(), body.request_message))
        .transpose()?;
    let group = checks.group(&identity).await?;
    let group = group.ok_or(codes::IDENTITY_NOT_FOUND_ON_IDP)?;
    let planned = Planned::add_accessor(&group, &accessor);
    let answer = Map::from_iter([("accessor_id".to_owned(), accessor.accessor_id.into())]);
    start.operation(planned, consent, answer).await
}
