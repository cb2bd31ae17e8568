//! Holds messages for a block far above the ledger. Such a message waits in the
//! form in which it came. It is opened again when the block has been seen, or
//! refused when it has waited too long.

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::Error;
use crate::job::{Commit, Job, JobId, Kind, Millis, NewJob, Run, Spec};
use crate::messaging::inbound::RawMessage;
use crate::mq::future_quota::WaitingMessage;

crate::job::stored! {
    "mq_give_up": GiveUp = 2,
}

/// Refuses a message that has waited too long for a block far above the ledger.
pub const GIVE_UP: Kind = Kind::new(&Spec::transactional(33, "mq.give_up"));

/// Payload of `mq.give_up`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct GiveUp {
    /// The job that waits with the message.
    waiting: JobId,
    /// Why the message is refused.
    reason: String,
    /// The callback that tells the client.
    report: NewJob,
}

/// A job that waits with a message, instead of `job`, which brought it.
pub(super) fn waiting_job(job: &Job, height: u64, era: u64) -> NewJob {
    as_it_came(job).after_height(height).of_era(era)
}

/// Another job with the same message, which need not be encoded again.
pub(super) fn as_it_came(job: &Job) -> NewJob {
    let mut again = NewJob::new(job.kind(), job.key(), &());
    again.payload.clone_from(&job.new.payload);
    again
}

/// Lets a message of `sender` wait until `until`, if the quota allows it.
/// `refused` gives the reason and the callback for a message that waited too
/// long.
pub(super) fn wait(
    context: &Context,
    (job, raw): (&Job, &RawMessage),
    (height, era): (u64, u64),
    sender: &str,
    until: Millis,
    refused: impl FnOnce() -> (String, NewJob),
) -> Option<Commit> {
    if until <= Millis::now() {
        return None;
    }
    let waiting = waiting_job(job, height, era).deadline(until);
    let counted = WaitingMessage {
        job: waiting.id,
        bytes: raw.bytes.len() as u64,
        until,
    };
    if !context
        .future_quota
        .admit(sender, counted, context.config.queue)
    {
        return None;
    }
    let (reason, report) = refused();
    let give_up = GiveUp {
        waiting: waiting.id,
        reason,
        report,
    };
    let key = format!("give up:{}", waiting.id);
    let mut end = NewJob::new(GIVE_UP, key, &give_up).not_before(until);
    end.id = waiting.id.partner();
    let mut commit = Commit::nothing();
    commit.job(waiting).job(end);
    Some(commit)
}

/// Ends the wait of this job's message: its timer is no longer needed.
pub(super) fn has_waited(context: &Context, job: &Job, commit: &mut Commit) {
    if job.new.deadline.is_some() {
        context.future_quota.release(job.id());
        commit.cancel(job.id().partner());
    }
}

/// Handler of `mq.give_up`.
/// # Errors
/// An unreadable payload.
pub fn run_give_up(context: &Context, job: &Job) -> Result<Run, Error> {
    let GiveUp {
        waiting,
        reason,
        report,
    } = job.payload()?;
    tracing::warn!(reason, "a message has waited too long");
    context.future_quota.release(waiting);
    let mut commit = Commit::failed(reason);
    commit.cancel(waiting).job(report);
    Ok(Run::Commit(commit))
}
