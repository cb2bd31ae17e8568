//! The link between one master and its workers: over gRPC, or through channels
//! inside a standalone process.

mod link;
mod master;
pub mod server;
mod session;
mod worker;

pub use master::{Master, MasterError, MasterHandle, MasterOptions, Over};
pub use worker::{Link, Worker, WorkerHandle, WorkerOptions};

use std::time::Duration;

/// A worker shows that it is there whenever the master does, which is with each
/// beat of that process ([`crate::tick`]), and after this time if it does not.
const UNASKED: Duration = Duration::from_millis(750);
