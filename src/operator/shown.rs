//! Jobs as operators see them.

use super::message::{JobState, Shown};
use super::summary;
use crate::job::{Job, Kind, Millis};
use crate::store::{FailedJob, LastError};

/// The reason shown for a job that nobody parked.
const UNREADABLE: &str = "its record is lost or cannot be read: it was damaged, or stored by \
                          another release";

/// The state of an open job.
pub(super) fn state_of(job: &Job, now: Millis) -> JobState {
    let later = job.new.not_before.is_some_and(|instant| instant > now);
    let above = job.new.after_height.is_some() && job.tries == 0 && job.strikes == 0;
    match job.parked {
        true => JobState::Parked,
        false if later || above => JobState::Waiting,
        false => JobState::Open,
    }
}

/// An open job, with its last error.
pub(super) fn shown_open(job: &Job, error: Option<LastError>) -> Shown {
    let state = state_of(job, Millis::now());
    let (reason, at) = error.map(|error| (error.reason, error.at.0)).unzip();
    let is_unreadable = job.kind() == Kind::UNREADABLE;
    let reason = reason.or_else(|| is_unreadable.then(|| UNREADABLE.to_owned()));
    shown(job, state, reason, at)
}

pub(super) fn shown_failed(failed: &FailedJob) -> Shown {
    let (reason, at) = (failed.reason.clone(), failed.failed_at.0);
    shown(&failed.job, JobState::Failed, Some(reason), Some(at))
}

fn shown(job: &Job, state: JobState, last_error: Option<String>, failed_at: Option<u64>) -> Shown {
    Shown {
        id: job.id().to_string(),
        kind: job.kind().name().to_owned(),
        key: job.key().to_owned(),
        state,
        attempt: job.attempt,
        tries: job.tries,
        strikes: job.strikes,
        seq: job.seq,
        accepted_at: job.accepted_at.0,
        not_before: job.new.not_before.map(|instant| instant.0),
        after_height: job.new.after_height,
        deadline: job.new.deadline.map(|instant| instant.0),
        source: job.new.source.clone(),
        payload_bytes: job.new.payload.len() as u64,
        payload: summary::fields(job),
        last_error,
        failed_at,
    }
}
