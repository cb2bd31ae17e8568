//! The language of masters and workers: their messages, how a worker finds a
//! master and introduces itself, and the figures that each side has of the
//! other.

mod backlog;
pub mod client;
#[cfg(test)]
mod golden_tests;
pub mod introduction;
pub mod local;
pub mod message;
pub mod search;

pub use backlog::{Backlog, BacklogBoard, Blocks, Dormant, OpenJobs};

use std::time::Duration;

/// After this much silence, either side gives the other up.
pub const SILENCE: Duration = Duration::from_millis(2500);

/// Messages that may wait in each direction of a connection.
pub const CHANNEL: usize = 64;

/// Largest message on the link, in bytes.
pub const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;
