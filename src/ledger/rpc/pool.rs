//! The sockets that take calls in turn (spec/ledger.md 1.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{RpcCall, Slot, keep_open};
use super::{RpcError, RpcOptions};

/// A pool of sockets to one ledger node. Dropping it ends its tasks.
pub struct SocketPool {
    options: RpcOptions,
    slots: Vec<Arc<Slot>>,
    turn: AtomicUsize,
    connected: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl SocketPool {
    /// Starts to open the sockets and returns at once. Must be called inside a
    /// Tokio runtime.
    pub fn start(options: RpcOptions) -> Self {
        let (count, connected) = watch::channel(0);
        let count = Arc::new(count);
        let mut tasks = JoinSet::new();
        let slots: Vec<Arc<Slot>> = (0..options.connections.max(1))
            .map(|_| Arc::new(Slot::default()))
            .collect();
        for slot in &slots {
            let count = count.clone();
            let changed = move |open: bool| {
                count.send_modify(|count| {
                    *count = if open { *count + 1 } else { *count - 1 };
                    metrics::gauge!("connected_websockets_in_connection_pool_total")
                        .set(*count as f64);
                });
            };
            tasks.spawn(keep_open(options.clone(), slot.clone(), changed));
        }
        Self {
            options,
            slots,
            turn: AtomicUsize::new(0),
            connected,
            _tasks: tasks,
        }
    }

    /// How many sockets are open; announces changes.
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.connected.clone()
    }

    /// The limits in use.
    pub fn options(&self) -> &RpcOptions {
        &self.options
    }

    /// Calls a method.
    /// # Errors
    /// Every [`RpcError`]; at once when no socket is open.
    pub async fn call(&self, method: &'static str, params: Value) -> Result<Value, RpcError> {
        self.lane()?.call(method, params).await
    }

    /// One of the open sockets, in turn. One ledger node answers all calls
    /// through it.
    /// # Errors
    /// When no socket is open.
    pub fn lane(&self) -> Result<SocketHandle, RpcError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let inbox = (0..self.slots.len())
            .find_map(|step| self.slots[(turn.wrapping_add(step)) % self.slots.len()].inbox())
            .ok_or(RpcError::NotConnected)?;
        let limit = self.options.call_timeout;
        Ok(SocketHandle { inbox, limit })
    }
}

/// A socket of the pool.
pub struct SocketHandle {
    inbox: mpsc::Sender<RpcCall>,
    limit: Duration,
}

impl SocketHandle {
    /// Calls a method.
    ///
    /// # Errors
    /// Every [`RpcError`].
    pub async fn call(&self, method: &'static str, params: Value) -> Result<Value, RpcError> {
        match timeout(self.limit, self.call_without_limit(method, params)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RpcError::Timeout(self.limit)),
        }
    }

    async fn call_without_limit(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Value, RpcError> {
        let (reply, answer) = oneshot::channel();
        let call = RpcCall {
            method,
            params,
            reply,
        };
        let sent = self.inbox.send(call).await;
        sent.map_err(|_| RpcError::NotConnected)?;
        match answer.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(failure)) => Err((method, failure).into()),
            Err(_) => Err(RpcError::Closed("with the call open".to_owned())),
        }
    }
}
