//! Messages between nodes (spec/messaging-and-crypto.md).

pub mod message;
