//! `POST /identity/:namespace/:identifier/association_revoke`: this IdP does not
//! vouch for the person any more.

use serde_json::{Map, json};

use super::checks::{Checks, WITH_CONSENT};
use super::planned::Planned;
use super::start::{Start, Wanted};
use super::{Identity, OfIdentity};
use crate::api::{Audience, Call, Endpoint, Outcome, Texts};
use crate::error::Error;

/// The table entry.
pub fn endpoint() -> Endpoint {
    let path = "/identity/:namespace/:identifier/association_revoke";
    Endpoint::post(path, Audience::Idp)
        .does("Ends the association of this IdP with a user.")
        .begins()
        .path::<Identity>()
        .body::<OfIdentity>()
        .accepts(json!({"request_id?": "text"}))
        .run(run)
}

async fn run(call: Call<Identity, Texts, OfIdentity>) -> Result<Outcome, Error> {
    let body = call.body.clone();
    let start = Start::of(&call, &body.reply).await?;
    let checks = Checks::of(&call);
    let identity = call.path.on_ledger();
    checks.namespaces(&[&call.path.namespace]).await?;
    let own = checks.own(&identity).await?;
    let consent = own
        .mode_list
        .contains(&WITH_CONSENT)
        .then(|| Wanted::of_mode_3(call.path.clone(), body.request_message))
        .transpose()?;
    let planned = Planned::revoke_association(&identity);
    start.operation(planned, consent, Map::new()).await
}
