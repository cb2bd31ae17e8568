//! The `request_status` callback of IdP and AS after a block that changed a
//! request (spec/flows.md 3.5, 4.8; spec/http-api.md 4.4). One job reads the
//! request as it was at that block and delivers: what is read is the same at
//! every try, so nothing but the block has to be stored.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::actors::Run;
use crate::delivery::callback::{
    self, Callback, CallbackClient, Persistence, Target, callback_key, error_job,
};
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::{RequestUpdate, request_status};
use crate::job::{Commit, Job, Kind, NewJob, Table};
use crate::ledger::query;
use crate::node::Context;

const URL_NAME: &str = "incoming_request_status_update_url";
const ACTION: &str = "handleTendermintNewBlock";

/// Payload of `deliver.status_update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusUpdate {
    /// `idp` or `as`: whose URL.
    pub role: String,
    /// What the block changed.
    pub update: RequestUpdate,
}

/// The delivery, if the client application wants it.
///
/// # Errors
/// Temporary when the store does not answer.
pub async fn callback(
    context: &Context,
    role: &str,
    update: &RequestUpdate,
) -> Result<Commit, Error> {
    let mut commit = Commit::nothing();
    if is_wanted(context, role).await? {
        commit.job(delivery(role, update.clone()));
    }
    Ok(commit)
}

/// The delivery. Its line is that of all callbacks of the request to this URL.
pub fn delivery(role: &str, update: RequestUpdate) -> NewJob {
    let key = callback_key(&target(role), &update.request_id);
    let role = role.to_owned();
    NewJob::new(
        Kind::DeliverStatusUpdate,
        key,
        &StatusUpdate { role, update },
    )
}

fn target(role: &str) -> Target {
    Target::Setting {
        role: role.to_owned(),
        name: URL_NAME.to_owned(),
    }
}

/// Whether the client application has set a URL for it.
///
/// # Errors
/// Temporary when the store does not answer.
pub async fn is_wanted(context: &Context, role: &str) -> Result<bool, Error> {
    let state = context.state.as_ref();
    let url = state.get(Table::CallbackUrl, role, URL_NAME).await?;
    Ok(url.is_some())
}

/// Handler of `deliver.status_update`. An error that is final is told by an
/// `error` callback.
///
/// # Errors
/// Those that are not final.
pub async fn run_deliver(
    context: &Context,
    client: &CallbackClient,
    job: &Job,
) -> Result<Run, Error> {
    let StatusUpdate { role, update } = job.payload()?;
    match settled(status(context, &update).await)? {
        Ok(body) => {
            let callback = Callback {
                id: job.id().to_string(),
                target: target(&role),
                body: Value::Object(body).to_string(),
                persistence: Persistence::Timed,
                answer_to: None,
            };
            callback::deliver(context, client, job, callback).await
        }
        Err(refusal) => Ok(Run::Commit(refused(&role, &update, &refusal))),
    }
}

/// The body.
///
/// # Errors
/// 20012; those of the ledger.
pub(super) async fn status(
    context: &Context,
    update: &RequestUpdate,
) -> Result<Map<String, Value>, Error> {
    let RequestUpdate {
        node_id,
        request_id,
        height,
        ..
    } = update;
    let ledger = context.ledger.as_ref();
    let detail = query::request_detail(ledger, request_id, Some(*height)).await?;
    let detail = detail.ok_or(codes::REQUEST_NOT_FOUND)?;
    Ok(request_status::body(
        context, node_id, &detail, *height, None,
    ))
}

fn refused(role: &str, update: &RequestUpdate, refusal: &Refusal) -> Commit {
    let (node_id, request_id) = (Some(update.node_id.as_str()), &update.request_id);
    let mut commit = Commit::nothing();
    commit.job(error_job(role, node_id, ACTION, Some(request_id), refusal));
    commit
}
