//! Operations of operators on jobs, and their record.

use serde::{Deserialize, Serialize};

use crate::job::{Attempt, Job, JobId, Kind, Millis, NewJob, Pool};

crate::job::stored! {
    "audited": Audited = 1,
}

/// What an operator wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OperatorAction {
    /// Run it, perhaps again.
    Retry,
    /// It was done by other means: end it.
    Resolve,
    /// It is not wanted any more: end it.
    Drop,
}

impl OperatorAction {
    /// The word on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Resolve => "resolve",
            Self::Drop => "drop",
        }
    }
}

/// An action of an operator, with who, why and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operation {
    pub job: JobId,
    pub action: OperatorAction,
    pub who: String,
    pub why: String,
    pub at: Millis,
}

impl Operation {
    /// The state of an open job that it may act on; `None` if there is nothing
    /// to decide.
    pub(super) fn finds(&self, job: &Job) -> Option<Was> {
        let later = job.new.not_before.is_some_and(|instant| instant > self.at);
        match self.action {
            _ if job.parked => Some(Was::Parked),
            OperatorAction::Retry if later && job.tries > 0 => Some(Was::Waiting),
            // The node's own work is not given up while it can go on by itself.
            OperatorAction::Resolve | OperatorAction::Drop
                if later && job.tries > 0 && job.kind().pool() == Pool::Delivery =>
            {
                Some(Was::Waiting)
            }
            OperatorAction::Retry | OperatorAction::Resolve | OperatorAction::Drop => None,
        }
    }
}

/// The result of an [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operated {
    /// The job is open and may run.
    Open(Job),
    /// The job has ended.
    Ended,
    /// There is no such job, open or failed.
    NotFound,
    /// The job is in the wrong state; why, for operators.
    Refused(String),
}

impl Operated {
    /// For a job that nobody has to decide about.
    pub(super) fn not_parked() -> Self {
        Self::Refused("the job is open and not parked: the node runs it by itself".to_owned())
    }

    /// For a job whose record is lost or unreadable.
    pub(super) fn unreadable() -> Self {
        Self::Refused("the job cannot be read, so it cannot be run; drop it".to_owned())
    }
}

/// The state in which an operator found a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Was {
    Parked,
    /// Ended as failed.
    Failed,
    /// Waiting to be tried again.
    Waiting,
}

/// A recorded operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Audited {
    pub operation: Operation,
    pub kind: Kind,
    pub key: String,
    /// Before the operation.
    pub attempt: u32,
    /// Before the operation.
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
    pub reason: String,
    pub at: Millis,
}

/// The last error of a claimed job whose worker is lost.
pub(super) fn outcome_unknown(why: Option<&str>) -> String {
    let why = why.unwrap_or("its worker did not come back");
    format!("outcome unknown: the job was started, must not be repeated, and {why}")
}

/// A failed job as it is accepted again: with as much time to its deadline as
/// it had, and without an instant or block to wait for.
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
