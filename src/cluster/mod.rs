//! The link between one master and its workers: over gRPC, or through channels
//! inside a standalone process.

mod link;
mod master;
pub mod server;
mod session;
mod worker;

pub use master::{Master, MasterError, MasterHandle, MasterOptions, Over};
pub use worker::{Link, Worker, WorkerHandle, WorkerOptions};
