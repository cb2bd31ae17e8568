//! Assembles a worker's side of the cluster.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::actors::master_link::{
    Announce, ChainHook, DrainWorker, GetRest, HandlersStopped, LinkState, MasterLink, Rest,
    WorkerIdentity,
};
use crate::actors::request_handler::{Execution, RequestHandler, threads};
use crate::config::MasterAddress;
use crate::job::{Job, Pool, Runner};
use crate::store::SharedStore;

use super::link::{Connector, keep_connected};
use crate::protocol::client::{FoundMaster, MasterTarget};
use crate::protocol::local::Port;
use crate::tls::LinkSecurity;

/// How often a draining worker checks whether it has finished.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// Longest wait for one step of a stop.
const STEP: Duration = Duration::from_secs(1);

/// How a worker reaches its master.
pub enum Link {
    /// Over gRPC.
    Grpc {
        /// All are tried at once.
        masters: Vec<MasterAddress>,
        security: LinkSecurity,
        /// Receives the address of the master.
        found: FoundMaster,
        /// The thread of the link. `None`: a thread that ends with the worker.
        thread: Option<ArbiterHandle>,
    },
    /// Inside the same process.
    Local(Port),
}

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
    pub store: SharedStore,
    pub runner: Arc<dyn Runner>,
    pub link: Link,
    /// Hears news of the ledger before the jobs that depend on it run.
    pub chain_hook: Arc<dyn ChainHook>,
}

pub struct Worker;

impl Worker {
    /// Starts the request handlers and looks for the master. Must be called
    /// inside an actix system.
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
        let identity = WorkerIdentity {
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
                security,
                found,
                ..
            } => Connector::Grpc(MasterTarget { masters, security }, found),
            Link::Local(port) => Connector::Local(port),
        };
        let (connects, connecting) = watch::channel(());
        let connection = keep_connected(connector, link.clone());
        linking.spawn(async move {
            connection.await;
            // A panic drops it too: the connection task has ended.
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

pub struct WorkerHandle {
    link: Addr<MasterLink>,
    link_state: watch::Receiver<LinkState>,
    /// Carries no message; closed when the connection task has ended.
    connecting: watch::Receiver<()>,
    /// Makes the handlers drop what they run.
    halt: watch::Sender<bool>,
    /// The link's thread, if it ends with this worker.
    own: Option<Arbiter>,
    handling: Mutex<Option<Runtime>>,
}

impl WorkerHandle {
    /// Announces jobs that were just accepted into the store. If there is no
    /// master, or the worker is overloaded, the master's scan finds them.
    pub fn submit(&self, jobs: Vec<Job>) {
        let _ = self.link.try_send(Announce(jobs));
    }

    /// The state of the connection to the master, with its news of the ledger.
    pub fn link_state(&self) -> watch::Receiver<LinkState> {
        self.link_state.clone()
    }

    /// Resolves when the link to the master has ended by itself. This worker
    /// can then run nothing any more.
    pub async fn ended(&self) {
        let (mut state, mut connecting) = (self.link_state.clone(), self.connecting.clone());
        let link = async { while state.changed().await.is_ok() {} };
        tokio::select! {
            () = link => {}
            // It is only ever closed.
            _ = connecting.changed() => {}
        }
    }

    /// Stops taking jobs, hands back those that have not begun, and waits at
    /// most `grace` for those that run. True if all have ended and, if there is
    /// a master, are reported.
    pub async fn drain(&self, grace: Duration) -> bool {
        let until = Instant::now() + grace;
        if !self.tell(DrainWorker).await {
            return false;
        }
        self.left_until(until, |left| left.running == 0 && left.is_reported())
            .await
    }

    /// Stops what still runs and hands it back, so that it starts elsewhere at
    /// once. The master judges jobs that must not be repeated.
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

    /// Stops at once. What still runs is run elsewhere.
    pub async fn stop(mut self) {
        self.halt.send_replace(true);
        let handling = self.handling.lock().take();
        end_all(handling).await;
        if let Some(own) = self.own.take() {
            own.stop();
            // Does not wait for a thread that takes too long to end.
            let joined = tokio::task::spawn_blocking(|| own.join());
            let _ = timeout(STEP, joined).await;
        }
    }
}

/// Without this, dropping a handle in an asynchronous context would wait for
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
