//! `POST /identity/:namespace/:identifier`: this IdP knows the person by more
//! identities.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::checks::{IdentityChecks, WITH_CONSENT};
use super::planned::{LedgerIdentity, PlannedOperation};
use super::start::{NeededConsent, OperationStart};
use super::{IdentityPath, ListedIdentity};
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, Texts};
use crate::error::{Error, codes};
use crate::flows::reply::ReplyTo;

/// Every IdP has every identity in this mode.
const MODE: u8 = 2;

pub fn endpoint() -> Endpoint {
    Endpoint::post("/identity/:namespace/:identifier", Audience::Idp)
        .does("Adds an identity to a user's reference group.")
        .begins()
        .path::<IdentityPath>()
        .body::<Body>()
        .accepts(json!({"request_id?": "text"}))
        .run(run)
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Body {
    #[serde(flatten)]
    reply: ReplyTo,
    /// All of the person.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    identity_list: Vec<ListedIdentity>,
    /// A text, if consent is needed. Otherwise of any type, and ignored.
    #[serde(default)]
    request_message: Value,
}

async fn run(call: ApiCall<IdentityPath, Texts, Body>) -> Result<CallOutcome, Error> {
    let body = call.body.clone();
    let start = OperationStart::of(&call, &body.reply).await?;
    let checks = IdentityChecks::of(&call);
    let base = call.path.on_ledger();
    let group = checks.group(&base).await?;
    let new = new(&checks, group.as_ref(), &body.identity_list).await?;
    checks.own(&base).await?;
    let group = group.ok_or(codes::IDENTITY_NOT_FOUND_ON_IDP)?;
    let idps = checks.modes_at_idps(&base).await?;
    let consent = match idps.iter().any(|modes| modes.contains(&WITH_CONSENT)) {
        true => {
            let message = body.request_message.as_str().map(str::to_owned);
            Some(NeededConsent::new(call.path.clone(), MODE, message)?)
        }
        false => None,
    };
    let planned = PlannedOperation::add_identity(&group, &new);
    start.operation(planned, consent, Map::new()).await
}

/// Checks that the identities can be of this person.
///
/// # Errors
/// 20013, then for each 20096, 20019, 20069; those of the ledger.
async fn new(
    checks: &IdentityChecks<'_>,
    group: Option<&String>,
    listed: &[ListedIdentity],
) -> Result<Vec<LedgerIdentity>, Error> {
    let namespaces: Vec<&str> = listed.iter().map(|one| one.namespace.as_str()).collect();
    checks.namespaces(&namespaces).await?;
    let mut new = Vec::new();
    for identity in listed {
        checks.form(identity)?;
        let on_ledger = identity.on_ledger();
        checks.is_new(&on_ledger).await?;
        let of_another = checks.group(&on_ledger).await?;
        match of_another {
            Some(other) if group != Some(&other) => {
                return Err(codes::MULTIPLE_REFERENCE_GROUP_IN_IDENTITY_LIST.into());
            }
            Some(_) => {}
            None => new.push(on_ledger),
        }
    }
    Ok(new)
}
