//! Assembly of a worker's side of the cluster.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::actors::master_link::{
    Announce, ChainHook, DrainWorker, GetRest, HandlersStopped, Identity, LinkState, MasterLink,
    Rest,
};
use crate::actors::request_handler::{Execution, RequestHandler, threads};
use crate::config::MasterAddress;
use crate::job::{Job, Pool, Runner};
use crate::store::SharedStore;

use super::link::{Connector, keep_connected};
use crate::protocol::Tls;
use crate::protocol::client::{FoundMaster, MasterTarget};
use crate::protocol::local::Port;

/// How often a draining worker looks whether it is done.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// Longest wait for one step of a stop.
const STEP: Duration = Duration::from_secs(1);

/// How a worker reaches its master.
pub enum Link {
    /// Over gRPC.
    Grpc {
        /// Where the master may be: all are tried at once.
        masters: Vec<MasterAddress>,
        /// Plaintext without.
        tls: Option<Tls>,
        /// Told where the master is.
        found: FoundMaster,
        /// The thread of the link; `None`: one of its own, which ends with the
        /// worker.
        thread: Option<ArbiterHandle>,
    },
    /// Inside the same process.
    Local(Port),
}

/// What a worker is made of.
pub struct WorkerOptions {
    /// The node it works for.
    pub node_id: String,
    /// Unique for the life of this process.
    pub worker_id: String,
    /// Release, for operators.
    pub version: String,
    /// Most jobs of `Pool::Run` at a time, at least 1.
    pub run_capacity: u32,
    /// Most jobs of `Pool::Delivery` at a time, at least 1.
    pub delivery_capacity: u32,
    /// The node's jobs and state.
    pub store: SharedStore,
    /// Runs jobs.
    pub runner: Arc<dyn Runner>,
    /// How to reach the master.
    pub link: Link,
    /// Called with news of the ledger, before the jobs that depend on it.
    pub chain_hook: Arc<dyn ChainHook>,
}

/// Starts workers.
pub struct Worker;

impl Worker {
    /// Starts the request handlers and begins to look for the master. To be
    /// called inside an actix system.
    pub fn start(options: WorkerOptions) -> WorkerHandle {
        let (linking, own) = match &options.link {
            Link::Grpc {
                thread: Some(thread),
                ..
            } => (thread.clone(), None),
            Link::Grpc { thread: None, .. } => {
                let arbiter = Arbiter::new();
                (arbiter.handle(), Some(arbiter))
            }
            Link::Local(port) => (port.arbiter.clone(), None),
        };
        let handling = threads::start();
        let handle = handling.handle().clone();
        let (halt, halted) = watch::channel(false);
        let (state, link_state) = watch::channel(LinkState::default());
        let identity = Identity {
            node_id: options.node_id,
            worker_id: options.worker_id,
            version: options.version,
            run_capacity: options.run_capacity.max(1),
            delivery_capacity: options.delivery_capacity.max(1),
        };
        let execution = Arc::new(Execution::new(options.store, options.runner));
        let hook = options.chain_hook;
        let link = MasterLink::start_in_arbiter(&linking, move |ctx| {
            let start = |pool: Pool, share: usize| {
                let (link, execution) = (ctx.address(), execution.clone());
                let (halted, handle) = (halted.clone(), handle.clone());
                RequestHandler::new(pool, share, link, execution, halted, handle).start()
            };
            let own = (0..identity.run_capacity).map(|_| start(Pool::Run, 1));
            let own = own.collect();
            let deliveries = start(Pool::Delivery, identity.delivery_capacity as usize);
            MasterLink::new(identity, own, vec![deliveries], state, hook)
        });
        let connector = match options.link {
            Link::Grpc {
                masters,
                tls,
                found,
                ..
            } => Connector::Grpc(MasterTarget { masters, tls }, found),
            Link::Local(port) => Connector::Local(port),
        };
        let (connects, connecting) = watch::channel(());
        let connection = keep_connected(connector, link.clone());
        linking.spawn(async move {
            connection.await;
            // Dropped by a panic as well: nobody connects any more.
            drop(connects);
        });
        WorkerHandle {
            link,
            link_state,
            connecting,
            halt,
            own,
            handling: Mutex::new(Some(handling)),
        }
    }
}

/// A running worker.
pub struct WorkerHandle {
    link: Addr<MasterLink>,
    link_state: watch::Receiver<LinkState>,
    /// Nothing is ever sent; closed when nobody connects any more.
    connecting: watch::Receiver<()>,
    /// Tells the handlers to let go of what they run.
    halt: watch::Sender<bool>,
    /// Of the link, if it ends with this worker.
    own: Option<Arbiter>,
    /// The threads of the handlers.
    handling: Mutex<Option<Runtime>>,
}

impl WorkerHandle {
    /// Announces jobs that were just accepted into the store. While there is no
    /// master, or the worker is overloaded, that is left to the master's scan.
    pub fn submit(&self, jobs: Vec<Job>) {
        let _ = self.link.try_send(Announce(jobs));
    }

    /// The connection to the master, and what it says of the ledger.
    pub fn link_state(&self) -> watch::Receiver<LinkState> {
        self.link_state.clone()
    }

    /// Resolves when the link to the master has ended, although nobody has
    /// stopped it: this worker will not run anything any more.
    pub async fn ended(&self) {
        let (mut state, mut connecting) = (self.link_state.clone(), self.connecting.clone());
        let link = async { while state.changed().await.is_ok() {} };
        tokio::select! {
            () = link => {}
            // It is only ever closed.
            _ = connecting.changed() => {}
        }
    }

    /// Takes no more jobs, hands back those that have not begun, and waits for
    /// those that run, at most `grace`. True if all have ended, and are reported
    /// if there is a master.
    pub async fn drain(&self, grace: Duration) -> bool {
        let until = Instant::now() + grace;
        if !self.tell(DrainWorker).await {
            return false;
        }
        self.left_until(until, |left| left.running == 0 && left.is_reported())
            .await
    }

    /// Stops what still runs, and hands it back, so that it starts elsewhere
    /// at once. A job that must not be repeated is left to the master to judge.
    pub async fn abandon(&self) {
        self.halt.send_replace(true);
        let handling = self.handling.lock().take();
        end_all(handling).await;
        if self.tell(HandlersStopped).await {
            let until = Instant::now() + STEP;
            self.left_until(until, |left| left.is_reported()).await;
        }
    }

    async fn tell<M>(&self, message: M) -> bool
    where
        M: Message<Result = ()> + Send + 'static,
        MasterLink: Handler<M>,
    {
        matches!(timeout(STEP, self.link.send(message)).await, Ok(Ok(())))
    }

    async fn left_until(&self, until: Instant, is_enough: impl Fn(Rest) -> bool) -> bool {
        loop {
            match timeout(STEP, self.link.send(GetRest)).await {
                Ok(Ok(left)) if is_enough(left) => return true,
                Ok(Ok(_)) if Instant::now() < until => sleep(DRAIN_POLL).await,
                _ => return false,
            }
        }
    }

    /// Stops now; what still runs is run elsewhere.
    pub async fn stop(mut self) {
        self.halt.send_replace(true);
        let handling = self.handling.lock().take();
        end_all(handling).await;
        if let Some(own) = self.own.take() {
            own.stop();
            // What is not joined in time is not waited for.
            let joined = tokio::task::spawn_blocking(|| own.join());
            let _ = timeout(STEP, joined).await;
        }
    }
}

/// Without it a handle that is dropped in an asynchronous context would wait for
/// handlers that do not yield.
impl Drop for WorkerHandle {
    fn drop(&mut self) {
        if let Some(handling) = self.handling.lock().take() {
            handling.shutdown_background();
        }
    }
}

/// Ends the handlers' threads within about a second. A handler that never
/// yields cannot be stopped; its thread ends with the process.
async fn end_all(handling: Option<Runtime>) {
    let Some(handling) = handling else {
        return;
    };
    let ended = tokio::task::spawn_blocking(|| handling.shutdown_timeout(STEP));
    if let Err(error) = ended.await {
        tracing::error!(%error, "the handlers' threads did not end");
    }
}
