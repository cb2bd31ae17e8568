//! A connection that ends when its room says so. It lies below TLS and HTTP, so
//! that it also catches guests who never finish a handshake.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::Connected;

use super::room::{Guest, Visit};

/// A guest's connection.
pub struct GuestStream<T> {
    stream: T,
    // Dropped after the descriptor: fields are dropped in order.
    visit: Visit,
    patience: Pin<Box<Sleep>>,
}

impl<T> GuestStream<T> {
    /// The connection of a guest with this place.
    pub fn new(stream: T, visit: Visit) -> Self {
        let patience = Box::pin(sleep(visit.patience()));
        Self {
            stream,
            visit,
            patience,
        }
    }

    pub fn guest(&self) -> &Arc<Guest> {
        self.visit.guest()
    }

    fn may_stay(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.visit.must_go(context.waker()) {
            let reason = "others needed the place";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason));
        }
        while self.patience.as_mut().poll(context).is_ready() {
            let left = self.visit.patience();
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "idle for too long"));
            }
            self.patience.as_mut().reset(Instant::now() + left);
        }
        Ok(())
    }

    fn note<R>(&self, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if let Poll::Ready(Ok(_)) = &result {
            self.visit.note_bytes();
        }
        result
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for GuestStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.may_stay(context)?;
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.note(Poll::Ready(read))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for GuestStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.may_stay(context)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.note(Poll::Ready(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.may_stay(context)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, bytes));
        self.note(Poll::Ready(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// For handlers of gRPC calls.
impl<T> Connected for GuestStream<T> {
    type ConnectInfo = Arc<Guest>;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.guest().clone()
    }
}
