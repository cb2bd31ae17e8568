//! The link between one master and its workers.

pub mod message;
