//! What a request handler calls to run a job.

use std::time::Duration;

use async_trait::async_trait;

use crate::job::{Commit, Job};

/// What came of running a job once.
#[derive(Debug, Clone, PartialEq)]
pub enum Run {
    /// Apply this and end the job.
    Commit(Commit),
    /// Keep the job and run it again later.
    Retry {
        /// How long to wait.
        after: Duration,
        /// What an operator reads.
        reason: String,
    },
}

/// Runs jobs of every kind. Reads only; effects are in what it returns.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Runs a job once.
    async fn run(&self, job: &Job) -> Run;
}
