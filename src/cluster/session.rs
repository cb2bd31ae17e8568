//! The master's side of one connection, over gRPC or inside the process: it
//! greets the worker, then passes everything the worker says to the dispatcher
//! in order.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::actors::dispatcher::{Dispatcher, FromSession, LaterMaster, SessionDown, SessionUp};
use crate::actors::mastership::Term;
use crate::actors::worker_session::{CloseSession, ToWorker, WorkerSession};
use crate::dispatch::SessionId;

use crate::protocol::local::MasterEnd;
use crate::protocol::message::{FromMaster, FromWorker, Hello, PROTOCOL_VERSION};
use crate::protocol::{BacklogBoard, SILENCE};
use crate::tick;

/// What every connection of a master needs.
#[derive(Clone)]
pub(super) struct Reception {
    pub(super) node_id: String,
    pub(super) dispatcher: Addr<Dispatcher>,
    /// Where worker sessions run.
    pub(super) arbiter: ArbiterHandle,
    pub(super) term: Term,
    /// The node's open work, as workers are told it.
    pub(super) backlog: Arc<BacklogBoard>,
}

impl Reception {
    /// Serves one connection until either side ends it.
    pub(super) async fn serve(self, mut end: MasterEnd) {
        let Some(hello) = greeting(&mut end).await else {
            return;
        };
        if let Err(reason) = self.check(&hello) {
            warn!(worker = hello.worker_id, reason, "worker refused");
            // If this cannot be sent, the worker has gone.
            let _ = end.sender.send(FromMaster::Refused { reason }).await;
            return;
        }
        if hello.seen > self.term.epoch() {
            warn!(
                worker = hello.worker_id,
                seen = hello.seen.0,
                "a worker has seen a later master"
            );
            // The dispatcher is gone only when the master has stopped.
            let _ = self.dispatcher.send(LaterMaster(hello.seen)).await;
            return;
        }
        let MasterEnd { sender, receiver } = end;
        let _there = self.backlog.worker();
        let term = self.term.clone();
        let address = WorkerSession::start_in_arbiter(&self.arbiter, move |_| {
            WorkerSession::new(sender, term)
        });
        let up = SessionUp {
            hello,
            address: address.clone(),
        };
        // The dispatcher is gone only when the master has stopped.
        if let Ok(session) = self.dispatcher.send(up).await {
            self.listen(session, receiver, &address).await;
            let _ = self.dispatcher.send(SessionDown(session)).await;
        }
        let _ = address.try_send(CloseSession);
    }

    fn check(&self, hello: &Hello) -> Result<(), String> {
        if hello.protocol_version != PROTOCOL_VERSION {
            return Err(format!(
                "protocol version differs: the worker has {}, the master {PROTOCOL_VERSION}",
                hello.protocol_version
            ));
        }
        if hello.node_id != self.node_id {
            return Err(format!(
                "node id differs: the worker has {:?}, the master {:?}",
                hello.node_id, self.node_id
            ));
        }
        Ok(())
    }

    async fn listen(
        &self,
        session: SessionId,
        mut receiver: tokio::sync::mpsc::Receiver<FromWorker>,
        address: &Addr<WorkerSession>,
    ) {
        let mut beat_at = Instant::now();
        let mut silent_at = Instant::now() + SILENCE;
        loop {
            tokio::select! {
                biased;
                message = receiver.recv() => {
                    let Some(message) = message else {
                        return;
                    };
                    let from = FromSession { session, message };
                    if self.dispatcher.send(from).await.is_err() {
                        return;
                    }
                    silent_at = Instant::now() + SILENCE;
                }
                () = sleep_until(beat_at) => {
                    beat_at = Instant::now() + tick::next();
                    if !address.connected() {
                        return;
                    }
                    // A full mailbox holds messages that show life too.
                    let heartbeat = FromMaster::Heartbeat(self.backlog.latest());
                    let _ = address.try_send(ToWorker(heartbeat));
                }
                () = sleep_until(silent_at) => {
                    info!(session = session.0, "worker is silent");
                    return;
                }
            }
        }
    }
}

async fn greeting(end: &mut MasterEnd) -> Option<Hello> {
    let patience = SILENCE + Duration::from_secs(1);
    match timeout(patience, end.receiver.recv()).await {
        Ok(Some(FromWorker::Hello(hello))) => Some(hello),
        Ok(Some(_)) => {
            warn!("connection does not begin with an introduction");
            None
        }
        Ok(None) | Err(_) => None,
    }
}
