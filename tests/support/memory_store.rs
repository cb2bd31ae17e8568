//! A store in memory, for tests: `StoreState`, the contract of `Store`, behind
//! a lock, with the wall clock.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use erawan::job::{Attempt, Column, Commit, Epoch, Job, JobId, Millis, Row, Table};
use erawan::store::semantics::StoreState;
use erawan::store::{
    Accept, Accepted, Audited, Committed, Counts, FailedJob, FailedLimits, LastError, Lease,
    Operated, Operation, PAGE_BYTES, Release, Released, State, Store, StoreError, Struck,
};
use parking_lot::Mutex;

#[derive(Default)]
pub struct MemoryStore {
    pub state: Mutex<StoreState>,
    pub failed_limits: FailedLimits,
    /// How often each job was committed.
    pub commits: Mutex<BTreeMap<JobId, u32>>,
    /// Everything fails while set.
    pub down: AtomicBool,
    /// Commits that write anything are refused as too large while set.
    pub takes_no_writes: AtomicBool,
    /// The next commit is applied, but its answer is lost.
    pub lose_next_commit_answer: AtomicBool,
    /// What an operator decides about this job is done, but its answer is lost.
    pub lose_operate_answer: Mutex<Option<JobId>>,
    /// The next commit meets a defect of the store.
    pub panic_at_next_commit: AtomicBool,
}

impl MemoryStore {
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn up(&self) -> Result<parking_lot::MutexGuard<'_, StoreState>, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("down for the test".to_owned()));
        }
        Ok(self.state.lock())
    }
}

/// The first of these that make a page; their sizes are those of the payloads.
fn page<T>(jobs: Vec<T>, job: impl Fn(&T) -> Option<&Job>) -> Vec<T> {
    let mut bytes = 0;
    let mut fits = |job: Option<&Job>| {
        bytes += job.map_or(0, |job| job.new.payload.len() as u64);
        bytes <= PAGE_BYTES
    };
    let count = jobs.iter().take_while(|item| fits(job(item))).count();
    jobs.into_iter().take(count.max(1)).collect()
}

#[async_trait]
impl State for MemoryStore {
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.up()?.get(table, row, column))
    }

    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        Ok(self.up()?.columns(table, row))
    }

    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let state = self.up()?;
        Ok(rows.iter().map(|row| state.get(table, row, "")).collect())
    }

    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        Ok(self.up()?.rows(table, prefix))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        self.up()?.accept(Millis::now(), accept)
    }

    async fn commit(&self, attempt: Attempt, commit: Arc<Commit>) -> Result<Committed, StoreError> {
        let panics = self.panic_at_next_commit.swap(false, Ordering::SeqCst);
        assert!(!panics, "a defect of the store");
        if !commit.writes.is_empty() && self.takes_no_writes.load(Ordering::SeqCst) {
            return Err(StoreError::TooLarge("for the test".to_owned()));
        }
        let committed = self.up()?.commit_within(
            Millis::now(),
            attempt,
            Arc::unwrap_or_clone(commit),
            self.failed_limits,
        );
        if committed != Committed::Fenced {
            *self.commits.lock().entry(attempt.job).or_default() += 1;
        }
        if self.lose_next_commit_answer.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Unavailable("answer lost".to_owned()));
        }
        Ok(committed)
    }

    async fn reschedule(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let now = Millis::now();
        Ok(self.up()?.reschedule(now, attempt, not_before, reason))
    }

    async fn strike(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<Struck, StoreError> {
        let now = Millis::now();
        Ok(self.up()?.strike(now, attempt, not_before, reason))
    }

    async fn park(&self, attempt: Attempt, reason: &str) -> Result<bool, StoreError> {
        Ok(self.up()?.park(Millis::now(), attempt, reason))
    }

    async fn release(&self, epoch: Epoch, jobs: &[Release]) -> Result<Vec<Released>, StoreError> {
        self.up()?.release(Millis::now(), epoch, jobs)
    }

    async fn claim(&self, attempt: Attempt) -> Result<bool, StoreError> {
        Ok(self.up()?.claim(attempt))
    }

    async fn operate(&self, operation: Operation) -> Result<Operated, StoreError> {
        let is_lost = *self.lose_operate_answer.lock() == Some(operation.job);
        let operated = self.up()?.operate(operation);
        match is_lost {
            true => Err(StoreError::Unavailable("answer lost".to_owned())),
            false => Ok(operated),
        }
    }

    async fn audit(&self, limit: usize) -> Result<Vec<Audited>, StoreError> {
        Ok(self.up()?.audit(limit))
    }

    async fn last_errors(&self, ids: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        Ok(self.up()?.last_errors(ids))
    }

    async fn parked_ids(&self, limit: usize) -> Result<Vec<JobId>, StoreError> {
        Ok(self.up()?.parked_ids(limit))
    }

    async fn open_jobs(&self, after: u64, limit: usize) -> Result<Vec<Job>, StoreError> {
        Ok(page(self.up()?.open_jobs(after, limit), |job| Some(job)))
    }

    async fn open_ids(&self, after: u64, limit: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        Ok(self.up()?.open_ids(after, limit))
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        Ok(page(self.up()?.jobs(ids), Option::as_ref))
    }

    async fn failed_jobs(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FailedJob)>, StoreError> {
        let failed = self.up()?.failed_jobs(after, limit);
        Ok(page(failed, |(_, failed)| Some(&failed.job)))
    }

    async fn failed_job(&self, id: JobId) -> Result<Option<FailedJob>, StoreError> {
        Ok(self.up()?.failed_job(id))
    }

    async fn known_sources(&self, sources: &[String]) -> Result<Vec<bool>, StoreError> {
        Ok(self.up()?.known_sources(Millis::now(), sources))
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        Ok(self.up()?.counts())
    }

    async fn acquire_lease(
        &self,
        holder: &str,
        ttl: Duration,
        above: Epoch,
    ) -> Result<Lease, StoreError> {
        let now = Millis::now();
        Ok(self.up()?.acquire_lease(now, holder, ttl, above))
    }

    async fn release_lease(&self, holder: &str) -> Result<(), StoreError> {
        self.up()?.release_lease(holder);
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.up().map(|_| ())
    }
}
