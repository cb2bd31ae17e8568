//! The message queue service and its messages (spec/messaging-and-crypto.md).

pub mod body;
pub mod client;
pub mod data_url;
pub mod future_quota;
pub mod gzip;
pub mod message;
mod outbound_message;
pub mod packing;
pub mod scan;
pub mod schema;

pub use outbound_message::OutboundMessage;
