//! Connections inside one process: channels in place of gRPC, the same actors
//! at both ends.

use actix::ArbiterHandle;
use tokio::sync::mpsc;

use super::CHANNEL;
use super::message::{FromMaster, FromWorker};

/// The master's end of a connection.
#[derive(Debug)]
pub struct MasterEnd {
    /// To the worker.
    pub sender: mpsc::Sender<FromMaster>,
    /// From the worker.
    pub receiver: mpsc::Receiver<FromWorker>,
}

/// The worker's end of a connection.
#[derive(Debug)]
pub struct WorkerEnd {
    /// To the master.
    pub sender: mpsc::Sender<FromWorker>,
    /// From the master.
    pub receiver: mpsc::Receiver<FromMaster>,
}

/// Joins two ends; either is closed when the other is dropped.
pub fn join() -> (MasterEnd, WorkerEnd) {
    let (to_worker, from_master) = mpsc::channel(CHANNEL);
    let (to_master, from_worker) = mpsc::channel(CHANNEL);
    let master = MasterEnd {
        sender: to_worker,
        receiver: from_worker,
    };
    let worker = WorkerEnd {
        sender: to_master,
        receiver: from_master,
    };
    (master, worker)
}

/// Where workers of the same process connect to their master.
#[derive(Debug, Clone)]
pub struct Port {
    pub(super) connections: mpsc::Sender<MasterEnd>,
    /// The master's thread. A worker's link runs there too: what the two say to
    /// each other then wakes nobody.
    pub(super) arbiter: ArbiterHandle,
}

impl Port {
    /// A new connection; `None` when the master has stopped.
    pub async fn connect(&self) -> Option<WorkerEnd> {
        let (master, worker) = join();
        self.connections.send(master).await.ok()?;
        Some(worker)
    }
}
