//! The actors of master and worker.

pub mod mq_inbox;
#[cfg(test)]
mod mq_inbox_tests;
mod runner;

pub use runner::{Run, Runner};
