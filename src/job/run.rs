//! What a request handler runs.

use std::time::Duration;

use async_trait::async_trait;

use super::{Commit, Job};

/// What a run of a job led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Run {
    /// It is over; this is to be applied with its end.
    Commit(Commit),
    /// Run it again later; nothing is applied.
    Retry {
        /// How much later.
        after: Duration,
        /// Why, for operators.
        reason: String,
    },
    /// It cannot be run as it is; an operator has to decide.
    Park {
        /// Why.
        reason: String,
    },
}

/// Runs jobs: picks the handler by kind. Has no effect on the node's state but
/// through what it returns.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Runs one attempt. May be dropped at any await when the process stops.
    async fn run(&self, job: &Job) -> Run;
}
