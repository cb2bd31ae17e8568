//! `POST /identity/:namespace/:identifier/mode`: the person is asked before the
//! identity changes from now on. That takes a consent already.

use serde_json::{Map, json};

use super::checks::{Checks, consent_mode, needs_consent};
use super::planned::Planned;
use super::start::{Start, Wanted};
use super::{Identity, OfIdentity};
use crate::api::{Audience, Call, Endpoint, Outcome, Texts};
use crate::error::{Error, codes};

/// The table entry.
pub fn endpoint() -> Endpoint {
    let path = "/identity/:namespace/:identifier/mode";
    Endpoint::post(path, Audience::Idp)
        .does("Upgrades an identity from mode 2 to mode 3.")
        .begins()
        .path::<Identity>()
        .body::<OfIdentity>()
        .accepts(json!({"request_id": "text"}))
        .run(run)
}

async fn run(call: Call<Identity, Texts, OfIdentity>) -> Result<Outcome, Error> {
    let body = call.body.clone();
    let start = Start::of(&call, &body.reply).await?;
    let checks = Checks::of(&call);
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
    let wanted = Wanted::new(call.path.clone(), mode, body.request_message)?;
    let planned = Planned::upgrade_mode(&identity);
    start.operation(planned, Some(wanted), Map::new()).await
}
