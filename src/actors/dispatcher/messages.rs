//! What the dispatcher's actor is told and asked.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::Notify;

use crate::actors::worker_session::WorkerSession;
use crate::job::{Epoch, Job, JobId};
use crate::protocol::message::{Chain, FromWorker, Hello};

use crate::dispatch::{SessionId, Snapshot};

/// Jobs that were accepted by whoever sends this.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Submit(pub Vec<Job>);

/// An operator changed this job in the store; it is open (again).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct JobChanged(pub Job);

/// An operator ended this job in the store.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct JobGone(pub JobId);

/// News of the ledger.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ChainNews(pub Chain);

/// A worker connected; answered with its session's number.
#[derive(Message)]
#[rtype(result = "SessionId")]
pub struct SessionUp {
    /// How it introduced itself.
    pub hello: Hello,
    /// Its session.
    pub address: Addr<WorkerSession>,
}

/// A message from a worker, other than its `Hello`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct FromSession {
    /// Whose.
    pub session: SessionId,
    /// What.
    pub message: FromWorker,
}

/// A worker is lost.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SessionDown(pub SessionId);

/// Notify whoever waits here when a worker is lost, from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TellOfLosses(pub Arc<Notify>);

/// Asks for the dispatcher's state.
#[derive(Debug, Message)]
#[rtype(result = "Snapshot")]
pub struct GetSnapshot;

/// Assign nothing any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DrainDispatcher;

/// Assign nothing any more, tell every worker that the master stops, and end
/// all sessions. The dispatcher is gone afterwards.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopDispatcher;

/// A worker has seen a master with this epoch.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LaterMaster(pub Epoch);
