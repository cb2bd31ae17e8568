//! Questions of operators and their answers, as they travel between `erawan
//! jobs` and the process that has the store open.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::story::RequestStory;
use crate::job::{JobId, Kind, Millis};
use crate::protocol::MESSAGE_LIMIT;
use crate::store::{Audited, Operation};

crate::job::sent! {
    crate::protocol::message::PROTOCOL_VERSION;
    "operator_question": OperatorRequest,
    "operator_answer": OperatorResponse,
    "operator_shown": Shown,
}

/// The largest answer: a message without its wrapping.
pub(super) const ANSWER_BYTES: usize = MESSAGE_LIMIT - 1024;

/// The text that replaces a larger answer.
pub(super) fn too_large() -> String {
    format!(
        "the answer would have more than {} MiB: ask for fewer with --limit, or list only some \
         with --state, --kind, --key or --older-than",
        MESSAGE_LIMIT / (1024 * 1024)
    )
}

/// States of jobs as operators see them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
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

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// `None`: open and failed ones.
    pub state: Option<JobState>,
    pub kind: Option<Kind>,
    /// A part of the key.
    pub key: Option<String>,
    pub before: Option<Millis>,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OperatorRequest {
    List(Filter),
    /// One job.
    Show(JobId),
    /// Do these, in order.
    Operate(Vec<Operation>),
    Audit {
        limit: u64,
    },
    /// Everything about a request.
    Story {
        request_id: String,
        /// Whose state is looked at.
        node_ids: Vec<String>,
    },
}

/// The answer to the [`OperatorRequest`] of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OperatorResponse {
    /// To [`OperatorRequest::List`], oldest first.
    List(Vec<Shown>),
    /// To [`OperatorRequest::Show`]; `None`: there is no such job.
    Show(Option<Box<Shown>>),
    /// In the order asked.
    Operate(Vec<OperationResult>),
    /// To [`OperatorRequest::Audit`], newest last.
    Audit(Vec<Audited>),
    /// To any request: why it has no other answer.
    Failed(String),
    /// To [`OperatorRequest::Story`].
    Story(Box<RequestStory>),
}

/// A job without secrets: only the size of its payload, and what its kind
/// allows ([`super::summary`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// Which.
    pub id: String,
    pub kind: String,
    pub key: String,
    pub state: JobState,
    pub attempt: u32,
    /// How often it was rescheduled.
    pub tries: u32,
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

/// A part of a payload that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Field {
    /// Of what.
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationResult {
    pub id: String,
    pub result: OperationOutcome,
    /// Why it was refused, or what is known of it.
    pub reason: Option<String>,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationOutcome {
    /// The job is open and may run.
    Open,
    /// The job has ended.
    Ended,
    /// There is no such job.
    NotFound,
    /// The job is in the wrong state.
    Refused,
    /// The store did not say whether it was done.
    Unknown,
    /// Not done, because the store was away.
    NotTried,
}
