//! A store in memory that keeps to the contract of `Store`, for tests. Its
//! state is a plain value with plain functions, so that models can use it
//! without a runtime.

#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use erawan::job::{Column, Commit, Guard, Job, JobId, Millis, NewJob, Outcome, Row, Table, Write};
use erawan::store::{
    Accept, Accepted, Attempt, Committed, Counts, Epoch, FailedJob, Lease, Released, State, Store,
    StoreError,
};
use parking_lot::Mutex;

#[derive(Debug, Clone, Default)]
pub struct StoreState {
    pub open: BTreeMap<u64, Job>,
    seqs: BTreeMap<JobId, u64>,
    pub last_seq: u64,
    sources: BTreeSet<String>,
    claimed: BTreeSet<JobId>,
    /// Accepted with `not_before` or `after_height`: nobody's predecessor, even
    /// after they came due. (A job that was rescheduled has a `not_before` too.)
    pub held: BTreeSet<JobId>,
    pub failed: Vec<FailedJob>,
    rows: BTreeMap<(Table, Row), BTreeMap<Column, Vec<u8>>>,
    lease: Option<(String, Epoch)>,
    pub epoch: u64,
    /// How often each job was committed.
    pub commits: BTreeMap<JobId, u32>,
}

impl StoreState {
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.open.get(self.seqs.get(&id)?)
    }

    pub fn accept(&mut self, accept: Accept) -> Result<Accepted, StoreError> {
        if let Some(epoch) = accept.epoch {
            self.check(epoch)?;
        }
        for (index, guard) in accept.guards.iter().enumerate() {
            if !self.holds(guard) {
                return Ok(Accepted::Refused { guard: index });
            }
        }
        for write in accept.writes {
            self.write(write);
        }
        let (jobs, duplicates) = self.add(accept.jobs);
        Ok(Accepted::Stored { jobs, duplicates })
    }

    pub fn commit(&mut self, attempt: Attempt, commit: Commit) -> Committed {
        let Some(job) = self.owned(attempt).cloned() else {
            return Committed::Fenced;
        };
        *self.commits.entry(attempt.job).or_default() += 1;
        self.end(job.seq);
        for write in commit.writes {
            self.write(write);
        }
        let (jobs, _) = self.add(commit.jobs);
        let mut cancelled = Vec::new();
        for id in commit.cancel {
            if let Some(seq) = self.seqs.get(&id).copied() {
                self.end(seq);
                cancelled.push(id);
            }
        }
        if let Outcome::Failed { reason } = commit.outcome {
            self.failed.push(FailedJob {
                job,
                reason,
                failed_at: Millis::now(),
            });
        }
        Committed::Applied { jobs, cancelled }
    }

    pub fn reschedule(&mut self, attempt: Attempt, not_before: Millis) -> bool {
        let Some(seq) = self.owned(attempt).map(|job| job.seq) else {
            return false;
        };
        if let Some(job) = self.open.get_mut(&seq) {
            job.new.not_before = Some(not_before);
            job.tries += 1;
        }
        true
    }

    pub fn release(&mut self, jobs: &[JobId]) -> Vec<Released> {
        jobs.iter()
            .map(|id| match self.seqs.get(id) {
                Some(seq) => {
                    let job = self.open.get_mut(seq).expect("indexed jobs are open");
                    job.attempt += 1;
                    Released::Open {
                        attempt: job.attempt,
                    }
                }
                None => Released::Ended,
            })
            .collect()
    }

    pub fn open_jobs(&self, after: u64, limit: usize) -> Vec<Job> {
        self.open
            .range(after + 1..)
            .take(limit)
            .map(|(_, job)| job.clone())
            .collect()
    }

    pub fn open_ids(&self, after: u64, limit: usize) -> Vec<(u64, JobId)> {
        self.open
            .range(after + 1..)
            .take(limit)
            .map(|(seq, job)| (*seq, job.id()))
            .collect()
    }

    pub fn jobs(&self, ids: &[JobId]) -> Vec<Option<Job>> {
        ids.iter().map(|id| self.job(*id).cloned()).collect()
    }

    fn owned(&self, attempt: Attempt) -> Option<&Job> {
        self.job(attempt.job)
            .filter(|job| job.attempt == attempt.number)
    }

    fn end(&mut self, seq: u64) {
        if let Some(job) = self.open.remove(&seq) {
            self.seqs.remove(&job.id());
        }
    }

    fn add(&mut self, jobs: Vec<NewJob>) -> (Vec<Job>, Vec<JobId>) {
        let (mut stored, mut duplicates) = (Vec::new(), Vec::new());
        for new in jobs {
            if let Some(source) = &new.source
                && !self.sources.insert(source.clone())
            {
                duplicates.push(new.id);
                continue;
            }
            let held = new.not_before.is_some() || new.after_height.is_some();
            let last = self
                .open
                .values()
                .rev()
                .find(|job| job.key() == new.key && !self.held.contains(&job.id()));
            let prev = match last {
                Some(job) if !held => job.seq,
                _ => 0,
            };
            self.last_seq += 1;
            if held {
                self.held.insert(new.id);
            }
            let job = Job {
                new,
                seq: self.last_seq,
                prev,
                attempt: 1,
                tries: 0,
                accepted_at: Millis::now(),
            };
            self.seqs.insert(job.id(), job.seq);
            self.open.insert(job.seq, job.clone());
            stored.push(job);
        }
        (stored, duplicates)
    }

    fn holds(&self, guard: &Guard) -> bool {
        let row = |table: &Table, row: &Row| self.rows.get(&(*table, row.clone()));
        match guard {
            Guard::Absent { table, row: name } => row(table, name).is_none(),
            Guard::Equals {
                table,
                row: name,
                value,
            } => row(table, name).and_then(|columns| columns.get("")) == value.as_ref(),
        }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Put {
                table,
                row,
                column,
                value,
            } => {
                let columns = self.rows.entry((table, row)).or_default();
                columns.insert(column, value);
            }
            Write::Delete { table, row } => {
                self.rows.remove(&(table, row));
            }
            Write::DeleteColumn { table, row, column } => {
                if let Some(columns) = self.rows.get_mut(&(table, row.clone())) {
                    columns.remove(&column);
                    if columns.is_empty() {
                        self.rows.remove(&(table, row));
                    }
                }
            }
        }
    }

    fn check(&self, epoch: Epoch) -> Result<(), StoreError> {
        if epoch.0 < self.epoch {
            let current = Epoch(self.epoch);
            return Err(StoreError::Deposed { current });
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct MemoryStore {
    pub state: Mutex<StoreState>,
    /// Everything fails while set.
    pub down: AtomicBool,
    /// The next commit is applied, but its answer is lost.
    pub lose_next_commit_answer: AtomicBool,
}

impl MemoryStore {
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn up(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("down for the test".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl State for MemoryStore {
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.up()?;
        let state = self.state.lock();
        let columns = state.rows.get(&(table, row.to_owned()));
        Ok(columns.and_then(|columns| columns.get(column).cloned()))
    }

    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        self.up()?;
        let state = self.state.lock();
        let columns = state.rows.get(&(table, row.to_owned()));
        Ok(columns.cloned().unwrap_or_default().into_iter().collect())
    }

    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut values = Vec::new();
        for row in rows {
            values.push(self.get(table, row, "").await?);
        }
        Ok(values)
    }

    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        self.up()?;
        let state = self.state.lock();
        let rows = state.rows.keys().filter(|(of, _)| *of == table);
        Ok(rows
            .map(|(_, row)| row.clone())
            .filter(|row| row.starts_with(prefix))
            .collect())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        self.up()?;
        self.state.lock().accept(accept)
    }

    async fn commit(&self, attempt: Attempt, commit: Commit) -> Result<Committed, StoreError> {
        self.up()?;
        let committed = self.state.lock().commit(attempt, commit);
        if self.lose_next_commit_answer.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Unavailable("answer lost".to_owned()));
        }
        Ok(committed)
    }

    async fn reschedule(
        &self,
        attempt: Attempt,
        not_before: Millis,
        _reason: &str,
    ) -> Result<bool, StoreError> {
        self.up()?;
        Ok(self.state.lock().reschedule(attempt, not_before))
    }

    async fn release(&self, epoch: Epoch, jobs: &[JobId]) -> Result<Vec<Released>, StoreError> {
        self.up()?;
        let mut state = self.state.lock();
        state.check(epoch)?;
        state.epoch = epoch.0;
        Ok(state.release(jobs))
    }

    async fn claim(&self, attempt: Attempt) -> Result<bool, StoreError> {
        self.up()?;
        let mut state = self.state.lock();
        Ok(state.owned(attempt).is_some() && state.claimed.insert(attempt.job))
    }

    async fn open_jobs(&self, after: u64, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.up()?;
        Ok(self.state.lock().open_jobs(after, limit))
    }

    async fn open_ids(&self, after: u64, limit: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        self.up()?;
        Ok(self.state.lock().open_ids(after, limit))
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        self.up()?;
        Ok(self.state.lock().jobs(ids))
    }

    async fn failed_jobs(&self, limit: usize) -> Result<Vec<FailedJob>, StoreError> {
        self.up()?;
        let state = self.state.lock();
        Ok(state.failed.iter().take(limit).cloned().collect())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.up()?;
        let state = self.state.lock();
        Ok(Counts {
            open: state.open.len() as u64,
            failed: state.failed.len() as u64,
        })
    }

    async fn acquire_lease(&self, holder: &str, ttl: Duration) -> Result<Lease, StoreError> {
        self.up()?;
        let mut state = self.state.lock();
        match &state.lease {
            Some((held_by, epoch)) if held_by == holder => Ok(Lease::Held { epoch: *epoch }),
            Some((held_by, _)) => Ok(Lease::HeldBy {
                holder: held_by.clone(),
                remaining: ttl,
            }),
            None => {
                state.epoch += 1;
                let epoch = Epoch(state.epoch);
                state.lease = Some((holder.to_owned(), epoch));
                Ok(Lease::Held { epoch })
            }
        }
    }

    async fn release_lease(&self, holder: &str) -> Result<(), StoreError> {
        self.up()?;
        let mut state = self.state.lock();
        if state.lease.as_ref().is_some_and(|(by, _)| by == holder) {
            state.lease = None;
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.up()
    }
}
