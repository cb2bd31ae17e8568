//! The actors of master and worker.

mod runner;

pub use runner::{Run, Runner};
