//! The audit in the form that people and programs read: what operators decided
//! about jobs and about receivers, in one list.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pauses::ReceiverDecision;
use crate::store::{Audited, Was};

/// A decision of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionRecord {
    /// When (ms).
    pub at: u64,
    pub who: String,
    /// The reason given.
    pub why: String,
    /// `retry`, `resolve` or `drop` a job, `pause` or `resume` a receiver.
    pub action: String,
    /// The job; empty for a receiver.
    pub id: String,
    /// The kind of the job; empty for a receiver.
    pub kind: String,
    /// The key of the job, or the receiver.
    pub key: String,
    /// Of the job before the decision.
    pub attempt: u32,
    /// How the job was found: `parked`, `failed` or `waiting`; empty for a
    /// receiver.
    pub was: String,
    /// Why the job was in that state.
    pub reason: String,
}

impl From<&Audited> for DecisionRecord {
    fn from(audited: &Audited) -> Self {
        let operation = &audited.operation;
        Self {
            at: operation.at.0,
            who: operation.who.clone(),
            why: operation.why.clone(),
            action: operation.action.name().to_owned(),
            id: operation.job.to_string(),
            kind: audited.kind.name().to_owned(),
            key: audited.key.clone(),
            attempt: audited.attempt,
            was: was(audited.was).to_owned(),
            reason: audited.reason.clone(),
        }
    }
}

impl From<&ReceiverDecision> for DecisionRecord {
    fn from(decision: &ReceiverDecision) -> Self {
        let action = if decision.is_pause { "pause" } else { "resume" };
        Self {
            at: decision.at.0,
            who: decision.who.clone(),
            why: decision.why.clone(),
            action: action.to_owned(),
            id: String::new(),
            kind: String::new(),
            key: decision.receiver.clone(),
            attempt: 0,
            was: String::new(),
            reason: String::new(),
        }
    }
}

fn was(was: Was) -> &'static str {
    match was {
        Was::Parked => "parked",
        Was::Failed => "failed",
        Was::Waiting => "waiting",
    }
}
