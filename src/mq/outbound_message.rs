//! A message to another node, as it is stored until it has been delivered.

use serde::{Deserialize, Serialize};

use crate::job::codec;

crate::job::stored! {
    "outbound_message": OutboundMessage = 1,
}

/// Payload of `deliver.message`: sealed, under the same id on every try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboundMessage {
    /// Unique per sending node.
    pub message_id: String,
    /// Node the message is from (behind a proxy: that node).
    pub sender_node_id: String,
    /// Node the message is for.
    pub destination_node_id: String,
    /// Host of its message queue (or its proxy's).
    pub ip: String,
    /// Port of it.
    pub port: i32,
    /// Encoded `EncryptedMqMessage`.
    #[serde(with = "codec::bytes")]
    pub payload: Vec<u8>,
    /// Request it belongs to.
    pub request_id: String,
}
