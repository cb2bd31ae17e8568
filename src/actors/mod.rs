//! The actors of master and worker.

pub mod mq_inbox;
mod runner;

pub use runner::{Run, Runner};
