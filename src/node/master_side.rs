//! What a master does: owns the queue, follows the ledger, receives messages.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use futures_util::FutureExt;
use tokio::sync::watch;

use super::notices;
use super::parts::{Parts, read_tls};
use super::readiness::ReadinessWatch;
use super::{QueueLimit, Role};
use crate::actors::dispatcher::{self, Dispatcher, GetSnapshot, Submit};
use crate::actors::ledger_watcher::{
    LedgerWatcher, Timing, WatcherEnd, WatcherOptions, WatcherState,
};
use crate::actors::mastership::Term;
use crate::actors::mq_inbox::{self, InboxState, MqInbox};
use crate::cluster::local::Place;
use crate::cluster::message::Chain;
use crate::cluster::{BacklogBoard, Master, MasterHandle, MasterOptions, Over};
use crate::config::{Config, Mode, StoreChoice};
use crate::flows::block::RoleBlockJobs;
use crate::job::Job;
use crate::ledger::ChainUpdate;
use crate::mq::client::MqClient;
use crate::operator::OperatorSocket;
use crate::store::{Epoch, remote};

/// Before the dispatcher is asked again whether there is room.
const NO_ROOM: Duration = Duration::from_millis(20);
const INBOX_STOP: Duration = Duration::from_secs(2);

/// The running parts of a master, for one term.
pub struct MasterSide {
    master: MasterHandle,
    watcher: LedgerWatcher,
    inbox: Option<Inbox>,
    /// Of a standalone node, until this is dropped.
    _operators: Option<OperatorSocket>,
}

/// The inbox, and its state.
type Inbox = (Addr<MqInbox>, watch::Receiver<InboxState>);

/// Why a term ended.
#[derive(Debug)]
pub enum Lost {
    /// A later master has this epoch.
    Deposed(Epoch),
    /// The store has refused a write, because there is a later master.
    Refused,
    /// Something this process does as a master does not go on.
    Failed(String),
}

impl MasterSide {
    /// Starts a master's work.
    ///
    /// # Errors
    /// When the gRPC port cannot be had or a certificate cannot be used.
    pub async fn start(
        parts: &Parts,
        readiness: &ReadinessWatch,
        term: &Term,
        master_id: String,
        place: Option<Place>,
    ) -> io::Result<Self> {
        let config = &parts.config;
        let is_cluster = config.mode == Mode::Master;
        let served = parts.store.clone();
        let store_service = (config.store == StoreChoice::Embedded).then(|| {
            let service: crate::cluster::server::StoreService =
                Arc::new(move |calls| Box::pin(remote::serve_stream(served.clone(), calls)));
            service
        });
        let options = MasterOptions {
            node_id: config.node_id.clone(),
            master_id,
            term: term.clone(),
            listen: is_cluster.then(|| ([0, 0, 0, 0], config.link.port).into()),
            most_links: parts.shares.links,
            tls: read_tls(config.grpc.tls.as_ref())?,
            store: parts.store.clone(),
            store_service,
            dispatcher: dispatcher::Options {
                crypto_is_external: !parts.context.crypto.is_local(),
                ..dispatcher::Options::default()
            },
            place,
            backlog: parts.backlog.clone(),
        };
        let master = Master::start(options).await.map_err(io::Error::other)?;
        let operators = (config.mode == Mode::Standalone)
            .then(|| serve_operators(config, &master))
            .flatten();
        let watcher = start_watcher(parts, term.epoch(), master.dispatcher());
        readiness.watch_blocks(watcher.state());
        tokio::spawn(show_blocks(watcher.state(), parts.backlog.clone()));
        let queue = readiness.queue();
        let inbox = start_inbox(parts, term.epoch(), queue, master.dispatcher())?;
        if let Some((_, state)) = &inbox {
            let state = state.clone();
            readiness.watch("messages", move || notices::of_inbox(&state));
        }
        Ok(Self {
            master,
            watcher,
            inbox,
            _operators: operators,
        })
    }

    /// Resolves when this term is over.
    pub async fn lost(&self) -> Lost {
        tokio::select! {
            over = self.master.over() => match over {
                Over::Deposed(later) => Lost::Deposed(later),
                Over::Ended(part) => Lost::Failed(format!("{part} has ended")),
            },
            end = self.watcher.ended() => match end {
                WatcherEnd::Deposed => Lost::Refused,
                WatcherEnd::Failed(reason) => {
                    Lost::Failed(format!("the ledger is no longer followed: {reason}"))
                }
            },
            lost = inbox_ended(self.inbox.as_ref()) => lost,
        }
    }

    /// Does nothing as a master any more: assigns nothing, sends workers away,
    /// stores no message and follows no block. What the message queue has
    /// delivered is stored and acknowledged first, if the lease lasts.
    pub async fn hand_over(&mut self) {
        let inbox = self.inbox.take();
        let stop_inbox = async {
            if let Some((inbox, _)) = inbox {
                // An error means that it has stopped already.
                let _ = tokio::time::timeout(INBOX_STOP, inbox.send(mq_inbox::Stop)).await;
            }
        };
        tokio::join!(self.master.dismiss(), stop_inbox);
    }

    /// Frees the port and the rest.
    pub async fn stop(mut self) {
        drop(self.watcher);
        if let Some((inbox, _)) = self.inbox.take() {
            // Its mailbox is full only of the same.
            let _ = inbox.try_send(mq_inbox::Stop);
        }
        self.master.stop().await;
    }
}

/// Resolves when an inbox takes no more messages, although nobody told it to.
async fn inbox_ended(inbox: Option<&Inbox>) -> Lost {
    let Some((_, state)) = inbox else {
        return std::future::pending().await;
    };
    let mut state = state.clone();
    let is_over = |state: &InboxState| matches!(state, InboxState::Stopped | InboxState::Deposed);
    match state.wait_for(is_over).await.as_deref() {
        Ok(InboxState::Deposed) => Lost::Refused,
        // An error means that it has stopped.
        Ok(_) | Err(_) => Lost::Failed("messages are no longer taken".to_owned()),
    }
}

/// A node that cannot be asked by operators still does its work.
fn serve_operators(config: &Config, master: &MasterHandle) -> Option<OperatorSocket> {
    match OperatorSocket::serve(master.desk(), &config.data_directory) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!(%error, "operators cannot use `erawan jobs` while this node runs");
            None
        }
    }
}

fn start_watcher(parts: &Parts, epoch: Epoch, dispatcher: Addr<Dispatcher>) -> LedgerWatcher {
    let config = &parts.config;
    let (cached, told) = (parts.cached.clone(), dispatcher.clone());
    let (asked, limit) = (dispatcher.clone(), config.queue.jobs);
    LedgerWatcher::start(WatcherOptions {
        client: parts.client.clone(),
        store: parts.store.clone(),
        epoch,
        block_jobs: Arc::new(RoleBlockJobs {
            context: parts.context.clone(),
        }),
        tell_chain: Arc::new(move |update: ChainUpdate| {
            cached.apply(&update);
            let chain = Chain {
                chain_id: update.chain_id,
                height: update.height,
                ready: update.ready,
                methods: update.methods,
                reset: update.reset,
                era: update.era,
            };
            let told = told.clone();
            // An error means that the master stops.
            async move {
                let _ = told.send(dispatcher::ChainUpdate(chain)).await;
            }
            .boxed()
        }),
        hand_over: Arc::new(move |jobs: Vec<Job>| {
            let handed = dispatcher.send(Submit(jobs));
            async move {
                let _ = handed.await;
            }
            .boxed()
        }),
        room: Arc::new(move || room_for_blocks(asked.clone(), limit).boxed()),
        ndid_node: config.ndid_node,
        timing: Timing::new(config.tendermint.max_sync_check_interval),
    })
}

/// Shows the blocks that are being worked on, until the watcher ends.
async fn show_blocks(mut state: watch::Receiver<WatcherState>, backlog: Arc<BacklogBoard>) {
    loop {
        backlog.set_blocks(state.borrow_and_update().unsettled);
        if state.changed().await.is_err() {
            break;
        }
    }
    backlog.set_blocks(None);
}

/// Waits while more jobs can run than the node should have open. Jobs that wait
/// for an instant or a block do not count: they may need the next block to end.
async fn room_for_blocks(dispatcher: Addr<Dispatcher>, limit: u64) {
    // An error means that the master stops.
    while let Ok(snapshot) = dispatcher.send(GetSnapshot).await
        && snapshot.jobs.runnable() as u64 >= limit
    {
        tokio::time::sleep(NO_ROOM).await;
    }
}

fn start_inbox(
    parts: &Parts,
    epoch: Epoch,
    queue: &Arc<QueueLimit>,
    dispatcher: Addr<Dispatcher>,
) -> io::Result<Option<Inbox>> {
    if parts.context.role == Role::Ndid {
        return Ok(None);
    }
    let config = &parts.config;
    let inbox = MqInbox::launch(mq_inbox::Options {
        node_id: config.node_id.clone(),
        role: parts.context.role,
        binding_port: config.has_mq_address().then_some(config.mq.binding_port),
        store: parts.store.clone(),
        epoch,
        client: MqClient::new(config).map_err(io::Error::other)?,
        queue: queue.clone(),
        on_accepted: Arc::new(move |jobs| {
            let handed = dispatcher.send(Submit(jobs));
            tokio::spawn(async move {
                let _ = handed.await;
            });
        }),
    });
    Ok(Some(inbox))
}
