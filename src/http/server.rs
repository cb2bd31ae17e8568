//! The listener of the API.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::body::Budget;
use super::information::Status;
use super::listening::{self, Listening, ServerHandle};
use super::own_endpoints;
use super::pipeline;
use super::readiness::Readiness;
use super::routes::Routes;
use super::waiting::Waiting;
use crate::admission::QueueLimit;
use crate::api::Endpoint;
use crate::context::Context;
use crate::error::Error;
use crate::job::Job;
use crate::store::SharedStore;

/// Idle connections are kept this long: longer than a reverse proxy's 60 s, so
/// that it is the proxy who closes them.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client has this long to send the head of a request.
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of all bodies being read at one time.
const BODY_MEMORY: usize = 256 * 1024 * 1024;

/// Reads key files again.
pub type ReloadKeys = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// Looks whether calls may be served.
pub type Look = Arc<dyn Fn() -> BoxFuture<'static, Readiness> + Send + Sync>;

/// What a server needs.
pub struct ServerOptions {
    /// Configuration, ledger and state.
    pub context: Context,
    /// Takes what calls want stored.
    pub store: SharedStore,
    /// What is served beside the endpoints of the process itself.
    pub endpoints: Vec<Endpoint>,
    /// Reads the key files again (`GET /reinit_node_keys`).
    pub reload_keys: ReloadKeys,
    /// Whether calls may be served now.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// The same by a look that begins now.
    pub look: Look,
    /// Refuses calls that would make jobs when the queue is full.
    pub queue: Arc<QueueLimit>,
    /// What the process knows of its own work.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// Announces accepted jobs to the dispatcher; called before the client is answered.
    pub submit: Arc<dyn Fn(Vec<Job>) + Send + Sync>,
    /// Calls whose clients wait.
    pub waiting: Arc<Waiting>,
    /// Where to listen; port 0 takes a free one.
    pub addresses: Vec<SocketAddr>,
    /// Threads that serve connections; 2 are enough for a node.
    pub threads: usize,
    /// Calls that are worked on at one time, beyond reading their bodies; others
    /// are told to come later.
    pub most_calls: usize,
    /// Connections at one time; when there are more, those go that have been
    /// idle longest.
    pub most_connections: usize,
}

/// What every request is served with.
pub(super) struct Api {
    pub(super) options: ServerOptions,
    pub(super) routes: Routes,
    pub(super) bodies: Budget,
    /// Places for calls that are worked on.
    pub(super) calls: Semaphore,
}

/// Starts the API. Must be called inside an actix system, where it goes on
/// until it is stopped.
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
    let api = web::Data::new(Api {
        routes: Routes::new(endpoints, config.api.default_version),
        bodies: Budget::new(BODY_MEMORY),
        calls: Semaphore::new(options.most_calls),
        options,
    });
    listening::serve(listening, api, pipeline::handle)
}
