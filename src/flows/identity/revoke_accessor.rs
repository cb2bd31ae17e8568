//! `POST /identity/:namespace/:identifier/accessor_revoke`: the person does not
//! sign with this key any more.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::Identity;
use super::checks::{Checks, needs_consent};
use super::planned::Planned;
use super::start::{Start, Wanted};
use crate::api::{Audience, Call, Endpoint, Outcome, Texts};
use crate::error::Error;
use crate::flows::reply::Reply;

/// The table entry.
pub fn endpoint() -> Endpoint {
    let path = "/identity/:namespace/:identifier/accessor_revoke";
    Endpoint::post(path, Audience::Idp)
        .does("Revokes an accessor of a user.")
        .begins()
        .path::<Identity>()
        .body::<Body>()
        .accepts(json!({"request_id?": "text"}))
        .run(run)
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Body {
    #[serde(flatten)]
    reply: Reply,
    /// One that this IdP has added.
    #[schemars(length(min = 1))]
    accessor_id: String,
    /// What the person is asked, if consent is needed.
    request_message: Option<String>,
}

async fn run(call: Call<Identity, Texts, Body>) -> Result<Outcome, Error> {
    let body = call.body.clone();
    let start = Start::of(&call, &body.reply).await?;
    let checks = Checks::of(&call);
    let own = checks.own(&call.path.on_ledger()).await?;
    checks.accessor_is_own(&body.accessor_id).await?;
    let consent = needs_consent(&own)?
        .then(|| Wanted::of_mode_3(call.path.clone(), body.request_message))
        .transpose()?;
    let planned = Planned::revoke_accessor(&body.accessor_id);
    start.operation(planned, consent, Map::new()).await
}
