//! What a process knows of itself and of what it works with.

use schemars::JsonSchema;
use serde::Serialize;

/// A process of a node.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct NodeFacts {
    pub node_id: String,
    /// `standalone`, `master` or `worker`, as it was started.
    pub mode: String,
    /// `master`, `standby`, `worker` or `standalone`: its part now.
    pub role: String,
    /// `rp`, `idp`, `as`, `ndid` or `proxy`; absent while it starts.
    pub node_role: Option<String>,
    /// Of the term that this process leads.
    pub epoch: Option<u64>,
    /// The master, if another process is.
    pub master: Option<String>,
    pub version: String,
    /// `redis` or `embedded`.
    pub store: String,
    /// When the process started (ms).
    pub started_at: u64,
    /// Why it is not ready; empty if it is.
    pub reasons: Vec<String>,
    /// What operators should know although it is ready.
    pub notices: Vec<String>,
    /// What it works with.
    pub parts: Vec<Part>,
    /// Absent where blocks are not followed.
    pub ledger: Option<LedgerFacts>,
}

/// Something that a process works with.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Part {
    pub name: String,
    /// What is wrong with it; absent if nothing is.
    pub trouble: Option<String>,
}

/// How far the ledger is followed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LedgerFacts {
    pub chain_id: Option<String>,
    /// The newest block that the node has seen.
    pub height: u64,
    /// The newest block that the ledger has.
    pub tip: u64,
    pub connected: bool,
}

impl LedgerFacts {
    /// How many blocks the node is behind.
    pub fn lag(&self) -> u64 {
        self.tip.saturating_sub(self.height)
    }
}
