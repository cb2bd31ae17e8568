//! A port that others connect to: how many connections it admits, which it
//! closes when there are too many, and how long one may be silent. A crowd of
//! idle connections keeps nobody out.

mod room;
mod sockets;
mod stream;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

pub use room::{Guest, Room, Rules, Serving, Visit};
pub use sockets::Sockets;
pub use stream::GuestStream;

/// First and longest pause after a connection could not be accepted. Usually no
/// descriptor is free, and trying again at once does not help.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Shortest time between two log lines about the same trouble.
const QUIET: Duration = Duration::from_secs(10);

/// A port and its room.
pub struct Listener {
    sockets: Vec<TcpListener>,
    room: Room,
    trouble: Trouble,
}

impl Listener {
    /// Must be called in the runtime that accepts.
    /// # Errors
    /// When the runtime refuses the socket.
    pub fn new(sockets: Sockets, room: Room, name: &'static str) -> io::Result<Self> {
        let sockets = sockets.bound.into_iter().map(TcpListener::from_std);
        Ok(Self {
            sockets: sockets.collect::<Result<_, _>>()?,
            room,
            trouble: Trouble::at(name),
        })
    }

    /// The next admitted connection, with its peer. Waits while all guests are
    /// busy. Never fails. Dropping it while it waits loses no connection.
    pub async fn accept(&mut self) -> (GuestStream<TcpStream>, SocketAddr) {
        let sockets = &self.sockets;
        let accept = || poll_fn(move |context| accept_at_any(sockets, context));
        let (stream, peer) = keep_trying(accept, &mut self.trouble).await;
        // A small answer must not wait for the acknowledgement of the previous
        // one. This fails only if the peer is gone, which its reader will
        // notice.
        let _ = stream.set_nodelay(true);
        let visit = self.room.enter().await;
        (GuestStream::new(stream, visit), peer)
    }

    /// The connections, one after the other.
    pub fn guests(self) -> impl Stream<Item = (GuestStream<TcpStream>, SocketAddr)> {
        futures_util::stream::unfold(self, async |mut listener| {
            let guest = listener.accept().await;
            Some((guest, listener))
        })
    }
}

fn accept_at_any(
    sockets: &[TcpListener],
    context: &mut Context<'_>,
) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
    let mut accepted = sockets.iter().map(|socket| socket.poll_accept(context));
    accepted.find(Poll::is_ready).unwrap_or(Poll::Pending)
}

/// Accepts until it succeeds: an error is the peer's, or passes.
pub async fn keep_trying<T, F>(mut accept: impl FnMut() -> F, trouble: &mut Trouble) -> T
where
    F: Future<Output = io::Result<T>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_peer(&error) => tokio::task::yield_now().await,
            Err(error) => {
                trouble.tell(&error);
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// The peer went away before it was accepted.
fn is_of_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
    )
}

/// Tells operators from time to time that connections cannot be accepted.
pub struct Trouble {
    name: &'static str,
    told: Option<Instant>,
}

impl Trouble {
    /// For the port with this name.
    pub fn at(name: &'static str) -> Self {
        Self { name, told: None }
    }

    fn tell(&mut self, error: &io::Error) {
        metrics::counter!("erawan_accept_failures_total", "port" => self.name).increment(1);
        if self.told.is_none_or(|told| told.elapsed() >= QUIET) {
            self.told = Some(Instant::now());
            tracing::warn!(%error, port = self.name, "connections cannot be accepted now");
        }
    }
}

#[cfg(test)]
mod tests;
