//! The ledger for API calls.
//!
//! While the ledger's node is behind, jobs wait, but calls need not: what is
//! found there is good enough for a call, since the ledger judges the
//! transaction that follows. Only what is *not* found there may exist, and a
//! client that hears "unknown" does not ask again.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{Broadcast, Inclusion, Ledger, LedgerClient, TransactionHash};
use crate::error::Error;

/// A [`Ledger`] that also accepts what a node finds that is behind.
pub struct TolerantLedger {
    inner: Arc<dyn Ledger>,
    client: Arc<LedgerClient>,
}

impl TolerantLedger {
    /// Asks `inner` first; `client` is the one that `inner` uses in the end.
    pub fn new(inner: Arc<dyn Ledger>, client: Arc<LedgerClient>) -> Self {
        Self { inner, client }
    }
}

#[async_trait]
impl Ledger for TolerantLedger {
    async fn query(
        &self,
        method: &str,
        params: Value,
        height: Option<u64>,
    ) -> Result<Option<Arc<Value>>, Error> {
        let refused = match self.inner.query(method, params.clone(), height).await {
            Err(error) if error.is_temporary() && height.is_none() && self.client.is_behind() => {
                error
            }
            other => return other,
        };
        let found = self.client.query_as_it_is(method, &params, None).await?;
        found.map(Some).ok_or(refused)
    }

    async fn broadcast(&self, transaction: &[u8]) -> Result<Broadcast, Error> {
        self.inner.broadcast(transaction).await
    }

    async fn transaction(&self, hash: &TransactionHash) -> Result<Option<Inclusion>, Error> {
        self.inner.transaction(hash).await
    }

    async fn waiting_transactions(&self) -> Result<u64, Error> {
        self.inner.waiting_transactions().await
    }

    fn chain_id(&self) -> Result<String, Error> {
        self.inner.chain_id()
    }

    fn height(&self) -> u64 {
        self.inner.height()
    }

    fn era(&self) -> Result<u64, Error> {
        self.inner.era()
    }
}
