//! The time-out of a request (spec/flows.md 2.9).

use std::time::Duration;

use serde_json::json;

use super::ROLE;
use super::report::PROCESS_MESSAGE;
use super::stored::{RequestRef, StoredRequest};
use crate::context::Context;
use crate::delivery::transaction::{Continuation, Transact, transact};
use crate::error::Error;
use crate::flows::dispatch::Flow;
use crate::flows::identity::consent;
use crate::flows::ledger_call::settlement;
use crate::job::{Commit, Job, Kind, Millis, NewJob, Spec, request_key};
use crate::ledger::query;

/// A request's time is up.
pub const KIND: Kind = Kind::new(&Spec::transactional(6, "rp.time_out"));

/// The transaction that times a request out has settled.
pub const TIMED_OUT: Kind = Kind::new(&Spec::transactional(7, "rp.request_timed_out"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job))).told(ROLE, PROCESS_MESSAGE);

pub(in crate::flows) const TIMED_OUT_FLOW: Flow = Flow::new(TIMED_OUT, |context, job| {
    Box::pin(handle_timed_out(context, job))
})
.told(ROLE, PROCESS_MESSAGE);

/// Pause before a failed time-out fires again.
const AGAIN: Duration = Duration::from_secs(60);

/// Handler of `rp.time_out`: the timer fired. The client hears of it by the block.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let of: RequestRef = job.payload()?;
    let Some(stored) = StoredRequest::load(context, of).await? else {
        return Ok(Commit::nothing());
    };
    let of = &stored.of;
    let ledger = context.ledger.as_ref();
    let detail = query::request_detail(ledger, &of.request_id, None).await?;
    // As long as the request is stored, its time will be up.
    let Some(detail) = detail else {
        return Ok(later(stored, "the ledger does not know the request"));
    };
    if detail.has_ended() {
        // The block tells of that. Without one, an identity operation is told here.
        return match &stored.request.operation {
            Some(planned) => consent::ended(context, &stored, planned, &detail).await,
            None => Ok(Commit::nothing()),
        };
    }
    let params = json!({
        "request_id": of.request_id,
        "response_valid_list": stored.validity.to_list(),
    });
    let then = Continuation::new(TIMED_OUT, request_key(&of.request_id), of);
    // The block tells of a success.
    let then = Some(then.if_refused());
    let transaction = Transact::new(&of.node_id, "TimeOutRequest", &params, then)
        .resend_when_disabled()
        .retry_on_shortage();
    transact(context, transaction).await
}

/// Handler of `rp.request_timed_out`, which only a refusal makes. A refusal because
/// the request is closed already is fine.
pub async fn handle_timed_out(context: &Context, job: &Job) -> Result<Commit, Error> {
    let (of, result) = settlement::<RequestRef>(job)?;
    let Err(refusal) = result else {
        return Ok(Commit::nothing());
    };
    let ledger = context.ledger.as_ref();
    let detail = query::request_detail(ledger, &of.request_id, None).await?;
    if detail.is_some_and(|detail| detail.has_ended()) {
        return Ok(Commit::nothing());
    }
    let (message, code) = (refusal.message(), refusal.code().number);
    let reason = format!("TimeOutRequest was refused: {message} ({code})");
    match StoredRequest::load(context, of).await? {
        Some(stored) => Ok(later(stored, &reason)),
        None => Ok(Commit::failed(reason)),
    }
}

/// The time-out failed: it fires again. The timer ends with the request, for example
/// when the ledger is replaced.
fn later(mut stored: StoredRequest, reason: &str) -> Commit {
    let timer = NewJob::new(KIND, request_key(&stored.of.request_id), &stored.of)
        .not_before(Millis::now().after(AGAIN));
    stored.progress.timer = Some(timer.id);
    let mut commit = Commit::failed(format!("{reason}; it is tried again"));
    commit.job(timer);
    commit.write(stored.save_progress());
    commit
}
