//! A block changed one of our requests (spec/flows.md 2.6).

use super::ROLE;
use super::auto_close::{self, CloseCause};
use super::report;
use super::stored::{RequestRef, StoredRequest};
use crate::context::Context;
use crate::error::{Error, codes, settled};
use crate::flows::dispatch::{BLOCK, Flow, node_of_update};
use crate::flows::identity::consent;
use crate::flows::{RequestUpdate, call_mark};
use crate::job::{Commit, Job, Kind, Spec, Table};
use crate::ledger::query;
use crate::ledger::types::RequestDetail;

/// A block changed one of our requests.
pub const KIND: Kind = Kind::new(&Spec::transactional(3, "rp.request_update"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job)))
        .told(ROLE, BLOCK)
        .for_node(node_of_update);

/// Handler of `rp.request_update`: tells the client, closes a complete request,
/// forgets an ended one.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let update: RequestUpdate = job.payload()?;
    let of = RequestRef {
        node_id: update.node_id,
        request_id: update.request_id,
    };
    let Some(mut stored) = StoredRequest::load(context, of).await? else {
        return Ok(Commit::nothing());
    };
    let ledger = context.ledger.as_ref();
    let height = update.height;
    let detail = query::request_detail(ledger, &stored.of.request_id, Some(height)).await?;
    let Some(detail) = detail else {
        // Only a replaced ledger can lack the request. The job with `is_new_history`
        // decides then.
        return match update.is_new_history {
            true => gone(context, &stored).await,
            false => Ok(Commit::failed("the ledger does not know the request")),
        };
    };
    if let Some(planned) = &stored.request.operation {
        // Messages bring the answers that do not end the request.
        if !detail.has_ended() {
            return Ok(Commit::nothing());
        }
        return consent::ended(context, &stored, planned, &detail).await;
    }
    if update.is_new_history {
        // Heights repeat, and counted answers may be gone.
        stored.progress.reported.clear();
        stored.progress.reported_answers = detail.response_list.len();
    }
    if is_left_to_message(&stored, &detail) {
        return Ok(Commit::nothing());
    }
    let validity = stored.validity.clone();
    let mut commit = Commit::nothing();
    let status = report::status(context, &mut stored, &detail, height, &validity);
    commit.jobs.extend(status);
    if detail.has_ended() {
        commit.merge(stored.clean_up());
        commit.merge(forget_calls(context, &stored).await?);
        return Ok(commit);
    }
    let closed =
        auto_close::close(context, &mut stored, &detail, &validity, CloseCause::Block).await;
    match settled(closed)? {
        Ok(close) => {
            commit.merge(close);
        }
        Err(refusal) => {
            commit.job(report::error(&stored, "handleTendermintNewBlock", &refusal));
        }
    }
    commit.write(stored.save_progress());
    Ok(commit)
}

/// The new ledger does not know the request: nobody can answer, close or time it out
/// any more. A request whose creation is on its way is left to that transaction.
async fn gone(context: &Context, stored: &StoredRequest) -> Result<Commit, Error> {
    if stored.progress.creation.is_none() {
        return Ok(Commit::nothing());
    }
    let error = codes::REQUEST_NOT_FOUND.into();
    let mut commit = Commit::failed("the ledger no longer knows the request");
    match &stored.request.operation {
        Some(planned) => {
            commit.merge(consent::over(stored, &planned.operation, &error));
        }
        None => {
            commit.job(report::error(stored, "handleTendermintNewBlock", &error));
            commit.merge(stored.clean_up());
        }
    }
    commit.merge(forget_calls(context, stored).await?);
    Ok(commit)
}

async fn forget_calls(context: &Context, stored: &StoredRequest) -> Result<Commit, Error> {
    let mut commit = Commit::nothing();
    let calls = call_mark::forget_all(context, Table::RequestData, &stored.of.row()).await?;
    commit.writes.extend(calls);
    Ok(commit)
}

/// The message of an IdP's answer reports it, once its verdict is known, so that the
/// client gets one complete status (spec/http-api.md Q10).
fn is_left_to_message(stored: &StoredRequest, detail: &RequestDetail) -> bool {
    !detail.has_ended() && detail.response_list.len() > stored.progress.reported_answers
}
