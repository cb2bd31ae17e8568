//! A verified message, as the jobs made from it carry it.

use serde::{Deserialize, Serialize};

use crate::error::{Error, codes};
use crate::mq::message::Message;

crate::job::stored! {
    "received": Received = 1,
}

/// Payload of the jobs made from a verified message (`rp.idp_response`,
/// `rp.as_response`, `idp.consent_request`, `as.data_request`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The node it is for, perhaps behind this proxy.
    pub receiver_node_id: String,
    /// `<sender id>:<message id>`.
    pub message_id: String,
    /// As JSON text ([`crate::mq::message::Message`]).
    pub message: String,
}

impl Received {
    /// Parses the message, which had passed its checks when it was stored.
    /// # Errors
    /// When it is unreadable all the same.
    pub fn message(&self) -> Result<Message, Error> {
        serde_json::from_str(&self.message).map_err(|error| {
            let text = format!("stored message {}: {error}", self.message_id);
            Error::with_message(codes::UNKNOWN_ERROR, text).unreadable()
        })
    }
}
