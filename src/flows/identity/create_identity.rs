//! `POST /identity`: declares a person of this IdP, known to the platform or new.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};
use uuid::Uuid;

use super::accessor::NewAccessor;
use super::checks::{IdentityChecks, consent_mode};
use super::operation::CreatedIdentity;
use super::planned::{DeclaredIdentity, LedgerIdentity, PlannedOperation};
use super::start::{NeededConsent, OperationStart};
use super::{IdentityPath, ListedIdentity};
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoPath, Texts};
use crate::error::{Error, codes};
use crate::flows::reply::ReplyTo;
use crate::flows::rp::create_request::whole_number;

pub fn endpoint() -> Endpoint {
    Endpoint::post("/identity", Audience::Idp)
        .does("Onboards a user: makes a reference group with the first identity and accessor.")
        .begins()
        .body::<Body>()
        .accepts(json!({"exist": "boolean", "accessor_id": "text", "request_id?": "text"}))
        .run(run)
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Body {
    #[serde(flatten)]
    reply: ReplyTo,
    /// All of one person.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    identity_list: Vec<ListedIdentity>,
    /// 2 or 3.
    #[serde(deserialize_with = "whole_number")]
    #[schemars(schema_with = "mode")]
    mode: u64,
    #[serde(flatten)]
    accessor: NewAccessor,
    ial: Number,
    lial: Option<bool>,
    laal: Option<bool>,
    /// What the person is asked, if consent is needed.
    request_message: Option<String>,
}

fn mode(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "number", "enum": [2, 3]})
}

async fn run(call: ApiCall<NoPath, Texts, Body>) -> Result<CallOutcome, Error> {
    let body = call.body.clone();
    let start = OperationStart::of(&call, &body.reply).await?;
    let accessor = body.accessor.check()?;
    let checks = IdentityChecks::of(&call);
    let person = person(&checks, &body.identity_list).await?;
    checks.ial(&body.ial).await?;
    checks.accessor_is_new(&accessor.accessor_id).await?;
    let consent = match &person.known {
        Some(known) if body.mode == 3 => {
            let idps = checks.modes_at_idps(&known.on_ledger()).await?;
            let wanted = |known: &ListedIdentity| {
                let identity = IdentityPath {
                    namespace: known.namespace.clone(),
                    identifier: known.identifier.clone(),
                };
                NeededConsent::new(identity, consent_mode(&idps), body.request_message)
            };
            (!idps.is_empty()).then(|| wanted(known)).transpose()?
        }
        _ => None,
    };
    let created = CreatedIdentity {
        exist: person.known.is_some(),
        reference_group_code: person.group.unwrap_or_else(|| Uuid::new_v4().to_string()),
    };
    let mut answer = Map::new();
    answer.insert("exist".into(), created.exist.into());
    answer.insert(
        "accessor_id".into(),
        Value::from(accessor.accessor_id.as_str()),
    );
    let declared = DeclaredIdentity {
        mode: body.mode,
        ial: body.ial,
        lial: body.lial,
        laal: body.laal,
    };
    let planned = PlannedOperation::create_identity(created, &person.new, &declared, &accessor);
    start.operation(planned, consent, answer).await
}

/// The person's identities, as the platform knows them.
struct PersonIdentities {
    /// The group.
    group: Option<String>,
    /// The first known identity.
    known: Option<ListedIdentity>,
    /// The unknown identities.
    new: Vec<LedgerIdentity>,
}

/// Looks the identities up and checks that they can belong to one person.
///
/// # Errors
/// 20013, then for each 20096, 20019, then 20069; those of the ledger.
async fn person(
    checks: &IdentityChecks<'_>,
    listed: &[ListedIdentity],
) -> Result<PersonIdentities, Error> {
    let namespaces: Vec<&str> = listed.iter().map(|one| one.namespace.as_str()).collect();
    checks.namespaces(&namespaces).await?;
    let mut person = PersonIdentities {
        group: None,
        known: None,
        new: Vec::new(),
    };
    for identity in listed {
        checks.form(identity)?;
        let on_ledger = identity.on_ledger();
        checks.is_new(&on_ledger).await?;
        let Some(group) = checks.group(&on_ledger).await? else {
            person.new.push(on_ledger);
            continue;
        };
        if person.group.as_ref().is_some_and(|other| *other != group) {
            return Err(codes::MULTIPLE_REFERENCE_GROUP_IN_IDENTITY_LIST.into());
        }
        person.group = Some(group);
        person.known.get_or_insert_with(|| identity.clone());
    }
    Ok(person)
}
