//! The listener of the API.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::body::BodyMemory;
use super::information::ProcessStatus;
use super::listening::{self, Listening, ServerHandle};
use super::own_endpoints;
use super::pipeline;
use super::readiness::Readiness;
use super::routes::Routes;
use super::waiting::WaitingCalls;
use crate::admission::QueueLimit;
use crate::api::Endpoint;
use crate::context::Context;
use crate::error::Error;
use crate::job::Job;
use crate::store::SharedStore;

/// Idle connections are kept this long: longer than a reverse proxy's 60 s, so that
/// the proxy closes them.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client has this long to send the head of a request.
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(30);
/// Memory for all bodies that are read at one time.
const BODY_MEMORY: usize = 256 * 1024 * 1024;

/// Reads key files again.
pub type ReloadKeys = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// Checks whether calls may be served.
pub type ReadinessCheck = Arc<dyn Fn() -> BoxFuture<'static, Readiness> + Send + Sync>;

/// Everything that a server needs.
pub struct ServerOptions {
    /// Configuration, ledger and state.
    pub context: Context,
    /// Stores what calls accept.
    pub store: SharedStore,
    /// The endpoints, without those of the process itself.
    pub endpoints: Vec<Endpoint>,
    /// Reads the key files again (`GET /reinit_node_keys`).
    pub reload_keys: ReloadKeys,
    /// Whether calls may be served, as it was seen last.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// Checks it now.
    pub look: ReadinessCheck,
    /// Refuses calls that would make jobs when the queue is full.
    pub queue: Arc<QueueLimit>,
    /// The process's counts of its own work.
    pub status: Arc<dyn Fn() -> ProcessStatus + Send + Sync>,
    /// Announces accepted jobs to the dispatcher; called before the client is answered.
    pub submit: Arc<dyn Fn(Vec<Job>) + Send + Sync>,
    /// Calls whose clients wait.
    pub waiting: Arc<WaitingCalls>,
    /// Where to listen; port 0 takes a free one.
    pub addresses: Vec<SocketAddr>,
    /// Threads that serve connections; 2 are enough for a node.
    pub threads: usize,
    /// Most calls that are processed at one time, once their bodies are read.
    /// Further ones get 503.
    pub most_calls: usize,
    /// Most connections at one time. With more, the longest idle ones are closed.
    pub most_connections: usize,
}

/// State that all requests share.
pub(super) struct ServerState {
    pub(super) options: ServerOptions,
    pub(super) routes: Routes,
    pub(super) bodies: BodyMemory,
    /// Permits for calls that are processed.
    pub(super) calls: Semaphore,
}

/// Starts the API. Must be called inside an actix system, where it runs until it is
/// stopped.
///
/// # Errors
/// The address is taken, or the TLS files cannot be used.
pub async fn serve(mut options: ServerOptions) -> io::Result<ServerHandle> {
    let listening = Listening {
        name: "api",
        addresses: options.addresses.clone(),
        https: options.context.config.api.https.clone(),
        threads: options.threads,
        most_connections: options.most_connections,
        keep_alive: KEEP_ALIVE,
        head_time_limit: HEAD_TIME_LIMIT,
    };
    let config = options.context.config.clone();
    let mut endpoints = own_endpoints::own_endpoints(&options);
    endpoints.append(&mut options.endpoints);
    endpoints.retain(|endpoint| own_endpoints::is_switched_on(endpoint, &config));
    let server = web::Data::new(ServerState {
        routes: Routes::new(endpoints, config.api.default_version),
        bodies: BodyMemory::new(BODY_MEMORY),
        calls: Semaphore::new(options.most_calls),
        options,
    });
    listening::serve(listening, server, pipeline::handle)
}
