//! Proofs that the writer is allowed to write.

use serde::{Deserialize, Serialize};

use super::JobId;

/// Proof of mastership. Every write of a master carries it, and a store that
/// knows a later one refuses.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// One attempt of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    pub job: JobId,
    pub number: u32,
}
