//! What a master does: owns the queue, follows the ledger, receives messages.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix::prelude::SendError;
use futures_util::FutureExt;
use tokio::sync::{Notify, watch};

use super::obstacle;
use super::parts::{ProcessParts, refresh_keys};
use super::readiness::ReadinessWatch;
use crate::actors::dispatcher::{Dispatcher, GetSnapshot, Submit, TellOfLosses};
use crate::actors::mastership::Term;
use crate::cluster::{Master, MasterError, MasterHandle, MasterOptions, Over};
use crate::config::{Config, Mode, StoreChoice};
use crate::delivery::crypto_service::CRYPTO;
use crate::flows::block::RoleBlockJobs;
use crate::ingest::ledger_watcher::{
    LedgerWatcher, WatcherEnd, WatcherOptions, WatcherState, WatcherTiming,
};
use crate::ingest::mq_inbox::{Inbox, Lead, OnAccepted};
use crate::job::{Epoch, Job};
use crate::ledger::ChainUpdate;
use crate::operator::{OpenDesk, OperatorSocket, pauses};
use crate::protocol::BacklogBoard;
use crate::protocol::local::MeetingPoint;
use crate::protocol::message::Chain;
use crate::store::remote;
use crate::tls::LinkSecurity;
use crate::{actors, dispatch};

/// Pause before the dispatcher is asked for room again.
const NO_ROOM: Duration = Duration::from_millis(20);

/// The running parts of a master, for one term.
pub struct MasterSide {
    master: MasterHandle,
    watcher: LedgerWatcher,
    /// Makes this process's inbox store messages at once.
    lead: Option<Lead>,
    /// Serves operators at this master while the term lasts.
    desk: OpenDesk,
    /// Of a standalone node; serves until it is dropped.
    _operators: Option<OperatorSocket>,
}

/// Why a term ended.
#[derive(Debug)]
pub enum Lost {
    /// There is a later master with this epoch.
    Deposed(Epoch),
    /// The store has refused a write, because there is a later master.
    Refused,
    /// A part of the master has ended.
    Failed(String),
}

impl MasterSide {
    /// Starts a master's work.
    /// # Errors
    /// When the gRPC port is taken or a certificate is unusable.
    pub async fn start(
        parts: &ProcessParts,
        readiness: &ReadinessWatch,
        inbox: &Option<Inbox>,
        term: &Term,
        master_id: String,
        place: Option<MeetingPoint>,
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
            listen: is_cluster.then(|| config.listen.master.at(config.link.port)),
            most_links: parts.shares.links,
            security: LinkSecurity::of(config)?,
            store: parts.store.clone(),
            store_service,
            dispatcher: dispatch::Options {
                // Without a crypto service no job waits for it.
                hidden_gauge: parts.context.crypto.is_local().then_some(CRYPTO),
                ..dispatch::Options::default()
            },
            place,
            backlog: parts.backlog.clone(),
        };
        let addresses = config.listen.master.at(config.link.port);
        let tls = "GRPC_SSL_ROOT_CERT_FILE_PATH, GRPC_SSL_KEY_FILE_PATH, GRPC_SSL_CERT_FILE_PATH";
        let master = Master::start(options).await.map_err(|error| {
            let error = match error {
                MasterError::Listen(error) => error,
                MasterError::Stopped => io::Error::other(error),
            };
            obstacle::at_port("MASTER_SERVER_PORT", tls, &addresses, error)
        })?;
        parts.desk.leads(master.desk());
        tokio::spawn(pauses::follow(parts.store.clone(), master.dispatcher()));
        let operators = (config.mode == Mode::Standalone)
            .then(|| serve_operators(config, &master))
            .flatten();
        let watcher = start_watcher(parts, term.epoch(), master.dispatcher()).await?;
        readiness.watch_blocks(watcher.state());
        let shown = show_blocks(watcher.state(), parts.backlog.clone());
        parts.intake.make(|| tokio::spawn(shown)).await?;
        let lead = inbox
            .as_ref()
            .map(|inbox| inbox.lead(hand_to(master.dispatcher())));
        Ok(Self {
            master,
            watcher,
            lead,
            desk: parts.desk.clone(),
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
        }
    }

    /// Stops working as a master: assigns nothing, sends the workers away and
    /// follows no block. The inbox goes on like those of the other processes.
    pub async fn hand_over(&mut self) {
        self.lead = None;
        self.desk.stands_by();
        self.master.dismiss().await;
    }

    /// Releases the port and everything else.
    pub async fn stop(self) {
        drop(self.lead);
        drop(self.watcher);
        self.master.stop().await;
    }
}

/// If operators cannot reach a node, it still does its work.
fn serve_operators(config: &Config, master: &MasterHandle) -> Option<OperatorSocket> {
    match OperatorSocket::serve(master.desk(), &config.data_directory) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!(%error, "operators cannot use `erawan jobs` while this node runs");
            None
        }
    }
}

async fn start_watcher(
    parts: &ProcessParts,
    epoch: Epoch,
    dispatcher: Addr<Dispatcher>,
) -> io::Result<LedgerWatcher> {
    let config = &parts.config;
    let (cached, told) = (parts.cached.clone(), dispatcher.clone());
    let keyring = parts.keyring.clone();
    let (asked, limit) = (dispatcher.clone(), config.queue.jobs);
    let losses = Arc::new(Notify::new());
    // An error means that the master stops.
    let _ = dispatcher.send(TellOfLosses(losses.clone())).await;
    let options = WatcherOptions {
        client: parts.client.clone(),
        store: parts.store.clone(),
        epoch,
        block_jobs: Arc::new(RoleBlockJobs {
            context: parts.context.clone(),
        }),
        tell_chain: Arc::new(move |update: ChainUpdate| {
            cached.apply(&update);
            if let Some(keyring) = &keyring {
                refresh_keys(keyring, &update.methods);
            }
            let chain = Chain {
                chain_id: update.chain_id,
                height: update.height,
                ready: update.ready,
                methods: update.methods,
                reset: update.reset,
                era: update.era,
            };
            let told = told.clone();
            tell(told, chain).boxed()
        }),
        hand_over: Arc::new(move |jobs: Vec<Job>| {
            let handed = dispatcher.send(Submit(jobs));
            async move {
                let _ = handed.await;
            }
            .boxed()
        }),
        room: Arc::new(move || room_for_blocks(asked.clone(), limit).boxed()),
        losses,
        ndid_node: config.ndid_node,
        timing: WatcherTiming::new(config.tendermint.max_sync_check_interval),
    };
    // Blocks are foreign.
    parts.intake.make(|| LedgerWatcher::start(options)).await
}

/// Tells the dispatcher. A block without transactions changes nothing that a
/// job could read, so its place in the mailbox is enough then.
async fn tell(dispatcher: Addr<Dispatcher>, chain: Chain) {
    let changes = chain.reset || !chain.methods.is_empty();
    let update = actors::dispatcher::ChainNews(chain);
    let update = match changes {
        true => update,
        false => match dispatcher.try_send(update) {
            Ok(()) | Err(SendError::Closed(_)) => return,
            Err(SendError::Full(update)) => update,
        },
    };
    // An error means that the master stops.
    let _ = dispatcher.send(update).await;
}

/// Reports the blocks in progress, until the watcher ends.
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
/// for an instant or a block do not count, because they may need the next block
/// to end.
async fn room_for_blocks(dispatcher: Addr<Dispatcher>, limit: u64) {
    // An error means that the master stops.
    while let Ok(snapshot) = dispatcher.send(GetSnapshot).await
        && snapshot.jobs.runnable() as u64 >= limit
    {
        tokio::time::sleep(NO_ROOM).await;
    }
}

/// Hands jobs to the dispatcher of this term.
fn hand_to(dispatcher: Addr<Dispatcher>) -> OnAccepted {
    Arc::new(move |jobs| {
        let handed = dispatcher.send(Submit(jobs));
        tokio::spawn(async move {
            let _ = handed.await;
        });
    })
}
