//! The `request_status` callback of IdP and AS after a block that changed a
//! request (spec/flows.md 3.5, 4.8; spec/http-api.md 4.4).

use crate::context::Context;
use crate::delivery::callback::{Persistence, Target, callback_job, error_job};
use crate::error::{Error, codes, settled};
use crate::flows::{RequestUpdate, request_status};
use crate::job::{Commit, NewJob, Table};
use crate::ledger::query;

const URL_NAME: &str = "incoming_request_status_update_url";
const ACTION: &str = "handleTendermintNewBlock";

/// The callback, if the client application wants it. An error that is final
/// becomes an `error` callback, so that it does not keep the caller from
/// cleaning up.
///
/// # Errors
/// Those that are not final.
pub async fn callback(
    context: &Context,
    role: &str,
    update: &RequestUpdate,
) -> Result<Commit, Error> {
    let mut commit = Commit::nothing();
    if !is_wanted(context, role).await? {
        return Ok(commit);
    }
    let job = match settled(status(context, role, update).await)? {
        Ok(job) => job,
        Err(refusal) => error_job(
            role,
            Some(&update.node_id),
            ACTION,
            Some(&update.request_id),
            &refusal,
        ),
    };
    commit.job(job);
    Ok(commit)
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

async fn status(context: &Context, role: &str, update: &RequestUpdate) -> Result<NewJob, Error> {
    let detail = query::request_detail(
        context.ledger.as_ref(),
        &update.request_id,
        Some(update.height),
    )
    .await?
    .ok_or(codes::REQUEST_NOT_FOUND)?;
    let body = request_status::body(context, &update.node_id, &detail, update.height, None);
    let target = Target::Setting {
        role: role.to_owned(),
        name: URL_NAME.to_owned(),
    };
    let scope = &update.request_id;
    Ok(callback_job(target, scope, body, Persistence::Timed, None))
}
