//! The result of running a job.

use std::time::Duration;

use async_trait::async_trait;

use super::{Commit, Job};

/// How a run of a job ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Run {
    /// The job is over. The commit is applied with its end.
    Commit(Commit),
    /// Run it again later. Nothing is applied.
    Retry {
        after: Duration,
        /// For operators.
        reason: String,
    },
    /// It cannot run as it is. An operator has to decide.
    Park { reason: String },
}

/// Runs jobs: picks the handler by kind. It affects the node's state only by
/// what it returns.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Runs one attempt. May be dropped at any await when the process stops.
    async fn run(&self, job: &Job) -> Run;
}
