//! CometBFT's RPC on one port: JSON-RPC over WebSocket at `/websocket` and
//! over HTTP, and calls as plain GET (spec/ledger.md 1.2-1.5).

mod arguments;
mod http;
mod methods;
mod shapes;
mod websocket;

use std::io;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Shared;

/// Largest request, in bytes.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Most connections at a time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 2_000;

/// Answers calls until it is dropped.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropping the set ends the connections.
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed, so this cannot fail.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return Ok(());
        };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, for one: it passes.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        // A failure only delays small frames.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _place = place;
            let (upgraded, mut upgrades) = tokio::sync::mpsc::channel(1);
            let service =
                service_fn(|request| http::answer(Arc::clone(&shared), request, upgraded.clone()));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection ended");
            }
            if let Ok(upgrade) = upgrades.try_recv() {
                websocket::run(shared, upgrade).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
