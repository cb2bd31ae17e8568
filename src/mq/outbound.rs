//! From a message to the jobs that send it (spec/messaging-and-crypto.md 3).

use crate::error::{Error, codes};
use crate::job::Commit;
use crate::ledger::types::{MqAddress, NodeKey};
use crate::mq::message::Message;
use crate::node::Context;

/// The proxy a receiver lives behind.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ReceiverProxy {
    /// Its node id.
    pub node_id: String,
    /// Key of the outer layer.
    pub encryption_key: NodeKey,
    /// `KEY_ON_PROXY` or `KEY_ON_NODE`.
    pub config: String,
}

/// Who gets a message.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Receiver {
    /// The node it is for.
    pub node_id: String,
    /// Its encryption key.
    pub encryption_key: NodeKey,
    /// Its message queue, or its proxy's.
    pub address: MqAddress,
    /// Set for nodes behind a proxy.
    pub proxy: Option<ReceiverProxy>,
}

/// Signs, encrypts and records a message: returns the `deliver.message` jobs
/// (one per receiver) and the private-message record, to be merged into a
/// commit or an accept. With an external crypto service: one `mq.send` job.
///
/// # Errors
/// 10000 `message size larger than max length limit`; those of the ledger and of signing.
pub async fn send(
    _context: &Context,
    _sender_node_id: &str,
    _receivers: &[Receiver],
    _message: &Message,
) -> Result<Commit, Error> {
    Err(codes::UNKNOWN_ERROR.into())
}

/// Whether the message fits, measured before anything is put on the ledger
/// (spec/http-api.md Q19).
///
/// # Errors
/// 10000 `message size larger than max length limit`.
pub fn check_size(_context: &Context, _message: &Message) -> Result<(), Error> {
    Ok(())
}

/// The receiver of an answer to `node_id`.
///
/// # Errors
/// 10032 unknown node; 10018 without message queue address.
pub async fn receiver(_context: &Context, _node_id: &str) -> Result<Receiver, Error> {
    Err(codes::NODE_INFO_NOT_FOUND.into())
}
