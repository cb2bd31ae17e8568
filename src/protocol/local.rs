//! Connections inside one process: channels instead of gRPC, with the same
//! actors at both ends.

use std::sync::Arc;

use actix::ArbiterHandle;
use tokio::sync::{mpsc, watch};

use crate::protocol::CHANNEL;
use crate::protocol::message::{FromMaster, FromWorker};

/// The master's end of a connection.
#[derive(Debug)]
pub struct MasterEnd {
    pub sender: mpsc::Sender<FromMaster>,
    pub receiver: mpsc::Receiver<FromWorker>,
}

/// The worker's end of a connection.
#[derive(Debug)]
pub struct WorkerEnd {
    pub sender: mpsc::Sender<FromWorker>,
    pub receiver: mpsc::Receiver<FromMaster>,
}

/// Creates a connected pair. Dropping one end closes the other.
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

/// Where the worker of a process meets its masters, one after the other.
#[derive(Debug, Clone)]
pub struct MeetingPoint {
    /// The thread of both, so that a message wakes no other thread.
    pub(crate) arbiter: ArbiterHandle,
    current: Arc<watch::Sender<Option<mpsc::Sender<MasterEnd>>>>,
}

impl MeetingPoint {
    /// Creates one in this thread, which has to outlive it.
    pub fn new(arbiter: ArbiterHandle) -> Self {
        Self {
            arbiter,
            current: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Where workers of the same process connect.
    pub fn port(&self) -> Port {
        Port {
            connections: self.current.subscribe(),
            arbiter: self.arbiter.clone(),
        }
    }

    /// Announces a master.
    pub(crate) fn open(&self, connections: mpsc::Sender<MasterEnd>) {
        self.current.send_replace(Some(connections));
    }

    /// Says that the master has gone.
    pub(crate) fn close(&self) {
        self.current.send_replace(None);
    }
}

/// Where workers of the same process connect to their master.
#[derive(Debug, Clone)]
pub struct Port {
    connections: watch::Receiver<Option<mpsc::Sender<MasterEnd>>>,
    pub(crate) arbiter: ArbiterHandle,
}

impl Port {
    /// A new connection; `None` while there is no master.
    pub async fn connect(&self) -> Option<WorkerEnd> {
        let connections = self.connections.borrow().clone()?;
        let (master, worker) = join();
        connections.send(master).await.ok()?;
        Some(worker)
    }
}
