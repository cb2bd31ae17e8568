//! A worker's work: it serves the API and runs jobs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use futures_util::FutureExt;
use tokio::sync::watch;

use super::activity::Activity;
use super::mq_service::MqServiceWatch;
use super::notices;
use super::obstacle;
use super::parts::{ProcessParts, refresh_keys};
use super::readiness::ReadinessWatch;
use super::runner::NodeRunner;
use crate::actors::master_link::{ChainHook, LinkState};
use crate::cluster::{Worker, WorkerHandle, WorkerOptions};
use crate::config::{Mode, StoreChoice};
use crate::context::Role;
use crate::crypto::Crypto;
use crate::crypto::keyring::Keyring;
use crate::delivery::broadcaster::Broadcaster;
use crate::delivery::broadcasting_store::BroadcastingStore;
use crate::delivery::callback::CallbackClient;
use crate::delivery::contract::ContractClient;
use crate::delivery::crypto_service::CRYPTO;
use crate::delivery::{callback, message};
use crate::flows::node::mq_registration;
use crate::http::{PATIENCE, ProcessStatus, ReloadKeys, ServerHandle, ServerOptions, WaitingCalls};
use crate::job::{Job, JobId, Millis};
use crate::ledger::{CachedLedger, ChainUpdate, LedgerClient, TolerantLedger};
use crate::messaging::inbound;
use crate::mq::client::MqClient;
use crate::mq::future_quota::FutureQuota;
use crate::protocol::local::Port;
use crate::protocol::message::Chain;
use crate::protocol::{Backlog, BacklogBoard, OpenJobs};
use crate::store::{Accepted, SharedStore};
use crate::tls::LinkSecurity;
use crate::{cluster, flows, http};

const API_THREADS: usize = 2;
/// Most API calls in progress.
const MOST_CALLS: usize = 2048;
/// Pause between checks of an external service's keys.
const KEYS_POLL: Duration = Duration::from_millis(20);
const REGISTRATION_POLL: Duration = Duration::from_millis(250);
const HTTP_STOP: Duration = Duration::from_secs(2);
/// How long a stopping worker waits for the ledger to accept its transactions.
const BROADCAST_STOP: Duration = Duration::from_secs(1);
/// How long a stopping worker waits for a master that is away.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// How the worker reaches its master.
pub enum LinkTransport {
    /// As the environment says.
    Grpc,
    /// Inside this process.
    Local(Port),
}

/// The running parts of a worker.
pub struct WorkerSide {
    worker: Arc<WorkerHandle>,
    broadcaster: Broadcaster,
    api: ServerHandle,
    /// `STORE=embedded` behind a master.
    is_store_remote: bool,
}

impl WorkerSide {
    /// Starts running jobs and serving the API.
    /// # Errors
    /// When the API's port is taken, or a certificate is unusable.
    pub async fn start(
        parts: &ProcessParts,
        readiness: &ReadinessWatch,
        link: LinkTransport,
    ) -> io::Result<Self> {
        let config = &parts.config;
        let of_client = config.clone();
        let mq = parts.intake.make(move || MqClient::new(&of_client)).await?;
        let mq = Arc::new(mq.map_err(io::Error::other)?);
        let callbacks = CallbackClient::new(config).map_err(io::Error::other)?;
        let contracts = ContractClient::new(config).map_err(io::Error::other)?;
        let activity = Arc::new(Activity::default());
        let runner = NodeRunner::new(
            parts.context.clone(),
            mq.clone(),
            callbacks,
            contracts,
            activity.clone(),
        );
        // In one process with its master, it reads what the master writes.
        let told = matches!(link, LinkTransport::Grpc).then(|| parts.backlog.clone());
        let link = match link {
            LinkTransport::Local(port) => cluster::Link::Local(port),
            LinkTransport::Grpc => cluster::Link::Grpc {
                masters: config.link.masters.clone(),
                security: LinkSecurity::of(config)?,
                found: parts.master.clone(),
                // This thread: the pulse.
                thread: Some(Arbiter::current()),
            },
        };
        let worker_id = format!("{}-{}", config.node_id, uuid::Uuid::new_v4());
        let waiting = WaitingCalls::new(&worker_id, parts.store.clone(), PATIENCE);
        let threads = parts.intake.runtime().await?;
        let broadcaster = Broadcaster::new(parts.context.clone(), parts.store.clone(), threads);
        let store = BroadcastingStore::new(parts.store.clone(), broadcaster.clone());
        let worker = Arc::new(Worker::start(WorkerOptions {
            node_id: config.node_id.clone(),
            worker_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_capacity: config.capacity.run,
            delivery_capacity: config.capacity.delivery,
            store: store.clone(),
            runner: Arc::new(runner),
            link,
            chain_hook: Arc::new(MasterNews {
                client: parts.client.clone(),
                cached: parts.cached.clone(),
                backlog: told.clone(),
                future_quota: parts.context.future_quota.clone(),
                waiting: waiting.clone(),
                keyring: parts.keyring.clone(),
            }),
        }));
        let announced = Arc::downgrade(&worker);
        broadcaster.announce_by(move |jobs| {
            if let Some(worker) = announced.upgrade() {
                worker.submit(jobs);
            }
        });
        distrust_memory_without_master(&worker, parts.cached.clone(), told);
        let registering = keep_registered(parts, readiness, &worker);
        parts.intake.make(|| tokio::spawn(registering)).await?;
        let api = start_api(parts, readiness, &worker, activity, mq, waiting, store).await?;
        Ok(Self {
            worker,
            broadcaster,
            api,
            is_store_remote: config.store == StoreChoice::Embedded && config.mode == Mode::Worker,
        })
    }

    /// Announces jobs that this process has accepted.
    pub fn announcer(&self) -> Arc<dyn Fn(Vec<Job>) + Send + Sync> {
        let worker = Arc::downgrade(&self.worker);
        Arc::new(move |jobs| {
            if let Some(worker) = worker.upgrade() {
                worker.submit(jobs);
            }
        })
    }

    /// The state of the connection to the master.
    pub fn link_state(&self) -> watch::Receiver<LinkState> {
        self.worker.link_state()
    }

    /// Resolves when this worker can run nothing any more.
    pub async fn ended(&self) {
        self.worker.ended().await;
    }

    /// Finishes or hands back running jobs within `grace`, and stops the API.
    pub async fn stop(self, grace: Duration) {
        let has_ended = tokio::select! {
            has_ended = self.worker.drain(grace) => has_ended,
            () = self.store_is_lost() => false,
        };
        if !has_ended {
            tracing::warn!("jobs that still run are stopped and given up");
        }
        if tokio::time::timeout(HTTP_STOP, self.api.stop())
            .await
            .is_err()
        {
            tracing::warn!("API calls were still open");
        }
        if !has_ended {
            self.worker.abandon().await;
        }
        if tokio::time::timeout(BROADCAST_STOP, self.broadcaster.idle())
            .await
            .is_err()
        {
            tracing::warn!("transactions were still being broadcast; the master looks them up");
        }
        if let Ok(worker) = Arc::try_unwrap(self.worker) {
            worker.stop().await;
        }
    }

    /// Resolves when the master, and with it the store that it serves, has been
    /// away for so long that nothing can be finished in time.
    async fn store_is_lost(&self) {
        if !self.is_store_remote {
            return std::future::pending().await;
        }
        let mut state = self.worker.link_state();
        loop {
            // An error means that the worker has stopped, which is as good.
            let _ = state.wait_for(|state| !state.connected).await;
            let back = state.wait_for(|state| state.connected);
            if tokio::time::timeout(STORE_PATIENCE, back).await.is_err() {
                return;
            }
        }
    }
}

/// Passes the master's news of ledger and open work to this process.
struct MasterNews {
    client: Arc<LedgerClient>,
    cached: Arc<CachedLedger>,
    /// `None` in one process with the master.
    backlog: Option<Arc<BacklogBoard>>,
    future_quota: Arc<FutureQuota>,
    waiting: Arc<WaitingCalls>,
    /// `None` with an external crypto service.
    keyring: Option<Arc<Keyring>>,
}

impl ChainHook for MasterNews {
    fn chain_changed(&self, chain: &Chain) {
        let update = ChainUpdate {
            chain_id: chain.chain_id.clone(),
            height: chain.height,
            ready: chain.ready,
            methods: chain.methods.clone(),
            reset: chain.reset,
            era: chain.era,
        };
        self.client.apply(&update);
        self.cached.apply(&update);
        if let Some(keyring) = &self.keyring {
            refresh_keys(keyring, &chain.methods);
        }
    }

    fn backlog_told(&self, backlog: Backlog) {
        self.future_quota.share_among(backlog.workers);
        if let Some(board) = &self.backlog {
            board.tell(Some(backlog));
        }
    }

    fn calls_answered(&self, calls: &[JobId]) {
        self.waiting.answered(calls);
    }
}

/// Without news of blocks, a worker must not answer from the cache, nor tell
/// how much work its former master had.
fn distrust_memory_without_master(
    worker: &WorkerHandle,
    cached: Arc<CachedLedger>,
    backlog: Option<Arc<BacklogBoard>>,
) {
    let mut state = worker.link_state();
    tokio::spawn(async move {
        while state.changed().await.is_ok() {
            if !state.borrow_and_update().connected {
                cached.set_live(false);
                if let Some(board) = &backlog {
                    board.tell(None);
                }
            }
        }
    });
}

/// Registers the message queue address if the ledger has another one, until
/// this process has seen it there. It never registers it again, so that
/// processes with different addresses do not take turns. Several processes may
/// try at once, because their jobs have one source.
fn keep_registered(
    parts: &ProcessParts,
    readiness: &ReadinessWatch,
    worker: &Arc<WorkerHandle>,
) -> impl Future<Output = ()> + use<> {
    let readiness = readiness.clone();
    let context = parts.context.clone();
    let store = parts.store.clone();
    let worker = Arc::downgrade(worker);
    async move {
        while !readiness.is_registered()
            && let Some(worker) = worker.upgrade()
        {
            if !readiness.now().crypto_ready {
                // Nobody could sign it, and the pauses of a failing job grow.
                drop(worker);
                tokio::time::sleep(KEYS_POLL).await;
                continue;
            }
            match mq_registration::register(&context, Millis::now()).await {
                // `readiness` is about to see it.
                Ok(None) => {}
                Ok(Some(accept)) => match store.accept(accept).await {
                    Ok(Accepted::Stored { jobs, .. }) => worker.submit(jobs),
                    Ok(Accepted::Refused { .. }) => {}
                    Err(error) => tracing::warn!(%error, "registering the queue address"),
                },
                Err(error) => tracing::warn!(%error, "registering the queue address"),
            }
            drop(worker);
            tokio::time::sleep(REGISTRATION_POLL).await;
        }
    }
}

async fn start_api(
    parts: &ProcessParts,
    readiness: &ReadinessWatch,
    worker: &Arc<WorkerHandle>,
    activity: Arc<Activity>,
    mq: Arc<MqClient>,
    waiting: Arc<WaitingCalls>,
    store: SharedStore,
) -> io::Result<ServerHandle> {
    let queue = readiness.queue().clone();
    let (readiness, accepted, looking) = (readiness.clone(), readiness.clone(), readiness.clone());
    let announced = Arc::downgrade(worker);
    let service = parts.intake.make(|| MqServiceWatch::follow(mq)).await?;
    let (noticed, link) = (service.clone(), worker.link_state());
    readiness.watch("message queue service", move || noticed.notice());
    let alone = link.clone();
    readiness.watch("master", move || notices::of_link(&link));
    if parts.config.mode == Mode::Worker {
        let wait = parts.config.link.wait;
        readiness.demand("master", move || notices::alone_too_long(&alone, wait));
    }
    let crypto = parts.context.crypto.clone();
    readiness.watch("crypto service", move || crypto.trouble());
    let work = Work {
        backlog: parts.backlog.clone(),
        activity,
        crypto: parts.context.crypto.clone(),
    };
    let mut context = parts.context.clone();
    context.ledger = Arc::new(TolerantLedger::new(context.ledger, parts.client.clone()));
    let addresses = parts.config.listen.api.at(parts.config.api.port);
    let served = http::serve(ServerOptions {
        context,
        store,
        endpoints: flows::endpoints::all(),
        reload_keys: key_reload(parts),
        readiness: Arc::new(move || readiness.now()),
        look: Arc::new(move || looking.anew().boxed()),
        queue,
        status: Arc::new(move || ProcessStatus {
            message_queue_service: service.latest(),
            ..work.status()
        }),
        submit: Arc::new(move |jobs: Vec<Job>| {
            accepted.look_again();
            if let Some(worker) = announced.upgrade() {
                worker.submit(jobs);
            }
        }),
        waiting,
        addresses: addresses.clone(),
        threads: API_THREADS,
        most_calls: MOST_CALLS,
        most_connections: parts.shares.api,
    })
    .await;
    let tls = "HTTPS_KEY_PATH, HTTPS_CERT_PATH";
    served.map_err(|error| obstacle::at_port("SERVER_PORT", tls, &addresses, error))
}

/// Reloads the key files. Does nothing with an external crypto service.
fn key_reload(parts: &ProcessParts) -> ReloadKeys {
    let (context, keyring) = (parts.context.clone(), parts.keyring.clone());
    Arc::new(move || {
        let (context, keyring) = (context.clone(), keyring.clone());
        let reload = async move {
            let Some(keyring) = keyring else {
                return Ok(());
            };
            let behind_proxy = match context.role {
                Role::Proxy => context.served_nodes().await?,
                _ => Vec::new(),
            };
            Ok(keyring.reload(&behind_proxy)?)
        };
        reload.boxed()
    })
}

/// The node's work, as this process knows it.
struct Work {
    backlog: Arc<BacklogBoard>,
    activity: Arc<Activity>,
    crypto: Arc<dyn Crypto>,
}

impl Work {
    /// The dispatcher's counts for the node. A worker without a master knows
    /// only what it runs itself, and every process knows only its own calls of
    /// the crypto service.
    fn status(&self) -> ProcessStatus {
        let Backlog { jobs, blocks, .. } = self.backlog.latest().unwrap_or_else(|| Backlog {
            jobs: self.own(),
            ..Backlog::default()
        });
        ProcessStatus {
            message_queue_service: None,
            pending_outbound_messages: jobs.count(message::OUTBOUND_MESSAGES),
            pending_callbacks: jobs.count(callback::CALLBACKS),
            pending_external_crypto_calls: jobs.count(CRYPTO) + self.crypto.calls_under_way(),
            processing_blocks: blocks,
            processing_inbound_messages: jobs.count(inbound::INBOUND_MESSAGES),
        }
    }

    fn own(&self) -> OpenJobs {
        OpenJobs {
            counts: self.activity.running(),
            dormant: None,
        }
    }
}
