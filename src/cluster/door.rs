//! Who comes in at the master's port: connections that have proved what the
//! node asks for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant};
use tonic::transport::server::Connected;

use crate::listener::{Guest, GuestStream, Listener};
use crate::tls::{GONE, LinkSecurity, MaybeTls};

/// Handshakes under way. Who does not finish goes when its patience ends.
const HANDSHAKES: usize = 1024;
/// Shortest time between two log lines about the same refusal.
const QUIET: Duration = Duration::from_secs(10);

type Inner = MaybeTls<GuestStream<TcpStream>>;

/// A connection of a worker or an operator.
pub(super) struct Visitor(Inner);

/// The connections that are accepted, as a gRPC server takes them.
pub(super) fn open(
    listener: Listener,
    security: LinkSecurity,
) -> impl Stream<Item = io::Result<Visitor>> {
    let handshakes = listener.guests().map(move |(stream, peer)| {
        let security = security.clone();
        async move {
            let secured = security.accept(stream).await;
            secured.map_err(|reason| (peer.ip().to_canonical(), reason))
        }
    });
    let mut told: Option<(String, Instant)> = None;
    handshakes
        .buffer_unordered(HANDSHAKES)
        .filter_map(move |secured| {
            let accepted = match secured {
                Ok(stream) => Some(Ok(Visitor(stream))),
                Err((peer, reason)) if reason == GONE => {
                    tracing::debug!(%peer, reason, "at MASTER_SERVER_PORT");
                    None
                }
                Err((peer, reason)) => {
                    metrics::counter!("erawan_link_refusals_total").increment(1);
                    let is_news = told
                        .as_ref()
                        .is_none_or(|(last, at)| *last != reason || at.elapsed() >= QUIET);
                    if is_news {
                        tracing::warn!(%peer, reason, "refused at MASTER_SERVER_PORT");
                        told = Some((reason, Instant::now()));
                    }
                    None
                }
            };
            std::future::ready(accepted)
        })
}

impl AsyncRead for Visitor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Who made a call.
#[derive(Clone)]
pub(super) struct Introduced {
    pub guest: Arc<Guest>,
    /// What its certificate says.
    pub proved: Option<String>,
}

/// For handlers of gRPC calls.
impl Connected for Visitor {
    type ConnectInfo = Introduced;

    fn connect_info(&self) -> Self::ConnectInfo {
        Introduced {
            guest: self.0.get_ref().guest().clone(),
            proved: self.0.proved(),
        }
    }
}
