//! Calls with very many header lines. The replaced system takes them: proxies and
//! meshes on the way add theirs. actix refuses more than 96, so this wrapper
//! shortens longer heads: it drops lines that nobody reads.
//!
//! A head begins where the previous body ends. This wrapper follows only bodies that
//! cannot be misunderstood: none, or one `Content-Length`. After anything else the
//! rest of the connection passes unchanged.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most lines that actix takes.
const MOST_LINES: usize = 96;

/// Most lines of a head that this wrapper shortens.
const LOOKED_AT: usize = 2000;

/// Longest head; actix takes no longer one.
const MOST_BYTES: usize = 128 * 1024;

/// Bytes read at a time while a head is waited for.
const PORTION: usize = 8 * 1024;

/// Bytes of a body read at a time.
const MOST_OF_BODY: usize = 64 * 1024;

/// Headers that somebody reads: this server, or actix.
const READ: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "ndid-member-app-type",
    "ndid-member-app-version",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
];

/// A connection that shortens its long heads.
pub(super) struct LongHeads<S> {
    inner: S,
    next: Next,
    /// Read from the connection, not examined yet.
    unread: BytesMut,
    /// Examined, not read by actix yet.
    ready: BytesMut,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Head,
    /// This many bytes of a body.
    Body(u64),
    /// Bytes that pass unexamined.
    Anything,
}

/// The result of looking for a head.
enum HeadScan {
    /// The head is incomplete.
    Incomplete,
    /// Length of the head, its shorter form if it is too long, and what follows.
    Head(usize, Option<Vec<u8>>, Next),
    /// Bytes that are no head.
    Unknown,
}

impl<S> LongHeads<S> {
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            next: Next::Head,
            unread: BytesMut::new(),
            ready: BytesMut::new(),
        }
    }

    /// The wrapped connection.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Moves everything that is complete from `unread` to `ready`.
    fn advance(&mut self) {
        while !self.unread.is_empty() {
            match self.next {
                Next::Anything => self.ready.unsplit(self.unread.split()),
                Next::Body(0) => self.next = Next::Head,
                Next::Body(left) => {
                    let here = self
                        .unread
                        .len()
                        .min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.ready.unsplit(self.unread.split_to(here));
                    self.next = Next::Body(left - here as u64);
                }
                Next::Head => match find(&self.unread) {
                    HeadScan::Incomplete if self.unread.len() < MOST_BYTES => return,
                    HeadScan::Incomplete | HeadScan::Unknown => self.next = Next::Anything,
                    HeadScan::Head(length, instead, next) => {
                        let head = self.unread.split_to(length);
                        match instead {
                            Some(shorter) => self.ready.extend_from_slice(&shorter),
                            None => self.ready.unsplit(head),
                        }
                        self.next = next;
                    }
                },
            }
        }
        if self.next == Next::Body(0) {
            self.next = Next::Head;
        }
    }
}

fn find(bytes: &[u8]) -> HeadScan {
    let mut few = [httparse::EMPTY_HEADER; MOST_LINES];
    let mut request = httparse::Request::new(&mut few);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => HeadScan::Incomplete,
        Ok(httparse::Status::Complete(length)) => {
            let next = after(request.method, request.headers);
            HeadScan::Head(length, None, next)
        }
        Err(httparse::Error::TooManyHeaders) => find_long(bytes),
        Err(_) => HeadScan::Unknown,
    }
}

fn find_long(bytes: &[u8]) -> HeadScan {
    let mut many = vec![httparse::EMPTY_HEADER; LOOKED_AT];
    let mut request = httparse::Request::new(&mut many);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => HeadScan::Incomplete,
        Ok(httparse::Status::Complete(length)) => match shortened(bytes, &request) {
            Some(shorter) => {
                let next = after(request.method, request.headers);
                HeadScan::Head(length, Some(shorter), next)
            }
            None => HeadScan::Unknown,
        },
        Err(_) => HeadScan::Unknown,
    }
}

/// The head without the lines that nobody reads; `None` if too many are left.
fn shortened(bytes: &[u8], request: &httparse::Request<'_, '_>) -> Option<Vec<u8>> {
    let is_read = |header: &&httparse::Header<'_>| {
        READ.iter()
            .any(|name| header.name.eq_ignore_ascii_case(name))
    };
    let kept: Vec<_> = request.headers.iter().filter(is_read).collect();
    if kept.len() > MOST_LINES {
        return None;
    }
    let first_line = bytes.iter().position(|byte| *byte == b'\n')?;
    let mut head = bytes[..=first_line].to_vec();
    for header in kept {
        head.extend_from_slice(header.name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(header.value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Some(head)
}

/// What follows a head.
fn after(method: Option<&str>, headers: &[httparse::Header<'_>]) -> Next {
    let mut length = None;
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("transfer-encoding") || is("upgrade") {
            return Next::Anything;
        }
        if is("content-length") {
            let is_number = !header.value.is_empty() && header.value.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(header.value).ok().filter(|_| is_number);
            let number: Option<u64> = text.and_then(|text| text.parse().ok());
            match (length, number) {
                (None, Some(number)) => length = Some(number),
                _ => return Next::Anything,
            }
        }
    }
    match method {
        Some("CONNECT") | None => Next::Anything,
        Some(_) => match length.unwrap_or_default() {
            0 => Next::Head,
            length => Next::Body(length),
        },
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LongHeads<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.ready.is_empty() {
                let length = this.ready.len().min(buffer.remaining());
                buffer.put_slice(&this.ready[..length]);
                this.ready.advance(length);
                return Poll::Ready(Ok(()));
            }
            match this.next {
                Next::Anything => {
                    return Pin::new(&mut this.inner).poll_read(context, buffer);
                }
                // `unread` holds less than a head.
                Next::Body(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX);
                    let most = most.min(buffer.remaining()).min(MOST_OF_BODY);
                    let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
                    ready!(Pin::new(&mut this.inner).poll_read(context, &mut part))?;
                    let read = part.filled().len();
                    buffer.advance(read);
                    this.next = match left - read as u64 {
                        0 => Next::Head,
                        left => Next::Body(left),
                    };
                    return Poll::Ready(Ok(()));
                }
                Next::Head => {
                    let mut portion = [0; PORTION];
                    let mut portion = ReadBuf::new(&mut portion);
                    ready!(Pin::new(&mut this.inner).poll_read(context, &mut portion))?;
                    if portion.filled().is_empty() {
                        // The connection ended: nothing more will come.
                        this.next = Next::Anything;
                        this.ready.unsplit(this.unread.split());
                        if this.ready.is_empty() {
                            return Poll::Ready(Ok(()));
                        }
                        continue;
                    }
                    this.unread.extend_from_slice(portion.filled());
                    this.advance();
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LongHeads<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
#[path = "long_heads_tests.rs"]
mod tests;
