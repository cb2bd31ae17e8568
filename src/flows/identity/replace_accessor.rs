//! `POST /identity/:namespace/:identifier/accessor_revoke_and_add`: the person
//! signs with another key from now on.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::Identity;
use super::accessor::NewAccessor;
use super::checks::{Checks, needs_consent};
use super::planned::Planned;
use super::start::{Start, Wanted};
use crate::api::{Audience, Call, Endpoint, Outcome, Texts};
use crate::error::Error;
use crate::flows::reply::Reply;

/// The table entry.
pub fn endpoint() -> Endpoint {
    let path = "/identity/:namespace/:identifier/accessor_revoke_and_add";
    Endpoint::post(path, Audience::Idp)
        .does("Replaces an accessor of a user.")
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
    /// One that this IdP has added.
    #[schemars(length(min = 1))]
    revoking_accessor_id: String,
    #[serde(flatten)]
    accessor: NewAccessor,
    /// What the person is asked, if consent is needed.
    request_message: Option<String>,
}

async fn run(call: Call<Identity, Texts, Body>) -> Result<Outcome, Error> {
    let body = call.body.clone();
    let start = Start::of(&call, &body.reply).await?;
    let checks = Checks::of(&call);
    checks.accessor_is_own(&body.revoking_accessor_id).await?;
    let accessor = body.accessor.check()?;
    checks.accessor_is_new(&accessor.accessor_id).await?;
    let own = checks.own(&call.path.on_ledger()).await?;
    let consent = needs_consent(&own)?
        .then(|| Wanted::of_mode_3(call.path.clone(), body.request_message))
        .transpose()?;
    let planned = Planned::replace_accessor(&body.revoking_accessor_id, &accessor);
    let answer = Map::from_iter([("accessor_id".to_owned(), accessor.accessor_id.into())]);
    start.operation(planned, consent, answer).await
}
