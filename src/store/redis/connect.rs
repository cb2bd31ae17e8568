//! Opens the store.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::RedisStore;
use super::durations::Reads;
use super::history::ServerHistory;
use super::link::RedisConnections;
use super::locate::Locator;
use super::options::RedisTarget;
use super::replicas::Replicas;
use super::scripts::Scripts;
use crate::store::{FailedLimits, Store, StoreError};

impl RedisStore {
    /// Connects, and warns if the settings of Redis allow it to lose data.
    /// # Errors
    /// [`StoreError::Unavailable`] if Redis cannot be reached now. Once
    /// connected, the store reconnects by itself for ever, and operations fail
    /// with that error at once or within 5 s (10 s for a read that met a broken
    /// connection and was sent again). Large commands take as long as their
    /// bytes move; one that Redis does not answer fails a second later for
    /// every 4 MiB on the way.
    pub async fn connect(target: impl Into<RedisTarget>) -> Result<Self, StoreError> {
        Self::connect_apart(target.into(), Handle::current()).await
    }

    /// The same, but the connection for large commands lives on the runtime
    /// `large`, the others on the caller's.
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_apart(target: RedisTarget, large: Handle) -> Result<Self, StoreError> {
        let prefix = format!("{{erawan:{}}}:", target.node_id);
        let promise = target.redis.promise;
        let history = Arc::new(ServerHistory::of_acknowledged(promise.is_some()));
        let locator = Locator::new(target.redis, prefix.clone());
        let store = Self {
            link: RedisConnections::new(locator, Arc::clone(&history), large),
            scripts: Scripts::assemble(),
            reads: Reads::new(),
            replicas: promise.map(|promise| Replicas::new(promise, format!("{prefix}mark"))),
            prefix,
            failed_limits: FailedLimits::default(),
            history,
            term: AtomicU64::new(0),
            granted: Mutex::default(),
        };
        store.ping().await?;
        if promise.is_some() && !store.link.knows_run() {
            return Err(StoreError::Unavailable(
                "DB_MIN_REPLICAS_TO_ACK needs a Redis that answers INFO".to_owned(),
            ));
        }
        store.warn_of_volatility().await;
        store.warn_of_limits().await;
        Ok(store)
    }

    /// Changes how many failed jobs are kept.
    pub fn with_failed_limits(mut self, limits: FailedLimits) -> Self {
        self.failed_limits = limits;
        self
    }
}
