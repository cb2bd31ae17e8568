//! The link between one master and its workers: over gRPC, or through channels
//! inside a standalone process.

mod backlog;
pub mod client;
pub mod introduction;
mod link;
pub mod local;
mod master;
pub mod message;
mod search;
pub mod server;
mod session;
mod tls;
mod worker;

pub use backlog::{Backlog, BacklogBoard, Blocks, Dormant, OpenJobs};
pub use master::{Master, MasterError, MasterHandle, MasterOptions, Over};
pub use tls::Tls;
pub use worker::{Link, Worker, WorkerHandle, WorkerOptions};

use std::time::Duration;

/// A worker shows that it is there whenever the master does, which is with each
/// beat of that process ([`crate::tick`]), and after this time if it does not.
const UNASKED: Duration = Duration::from_millis(750);

/// Either side gives the other up after this much silence.
pub const SILENCE: Duration = Duration::from_millis(2500);

/// Messages that wait in each direction of a connection.
pub const CHANNEL: usize = 64;

/// Largest message on the link, in bytes.
pub const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;
