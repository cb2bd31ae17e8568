//! The link between one master and its workers: over gRPC, or through channels
//! inside a standalone process.

mod application;
mod door;
mod link;
mod master;
pub mod server;
mod session;
mod worker;

pub use application::{AppHandler, AppWorker, Application, Engine};
pub use master::{Master, MasterError, MasterHandle, MasterOptions, Over};
pub use worker::{Link, Worker, WorkerHandle, WorkerOptions};

use std::time::Duration;

/// How long a worker may be silent. It answers every heartbeat of the master,
/// which come with the beat of that process ([`crate::tick`]), and speaks by
/// itself after this time.
const UNASKED: Duration = Duration::from_millis(750);
