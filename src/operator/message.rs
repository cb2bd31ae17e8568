//! What an operator asks, and the answers, as they travel between `erawan jobs`
//! and the process that has the store open.

use serde::{Deserialize, Serialize};

use crate::job::{JobId, Kind, Millis};
use crate::protocol::MESSAGE_LIMIT;
use crate::store::{Audited, Operation};

crate::job::sent! {
    crate::protocol::message::PROTOCOL_VERSION;
    "operator_question": OperatorRequest,
    "operator_answer": OperatorResponse,
    "operator_shown": Shown,
}

/// The most bytes of an answer: that of a message, less its wrapping.
pub(super) const ANSWER_BYTES: usize = MESSAGE_LIMIT - 1024;

/// What the operator is told in place of a larger one.
pub(super) fn too_large() -> String {
    format!(
        "the answer would have more than {} MiB: ask for fewer with --limit, or list only some \
         with --state, --kind, --key or --older-than",
        MESSAGE_LIMIT / (1024 * 1024)
    )
}

/// States of jobs as operators see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Accepted and not ended, whatever it waits for.
    Open,
    /// Open, and not to be run before an instant or a block.
    Waiting,
    /// Open, and not to be run before an operator decides.
    Parked,
    /// Ended as failed.
    Failed,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// In this state; `None`: open and failed ones.
    pub state: Option<JobState>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// With a key that contains this.
    pub key: Option<String>,
    /// Accepted before this instant.
    pub before: Option<Millis>,
    /// At most so many.
    pub limit: u64,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OperatorRequest {
    /// Jobs.
    List(Filter),
    /// One job.
    Show(JobId),
    /// To do these, in order.
    Operate(Vec<Operation>),
    /// The latest operations.
    Audit {
        /// At most so many.
        limit: u64,
    },
}

/// The answer to the [`OperatorRequest`] of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OperatorResponse {
    /// To [`OperatorRequest::List`], oldest first.
    List(Vec<Shown>),
    /// To [`OperatorRequest::Show`]; `None`: there is no such job.
    Show(Option<Box<Shown>>),
    /// To [`OperatorRequest::Operate`], in the order asked.
    Operate(Vec<OperationResult>),
    /// To [`OperatorRequest::Audit`], newest last.
    Audit(Vec<Audited>),
    /// To any: why there is none.
    Failed(String),
}

/// A job without what must not be shown: of its payload only the size and what
/// its kind allows ([`super::summary`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Which.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Its ordering key.
    pub key: String,
    /// In which state it is.
    pub state: JobState,
    /// Its attempt.
    pub attempt: u32,
    /// How often it was rescheduled.
    pub tries: u32,
    /// Its strikes.
    pub strikes: u32,
    /// Its place in the order of acceptance.
    pub seq: u64,
    /// When it was accepted (ms).
    pub accepted_at: u64,
    /// Not before this (ms).
    pub not_before: Option<u64>,
    /// Not before a block above this height.
    pub after_height: Option<u64>,
    /// Given up after this (ms).
    pub deadline: Option<u64>,
    /// Its idempotency key.
    pub source: Option<String>,
    /// Size of its payload.
    pub payload_bytes: u64,
    /// What may be shown of it.
    pub payload: Vec<Field>,
    /// Why it last failed.
    pub last_error: Option<String>,
    /// When (ms).
    pub failed_at: Option<u64>,
}

/// Part of a payload that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Of what.
    pub name: String,
    /// The value.
    pub value: String,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationResult {
    /// To which job.
    pub id: String,
    /// What became of it.
    pub result: OperationOutcome,
    /// Why it was refused, or what is known of it.
    pub reason: Option<String>,
}

/// The ways an operation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationOutcome {
    /// The job is open and may run.
    Open,
    /// The job has ended.
    Ended,
    /// There is no such job.
    NotFound,
    /// The job is in no state for it.
    Refused,
    /// The store did not say whether it was done.
    Unknown,
    /// Not done, because the store was away.
    NotTried,
}
