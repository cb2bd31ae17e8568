//! The dashboard of a node and the API for scripts beside it (`/admin/v1`):
//! what there is to see, and what operators decide. Pages are made here and need
//! nothing from elsewhere. Whoever looks costs a node next to nothing: one
//! sampler asks the master once a second for everybody ([`sampler`]), lists are
//! read page by page, and all of it happens on threads of its own.

mod api;
mod assets;
mod call;
mod door;
mod facts;
mod pages;
mod reply;
mod routes;
mod sampler;
mod seen;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use actix_web::web::Data;

pub use facts::{LedgerFacts, NodeFacts, Part};

use self::door::Door;
use self::sampler::Sampler;
use crate::access::Tokens;
use crate::config::TlsFiles;
use crate::http::{Listening, ServerHandle, listen};
use crate::operator::OpenDesk;
use crate::tick;

/// Idle connections are kept this long, and a client has this long to send the
/// head of a request.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(5);

/// What a dashboard needs.
pub struct DashboardOptions {
    /// What the process knows of itself and of what it works with.
    pub facts: Arc<dyn Fn() -> NodeFacts + Send + Sync>,
    /// Whom to ask.
    pub desk: OpenDesk,
    /// Who may see and decide. Without, it listens on loopback only.
    pub tokens: Option<Tokens>,
    /// Without tokens: everybody may decide, under this name.
    pub loopback_operator: Option<String>,
    /// Port 0 takes a free one.
    pub port: u16,
    pub https: Option<TlsFiles>,
    /// Connections at one time.
    pub most_connections: usize,
}

/// What the handlers share.
struct Dashboard {
    desk: OpenDesk,
    door: Door,
    sampler: Arc<Sampler>,
}

/// A dashboard that is served.
pub struct DashboardHandle {
    server: ServerHandle,
    sampler: Arc<Sampler>,
    thread: Arbiter,
}

impl DashboardHandle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Takes no more connections, and ends those that wait for news.
    pub async fn stop(&self) {
        self.sampler.stop();
        self.server.stop().await;
        self.thread.stop();
    }
}

/// Where a dashboard listens: without tokens, for this machine only.
pub fn address(has_tokens: bool, port: u16) -> SocketAddr {
    let ip = match has_tokens {
        true => Ipv4Addr::UNSPECIFIED,
        false => Ipv4Addr::LOCALHOST,
    };
    (ip, port).into()
}

/// Starts the dashboard inside an actix system.
///
/// # Errors
/// The address is taken, or the TLS files cannot be used.
pub fn serve(options: DashboardOptions) -> io::Result<DashboardHandle> {
    let sampler = Arc::new(Sampler::new(options.facts, options.desk.clone()));
    let listening = Listening {
        name: "dashboard",
        addresses: vec![address(options.tokens.is_some(), options.port)],
        https: options.https.clone(),
        threads: 1,
        most_connections: options.most_connections.max(1),
        keep_alive: KEEP_ALIVE,
        head_time_limit: HEAD_TIME_LIMIT,
    };
    let dashboard = Dashboard {
        desk: options.desk,
        door: Door::new(
            options.tokens,
            options.loopback_operator,
            options.port,
            options.https.is_some(),
        ),
        sampler: sampler.clone(),
    };
    let server = listen(listening, Data::new(dashboard), routes::handle)?;
    let thread = tick::arbiter();
    thread.spawn(sampler.clone().run());
    Ok(DashboardHandle {
        server,
        sampler,
        thread,
    })
}
