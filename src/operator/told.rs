//! What `erawan jobs` is told, whomever it asked.

use super::message::{OperationResult, OperatorResponse, Shown};
use super::receivers::ReceiverShown;
use super::record::DecisionRecord;
use super::story::RequestStory;

pub(super) enum JobsAnswer {
    Jobs {
        jobs: Vec<Shown>,
        /// If none is listed: what there is instead.
        instead: Option<Instead>,
    },
    /// `None`: there is no such job.
    Job(Option<Box<Shown>>),
    Operations(Vec<OperationResult>),
    Story(Box<RequestStory>),
    /// Newest last.
    Audit(Vec<DecisionRecord>),
    Receivers(Vec<ReceiverShown>),
    /// A receiver is paused or not, as asked.
    Decided(DecisionRecord),
}

/// Jobs that a list without a match leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instead {
    pub open: u64,
    /// How many of the open ones wait for an operator.
    pub parked: u64,
    pub failed: u64,
    /// There are at least so many.
    pub or_more: bool,
}

impl JobsAnswer {
    /// # Errors
    /// Why there is no answer.
    pub fn from_answer(answer: OperatorResponse) -> Result<Self, String> {
        match answer {
            OperatorResponse::List(jobs) => Ok(Self::Jobs {
                jobs,
                instead: None,
            }),
            OperatorResponse::Show(job) => Ok(Self::Job(job)),
            OperatorResponse::Operate(done) => Ok(Self::Operations(done)),
            OperatorResponse::Audit(audit) => Ok(Self::Audit(
                audit.iter().map(DecisionRecord::from).collect(),
            )),
            OperatorResponse::Story(story) => Ok(Self::Story(story)),
            OperatorResponse::Failed(reason) => Err(reason),
        }
    }
}
