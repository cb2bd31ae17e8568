//! A message to another node, as it is stored until it has been delivered.

use serde::{Deserialize, Serialize};

use crate::job::codec;

crate::job::stored! {
    "outbound_message": OutboundMessage = 1,
}

/// Payload of `deliver.message`: sealed, and under the same id on every try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboundMessage {
    /// Unique per sending node.
    pub message_id: String,
    /// The sending node, perhaps behind this proxy.
    pub sender_node_id: String,
    pub destination_node_id: String,
    /// Host of its message queue, or of its proxy's.
    pub ip: String,
    pub port: i32,
    /// Encoded `EncryptedMqMessage`.
    #[serde(with = "codec::bytes")]
    pub payload: Vec<u8>,
    pub request_id: String,
}
