//! Messages between nodes (spec/messaging-and-crypto.md).

pub mod message;
pub mod outbound;
pub mod packing;
