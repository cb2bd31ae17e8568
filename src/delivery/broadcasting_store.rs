//! A store that broadcasts the transactions written to it. Calls and handlers
//! write a transaction down and need not know how it leaves.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::broadcaster::{Broadcaster, Intent};
use crate::job::{Attempt, Column, Commit, Epoch, Job, JobId, Millis, Row, Table};
use crate::store::{
    Accept, Accepted, Audited, Committed, Counts, FailedJob, LastError, Lease, Operated, Operation,
    Release, Released, SharedStore, State, Store, StoreError, Struck,
};

pub struct BroadcastingStore {
    store: SharedStore,
    broadcaster: Broadcaster,
}

impl BroadcastingStore {
    /// Wraps `store` and hands its transactions to `broadcaster`.
    pub fn new(store: SharedStore, broadcaster: Broadcaster) -> Arc<Self> {
        Arc::new(Self { store, broadcaster })
    }
}

#[async_trait]
impl State for BroadcastingStore {
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(table, row, column).await
    }

    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        self.store.columns(table, row).await
    }

    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.store.get_many(table, rows).await
    }

    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        self.store.rows(table, prefix).await
    }
}

#[async_trait]
impl Store for BroadcastingStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        let intents = Intent::of(&accept.writes);
        let accepted = self.store.accept(accept).await;
        match &accepted {
            Ok(Accepted::Stored { .. }) => self.broadcaster.stored(intents),
            Ok(Accepted::Refused { .. }) => {}
            Err(_) => self.broadcaster.perhaps_stored(intents),
        }
        accepted
    }

    /// A fenced commit may have been applied before, if its answer was lost.
    async fn commit(&self, attempt: Attempt, commit: Arc<Commit>) -> Result<Committed, StoreError> {
        let intents = Intent::of(&commit.writes);
        let committed = self.store.commit(attempt, commit).await;
        match &committed {
            Ok(Committed::Applied { .. }) => self.broadcaster.stored(intents),
            Ok(Committed::Fenced) | Err(_) => self.broadcaster.perhaps_stored(intents),
        }
        committed
    }

    async fn reschedule(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<bool, StoreError> {
        self.store.reschedule(attempt, not_before, reason).await
    }

    async fn strike(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<Struck, StoreError> {
        self.store.strike(attempt, not_before, reason).await
    }

    async fn park(&self, attempt: Attempt, reason: &str) -> Result<bool, StoreError> {
        self.store.park(attempt, reason).await
    }

    async fn release(&self, epoch: Epoch, jobs: &[Release]) -> Result<Vec<Released>, StoreError> {
        self.store.release(epoch, jobs).await
    }

    async fn claim(&self, attempt: Attempt) -> Result<bool, StoreError> {
        self.store.claim(attempt).await
    }

    async fn operate(&self, operation: Operation) -> Result<Operated, StoreError> {
        self.store.operate(operation).await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<Audited>, StoreError> {
        self.store.audit(limit).await
    }

    async fn last_errors(&self, ids: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        self.store.last_errors(ids).await
    }

    async fn parked_ids(&self, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.store.parked_ids(limit).await
    }

    async fn open_jobs(&self, after: u64, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.store.open_jobs(after, limit).await
    }

    async fn open_ids(&self, after: u64, limit: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        self.store.open_ids(after, limit).await
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        self.store.jobs(ids).await
    }

    async fn failed_jobs(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FailedJob)>, StoreError> {
        self.store.failed_jobs(after, limit).await
    }

    async fn failed_job(&self, id: JobId) -> Result<Option<FailedJob>, StoreError> {
        self.store.failed_job(id).await
    }

    async fn known_sources(&self, sources: &[String]) -> Result<Vec<bool>, StoreError> {
        self.store.known_sources(sources).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.store.counts().await
    }

    async fn acquire_lease(
        &self,
        holder: &str,
        ttl: Duration,
        above: Epoch,
    ) -> Result<Lease, StoreError> {
        self.store.acquire_lease(holder, ttl, above).await
    }

    async fn release_lease(&self, holder: &str) -> Result<(), StoreError> {
        self.store.release_lease(holder).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    fn setbacks(&self) -> u64 {
        self.store.setbacks()
    }
}
