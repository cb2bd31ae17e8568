//! The actors of master and worker.

pub mod ledger_watcher;
mod runner;

pub use runner::{Run, Runner};
