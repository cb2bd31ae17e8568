//! What proves that a write is made by who may make it.

use serde::{Deserialize, Serialize};

use super::JobId;

/// Proof of mastership: every write of a master carries it, and a store that
/// knows a later one refuses.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// Which attempt of which job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The job.
    pub job: JobId,
    /// Its attempt number.
    pub number: u32,
}
