//! The work of the roles. Handlers read and return commits; endpoints read and
//! return an outcome. They do no I/O but reads (spec/flows.md).

pub mod as_;
pub mod block;
mod call_mark;
pub mod debug;
pub mod dispatch;
pub mod endpoints;
mod error_code;
pub mod identifier;
mod identity;
pub mod idp;
mod initial_salt;
mod integrity;
pub mod kinds;
pub mod ledger_call;
mod levels;
mod ndid;
pub mod node;
mod open_request;
pub mod private_messages;
pub mod replaced;
#[cfg(test)]
mod replay_tests;
pub mod reply;
pub mod request_status;
pub mod rp;
pub mod status;
pub mod status_update;
#[cfg(test)]
pub(crate) mod testing;
mod utility;

use serde::{Deserialize, Serialize};

use crate::job::Commit;
use crate::store::Accept;

crate::job::stored! {
    "request_update": RequestUpdate = 1,
}

/// Payload of the jobs made from a block (`rp.request_update`,
/// `idp.request_update`, `as.request_update`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestUpdate {
    /// Node that has the request (behind a proxy: that node).
    pub node_id: String,
    /// The request.
    pub request_id: String,
    /// The block that changed it.
    pub height: u64,
    /// Whether the last transaction on it in that block closed it or timed it out.
    pub ended: bool,
    /// The ledger was replaced: earlier heights of the request are void.
    pub is_new_history: bool,
}

/// Jobs and writes of a commit, to be accepted in one step.
pub(crate) fn accept(commit: Commit) -> Accept {
    Accept {
        jobs: commit.jobs,
        writes: commit.writes,
        ..Accept::default()
    }
}
