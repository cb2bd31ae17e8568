//! Assembles a master's side of the cluster.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tonic::transport::Server;
use tracing::{error, info, warn};

use crate::actors::dispatcher::{
    ChainNews, Dispatcher, DrainDispatcher, GetSnapshot, StopDispatcher, Submit,
};
use crate::actors::mastership::Term;
use crate::dispatch::{Options, Snapshot};
use crate::job::{Epoch, Job};
use crate::listener::{Listener, Room, Rules, Sockets};
use crate::operator::Desk;
use crate::store::SharedStore;

use super::door;
use super::server::{ClusterService, StoreService};
use super::session::Reception;
use crate::protocol::local::{MeetingPoint, Port};
use crate::protocol::message::Chain;
use crate::protocol::{BacklogBoard, SILENCE, local};
use crate::tick;
use crate::tls::LinkSecurity;

/// Longest wait for each step of a stop.
const STEP: Duration = Duration::from_secs(1);
/// How long a connection may take to begin a call. A worker begins at once, and
/// its calls last as long as it does.
const IDLE_LINK: Duration = Duration::from_secs(10);
/// Most concurrent calls on one connection. A worker has two.
const CALLS_PER_LINK: u32 = 64;

pub struct MasterOptions {
    /// Only workers of this node are accepted.
    pub node_id: String,
    /// Unique for this process.
    pub master_id: String,
    /// Proof of mastership. Nothing is assigned without it.
    pub term: Term,
    /// Where workers connect over gRPC; `None` in a standalone process.
    pub listen: Option<Vec<SocketAddr>>,
    /// Most concurrent connections of workers and operators. Beyond that,
    /// connections without a call are closed.
    pub most_links: usize,
    /// What connections are secured by.
    pub security: LinkSecurity,
    pub store: SharedStore,
    /// Serves the store to workers that have no access of their own.
    pub store_service: Option<StoreService>,
    /// Timing of the dispatcher.
    pub dispatcher: Options,
    /// Where a worker of this process connects. `None`: a meeting point and
    /// thread that end with this master.
    pub place: Option<MeetingPoint>,
    /// Where the dispatcher reports what is open.
    pub backlog: Arc<BacklogBoard>,
}

/// Why a master does not start or answer.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The address is in use or not ours.
    #[error("cannot listen for workers (MASTER_SERVER_PORT): {0}")]
    Listen(std::io::Error),
    /// The master has stopped.
    #[error("the master has stopped")]
    Stopped,
}

pub struct Master;

impl Master {
    /// Starts the dispatcher, and the gRPC server if `listen` is set. Must be
    /// called inside an actix system.
    pub async fn start(options: MasterOptions) -> Result<MasterHandle, MasterError> {
        let listener = match &options.listen {
            Some(addresses) => Some(Sockets::bind(addresses).map_err(MasterError::Listen)?),
            None => None,
        };
        let address = listener.as_ref().map(Sockets::address);
        let security = options.security;

        let (deposed, is_deposed) = watch::channel(None);
        let own = options.place.is_none().then(tick::arbiter);
        let place = match (options.place, &own) {
            (None, Some(own)) => MeetingPoint::new(own.handle()),
            (Some(place), _) => place,
            // One of the two is set.
            (None, None) => MeetingPoint::new(Arbiter::current()),
        };
        let arbiter = place.arbiter.clone();
        let term = options.term;
        let operated = options.store.clone();
        let dispatcher = Dispatcher::start_in_arbiter(&arbiter, {
            let (store, master_id, term) = (options.store, options.master_id, term.clone());
            let backlog = options.backlog.clone();
            move |_| Dispatcher::new(options.dispatcher, store, master_id, term, deposed, backlog)
        });
        let desk = Desk::of_master(operated, dispatcher.clone());
        let reception = Reception {
            node_id: options.node_id,
            dispatcher: dispatcher.clone(),
            arbiter: arbiter.clone(),
            term: term.clone(),
            backlog: options.backlog,
        };
        let (connections, connecting) = mpsc::channel(1);
        arbiter.spawn(accept_local(reception.clone(), connecting));
        place.open(connections);

        let mut server = None;
        if let Some(listener) = listener {
            let (stop, stopped) = oneshot::channel();
            let (runs, ended) = watch::channel(());
            let service = ClusterService {
                reception,
                store: options.store_service,
                desk: desk.clone(),
            };
            let room = Room::new(Rules {
                name: "links",
                most: options.most_links,
                patience: IDLE_LINK,
                // Keepalive moves bytes on an unused link.
                bytes_count: false,
            });
            arbiter.spawn(async move {
                // Registered with the runtime that serves it.
                let listener = match Listener::new(listener, room, "links") {
                    Ok(listener) => listener,
                    Err(error) => {
                        error!(%error, "cannot serve workers");
                        return;
                    }
                };
                let serving = Server::builder()
                    .http2_keepalive_interval(Some(SILENCE))
                    .http2_keepalive_timeout(Some(SILENCE))
                    .max_concurrent_streams(CALLS_PER_LINK)
                    .add_service(service.into_server())
                    .serve_with_incoming_shutdown(door::open(listener, security), async {
                        // An error means that the handle is gone, which stops
                        // the server too.
                        let _ = stopped.await;
                    });
                if let Err(error) = serving.await {
                    error!(%error, "the server for workers failed");
                }
                // A panic drops it too: the server has ended.
                drop(runs);
            });
            server = Some(RunningServer { stop, ended });
            info!(?address, "waiting for workers");
        }
        Ok(MasterHandle {
            dispatcher,
            place,
            address,
            is_deposed,
            own,
            server,
            desk,
        })
    }
}

struct RunningServer {
    stop: oneshot::Sender<()>,
    /// Carries no message; closed when the server has ended.
    ended: watch::Receiver<()>,
}

/// Why a master cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The store or a worker knows a later one.
    Deposed(Epoch),
    /// This part of it has ended because of a defect.
    Ended(&'static str),
}

pub struct MasterHandle {
    dispatcher: Addr<Dispatcher>,
    place: MeetingPoint,
    address: Option<SocketAddr>,
    is_deposed: watch::Receiver<Option<Epoch>>,
    /// The thread, if it ends with this master.
    own: Option<Arbiter>,
    server: Option<RunningServer>,
    desk: Desk,
}

impl MasterHandle {
    /// Announces jobs that were just accepted into the store. Waits while the
    /// dispatcher is busy. If the master has stopped, the next master finds
    /// them.
    pub async fn submit(&self, jobs: Vec<Job>) {
        let _ = self.dispatcher.send(Submit(jobs)).await;
    }

    /// Tells the workers, then lets jobs that waited for the block come due.
    pub async fn chain(&self, chain: Chain) {
        let _ = self.dispatcher.send(ChainNews(chain)).await;
    }

    /// The dispatcher's state, for operators and metrics.
    pub async fn snapshot(&self) -> Result<Snapshot, MasterError> {
        let snapshot = self.dispatcher.send(GetSnapshot).await;
        snapshot.map_err(|_| MasterError::Stopped)
    }

    /// The dispatcher's address, for actors of the same process.
    pub fn dispatcher(&self) -> Addr<Dispatcher> {
        self.dispatcher.clone()
    }

    /// Answers operators.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Stops assigning jobs.
    pub async fn drain(&self) {
        let _ = self.dispatcher.send(DrainDispatcher).await;
    }

    /// Where the gRPC server listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where workers of this process connect.
    pub fn port(&self) -> Port {
        self.place.port()
    }

    /// The epoch of a later master, once the store or a worker knows one. This
    /// master then assigns nothing more and must be stopped.
    pub fn deposed(&self) -> watch::Receiver<Option<Epoch>> {
        self.is_deposed.clone()
    }

    /// Resolves when this master can no longer go on, although nobody has
    /// stopped it. It must be stopped then.
    pub async fn over(&self) -> Over {
        let mut deposed = self.is_deposed.clone();
        let mut served = self.server.as_ref().map(|server| server.ended.clone());
        let unserved = async {
            match &mut served {
                // It is only ever closed.
                Some(served) => {
                    let _ = served.changed().await;
                }
                None => pending().await,
            }
        };
        tokio::select! {
            later = deposed.wait_for(Option::is_some) => match later.as_deref() {
                Ok(later) => Over::Deposed(later.unwrap_or_default()),
                Err(_) => Over::Ended("the dispatcher"),
            },
            () = unserved => Over::Ended("the server for workers"),
        }
    }

    /// Stops assigning jobs and sends the workers away to look for the next
    /// master. They finish what they run, and report to that one.
    pub async fn dismiss(&self) {
        self.place.close();
        if timeout(STEP, self.dispatcher.send(StopDispatcher))
            .await
            .is_err()
        {
            warn!("the dispatcher is busy");
        }
    }

    /// Stops. Each step takes a second at most. Jobs stay with their workers,
    /// which report to the next master.
    pub async fn stop(self) {
        self.dismiss().await;
        if let Some(mut server) = self.server {
            // If nobody listens, the server has ended already.
            let _ = server.stop.send(());
            // A stream that its worker keeps open blocks a graceful stop.
            let _ = timeout(STEP, server.ended.changed()).await;
        }
        if let Some(own) = self.own {
            own.stop();
            // The thread ends once it has seen the message. That closes what it
            // held, such as the listening socket.
            let joined = tokio::task::spawn_blocking(|| own.join());
            if timeout(STEP, joined).await.is_err() {
                warn!("the master's thread does not end");
            }
        }
    }
}

async fn accept_local(reception: Reception, mut connections: mpsc::Receiver<local::MasterEnd>) {
    while let Some(end) = connections.recv().await {
        tokio::spawn(reception.clone().serve(end));
    }
}
