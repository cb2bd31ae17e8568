//! What an operator can do about a job, and the record of what they did.

use serde::{Deserialize, Serialize};

use crate::job::{Attempt, Job, JobId, Kind, Millis, NewJob};

crate::job::stored! {
    "audited": Audited = 1,
}

/// What an operator wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OperatorAction {
    /// Run it (again).
    Retry,
    /// It was done by other means: end it.
    Resolve,
    /// It is not wanted any more: end it.
    Drop,
}

impl OperatorAction {
    /// The word for it on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Resolve => "resolve",
            Self::Drop => "drop",
        }
    }
}

/// What an operator does, with who, why and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operation {
    /// To which job.
    pub job: JobId,
    /// What.
    pub action: OperatorAction,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Millis,
}

impl Operation {
    /// In which state it finds an open job; `None` if that is none to decide in.
    pub(super) fn finds(&self, job: &Job) -> Option<Was> {
        let later = job.new.not_before.is_some_and(|instant| instant > self.at);
        match self.action {
            _ if job.parked => Some(Was::Parked),
            OperatorAction::Retry if later && job.tries > 0 => Some(Was::Waiting),
            OperatorAction::Retry | OperatorAction::Resolve | OperatorAction::Drop => None,
        }
    }
}

/// What became of an [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operated {
    /// The job is open and may run.
    Open(Job),
    /// The job has ended.
    Ended,
    /// There is no such job, open or failed.
    NotFound,
    /// The job is in no state for this; why, for operators.
    Refused(String),
}

impl Operated {
    /// What operators read about a job that nobody has to decide about.
    pub(super) fn not_parked() -> Self {
        Self::Refused("the job is open and not parked: the node runs it by itself".to_owned())
    }

    /// What operators read about a job of which nothing is left to be run.
    pub(super) fn unreadable() -> Self {
        Self::Refused("the job cannot be read, so it cannot be run; drop it".to_owned())
    }
}

/// In which state an operator found a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Was {
    /// Parked.
    Parked,
    /// Ended as failed.
    Failed,
    /// Waiting to be tried again.
    Waiting,
}

/// An operation in the record of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Audited {
    /// What was done.
    pub operation: Operation,
    /// The job's kind.
    pub kind: Kind,
    /// The job's key.
    pub key: String,
    /// The attempt it had.
    pub attempt: u32,
    /// Its state before.
    pub was: Was,
    /// Why it was parked or had failed.
    pub reason: String,
}

impl Audited {
    pub(super) fn new(operation: Operation, job: &Job, was: Was, reason: &str) -> Self {
        Self {
            kind: job.kind(),
            key: job.key().to_owned(),
            attempt: job.attempt,
            was,
            reason: reason.to_owned(),
            operation,
        }
    }
}

/// Why a job last failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LastError {
    /// Why.
    pub reason: String,
    /// When.
    pub at: Millis,
}

/// What is kept as the last error of a claimed job whose worker is lost.
pub(super) fn outcome_unknown(why: Option<&str>) -> String {
    let why = why.unwrap_or("its worker did not come back");
    format!("outcome unknown: the job was started, must not be repeated, and {why}")
}

/// A failed job as it is accepted again: as much time to its deadline as it
/// had, and no instant or block to wait for any more.
pub(super) fn again(job: &Job, at: Millis) -> (NewJob, Attempt) {
    let mut new = job.new.clone();
    new.not_before = None;
    new.after_height = None;
    new.deadline = new
        .deadline
        .map(|deadline| at.after(job.accepted_at.until(deadline)));
    let next = Attempt {
        job: job.id(),
        number: job.attempt.saturating_add(1),
    };
    (new, next)
}
