//! Messages to the dispatcher's actor.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::Notify;

use crate::actors::worker_session::WorkerSession;
use crate::job::{Epoch, Job, JobId};
use crate::protocol::message::{Chain, FromWorker, Hello};

use super::live::LiveBoard;
use crate::dispatch::{Overview, SessionId, Snapshot};

/// Announces jobs that the sender has accepted into the store.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Submit(pub Vec<Job>);

/// An operator changed this job in the store. It is open, perhaps again.
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

/// A worker connected. The answer is the number of its session.
#[derive(Message)]
#[rtype(result = "SessionId")]
pub struct SessionUp {
    pub hello: Hello,
    pub address: Addr<WorkerSession>,
}

/// A message from a worker, other than its `Hello`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct FromSession {
    pub session: SessionId,
    pub message: FromWorker,
}

/// A worker is lost.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SessionDown(pub SessionId);

/// From now on, notifies this when a worker is lost.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TellOfLosses(pub Arc<Notify>);

/// From now on, notes here what ends, and no longer on an earlier board.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TellOfEnds(pub Arc<LiveBoard>);

/// Operators have paused these receivers and no others.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PauseReceivers(pub BTreeSet<Arc<str>>);

#[derive(Debug, Message)]
#[rtype(result = "Snapshot")]
pub struct GetSnapshot;

#[derive(Debug, Message)]
#[rtype(result = "Overview")]
pub struct GetOverview;

/// Place and id of parked jobs with a place above `after`, oldest first.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(u64, JobId)>")]
pub struct GetParked {
    pub after: u64,
    pub limit: usize,
}

/// Stops assigning jobs.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DrainDispatcher;

/// Stops assigning jobs, tells every worker that the master stops, and ends all
/// sessions. The dispatcher is gone afterwards.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopDispatcher;

/// A worker has seen a master with this epoch.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LaterMaster(pub Epoch);
