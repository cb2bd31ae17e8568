//! One socket of the pool: it has many calls in flight and matches answers by
//! id.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::envelope::{self, CallError};
use super::socket::{self, Socket};
use super::{RpcError, RpcOptions};

/// Most calls that wait to be written to one socket.
const INBOX: usize = 1024;
/// Most calls written before the socket is flushed.
const WRITE_BATCH: usize = 64;

/// A call on its way.
pub(super) struct RpcCall {
    pub method: &'static str,
    pub params: Value,
    pub reply: oneshot::Sender<Result<Value, CallError>>,
}

/// Accepts calls for this socket; `None` while it is not open.
#[derive(Default)]
pub(super) struct Slot(Mutex<Option<mpsc::Sender<RpcCall>>>);

impl Slot {
    /// The open socket's inbox.
    pub fn inbox(&self) -> Option<mpsc::Sender<RpcCall>> {
        self.0.lock().clone()
    }
}

type Outstanding = Mutex<HashMap<String, oneshot::Sender<Result<Value, CallError>>>>;

/// Keeps a socket open for ever. Calls `changed` when it has opened (true) or
/// closed (false).
pub(super) async fn keep_open(options: RpcOptions, slot: Arc<Slot>, changed: impl Fn(bool)) {
    let mut failures = 0;
    loop {
        match socket::open(&options).await {
            Ok(socket) => {
                failures = 0;
                let (inbox, calls) = mpsc::channel(INBOX);
                *slot.0.lock() = Some(inbox);
                changed(true);
                let reason = serve(socket, calls, &options).await;
                *slot.0.lock() = None;
                changed(false);
                tracing::debug!(%reason, "ledger socket closed");
            }
            Err(error) => tracing::debug!(%error, "ledger socket not opened"),
        }
        tokio::time::sleep(options.reconnect_delay(failures)).await;
        failures += 1;
    }
}

/// Serves calls until the socket closes. Outstanding calls end with it, because
/// their reply channels are dropped here.
async fn serve(socket: Socket, calls: mpsc::Receiver<RpcCall>, options: &RpcOptions) -> String {
    let (sink, stream) = socket.split();
    let outstanding = Outstanding::default();
    tokio::select! {
        reason = read(stream, &outstanding, options) => reason,
        reason = write(sink, calls, &outstanding) => reason,
    }
}

async fn write(
    mut sink: futures_util::stream::SplitSink<Socket, Message>,
    mut calls: mpsc::Receiver<RpcCall>,
    outstanding: &Outstanding,
) -> String {
    let mut next_id: u64 = 0;
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    while calls.recv_many(&mut batch, WRITE_BATCH).await > 0 {
        for call in batch.drain(..) {
            if call.reply.is_closed() {
                continue;
            }
            next_id += 1;
            let id = next_id.to_string();
            let text = envelope::request(&id, call.method, &call.params);
            remember(outstanding, id, call.reply);
            if let Err(error) = sink.feed(Message::text(text)).await {
                return error.to_string();
            }
        }
        if let Err(error) = sink.flush().await {
            return error.to_string();
        }
    }
    "no longer needed".to_owned()
}

/// Forgets calls whose callers have given up, whenever the number of
/// outstanding ones passes a power of two. So a ledger that never answers
/// cannot fill memory.
fn remember(
    outstanding: &Outstanding,
    id: String,
    reply: oneshot::Sender<Result<Value, CallError>>,
) {
    let mut outstanding = outstanding.lock();
    if outstanding.len() >= INBOX && outstanding.len().is_power_of_two() {
        outstanding.retain(|_, reply| !reply.is_closed());
    }
    outstanding.insert(id, reply);
}

async fn read(
    mut stream: futures_util::stream::SplitStream<Socket>,
    outstanding: &Outstanding,
    options: &RpcOptions,
) -> String {
    let mut last_frame = Instant::now();
    loop {
        let frame = tokio::time::timeout_at(last_frame + options.silence_limit, stream.next());
        let message = match frame.await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(None) => return "closed by the ledger".to_owned(),
            Err(_) => return format!("silent for {:?}", options.silence_limit),
        };
        last_frame = Instant::now();
        if let Message::Text(text) = message {
            settle(outstanding, text.as_str());
        }
    }
}

fn settle(outstanding: &Outstanding, text: &str) {
    let Some(answer) = envelope::answer(text) else {
        tracing::warn!(bytes = text.len(), "the ledger sent something unreadable");
        return;
    };
    let waiting = outstanding.lock().remove(&answer.id);
    if let Some(reply) = waiting {
        // A caller that has given up needs no answer.
        reply.send(answer.outcome).ok();
    }
}

impl From<(&'static str, CallError)> for RpcError {
    fn from((method, failure): (&'static str, CallError)) -> Self {
        RpcError::Remote {
            method: method.to_owned(),
            code: failure.code,
            message: failure.message,
            data: failure.data,
        }
    }
}
