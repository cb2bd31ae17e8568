//! What masters and workers say to each other: messages, how a connection is
//! introduced and found, and the figures that each side has of the other.

mod backlog;
pub mod client;
#[cfg(test)]
mod golden_tests;
pub mod introduction;
pub mod local;
pub mod message;
pub mod search;
mod tls;

pub use backlog::{Backlog, BacklogBoard, Blocks, Dormant, OpenJobs};
pub use tls::Tls;

use std::time::Duration;

/// Either side gives the other up after this much silence.
pub const SILENCE: Duration = Duration::from_millis(2500);

/// Messages that wait in each direction of a connection.
pub const CHANNEL: usize = 64;

/// Largest message on the link, in bytes.
pub const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;
