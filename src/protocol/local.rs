//! Connections inside one process: channels in place of gRPC, the same actors
//! at both ends.

use std::sync::Arc;

use actix::ArbiterHandle;
use tokio::sync::{mpsc, watch};

use crate::protocol::CHANNEL;
use crate::protocol::message::{FromMaster, FromWorker};

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

/// Where the masters of one process, one after the other, meet its worker.
#[derive(Debug, Clone)]
pub struct MeetingPoint {
    /// The thread of both. What they say to each other then wakes nobody.
    pub(crate) arbiter: ArbiterHandle,
    current: Arc<watch::Sender<Option<mpsc::Sender<MasterEnd>>>>,
}

impl MeetingPoint {
    /// A place in this thread, which has to outlive it.
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

    /// A master is there.
    pub(crate) fn open(&self, connections: mpsc::Sender<MasterEnd>) {
        self.current.send_replace(Some(connections));
    }

    /// There is none any more.
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
