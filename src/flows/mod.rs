//! What the roles do. Handlers read and return commits; API operations read
//! and return what is to be accepted. No I/O but reads (spec/flows.md).

pub mod as_;
pub mod block;
mod call;
pub mod dispatch;
pub mod endpoints;
mod error_code;
pub mod identifier;
mod identity;
pub mod idp;
mod integrity;
mod levels;
pub mod node;
mod not_built;
mod open_request;
pub mod private_messages;
pub mod replaced;
#[cfg(test)]
mod replay_tests;
pub mod reply;
pub mod request_status;
pub mod rp;
pub mod state;
pub mod status;
pub mod status_update;
#[cfg(test)]
pub(crate) mod testing;
mod utility;

use serde::{Deserialize, Serialize};

use crate::error::{Error, codes};
use crate::job::Commit;
use crate::mq::message::Message;
use crate::store::Accept;

/// Payload of the jobs made from a verified message (`rp.idp_response`,
/// `rp.as_response`, `idp.consent_request`, `as.data_request`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// Node the message is for (behind a proxy: that node).
    pub receiver_node_id: String,
    /// `<sender id>:<message id>`.
    pub message_id: String,
    /// The message as JSON text ([`crate::mq::message::Message`]).
    pub message: String,
}

impl Received {
    /// The message. It had passed its checks when it was stored.
    ///
    /// # Errors
    /// When it is unreadable all the same.
    pub fn message(&self) -> Result<Message, Error> {
        serde_json::from_str(&self.message).map_err(|error| {
            let text = format!("stored message {}: {error}", self.message_id);
            Error::with_message(codes::UNKNOWN_ERROR, text).unreadable()
        })
    }
}

/// Payload of the jobs made from a block (`rp.request_update`,
/// `idp.request_update`, `as.request_update`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestUpdate {
    /// Node whose request it is (behind a proxy: that node).
    pub node_id: String,
    /// The request.
    pub request_id: String,
    /// The block that changed it.
    pub height: u64,
    /// Whether the last transaction on it in that block closed it or timed it out.
    pub ended: bool,
    /// The ledger was replaced: what was known of the request's heights is void.
    pub is_new_history: bool,
}

/// Key under which all work on a request runs, one job at a time.
pub fn request_key(request_id: &str) -> String {
    format!("request:{request_id}")
}

/// Row of a record that belongs to a node (which may be behind this proxy).
pub fn row(node_id: &str, id: &str) -> String {
    format!("{node_id}/{id}")
}

/// What an API operation wants to happen, to be accepted as a whole.
pub(crate) fn accept(commit: Commit) -> Accept {
    Accept {
        jobs: commit.jobs,
        writes: commit.writes,
        ..Accept::default()
    }
}
