//! The contract of [`super::Store`] as a plain value with plain functions: no
//! clock, no I/O, no chance. The conformance suite runs over it as over the
//! engines, so that what a simulation on it shows is true of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::operation::{again, outcome_unknown};
use super::record::{self, Place, is_in_line};
use super::{
    AUDIT_KEPT, Accept, Accepted, Action, Attempt, Audited, Committed, Counts, Epoch, FailedJob,
    FailedLimits, LastError, Lease, MAX_STRIKES, Operated, Operation, Release, Released,
    SOURCE_RETENTION, StoreError, Struck, Was,
};
use crate::job::{Column, Commit, Guard, Job, JobId, Millis, NewJob, Outcome, Row, Table, Write};
use crate::mistake::{self, Mistake};

/// An open job with what the store knows beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Open {
    job: Job,
    claimed: bool,
    /// Others of its key that are accepted later have it for `prev`.
    in_line: bool,
    last_error: Option<LastError>,
}

impl Open {
    /// Writes down why it failed.
    fn note(&mut self, reason: &str, at: Millis) {
        let reason = reason.to_owned();
        self.last_error = Some(LastError { reason, at });
    }

    fn park(&mut self, reason: &str, at: Millis) {
        self.job.parked = true;
        self.note(reason, at);
    }
}

/// Everything a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StoreState {
    open: BTreeMap<u64, Open>,
    seqs: BTreeMap<JobId, u64>,
    last_seq: u64,
    /// When each was accepted.
    sources: BTreeMap<String, Millis>,
    /// By the order in which they failed.
    failed: VecDeque<FailedJob>,
    rows: BTreeMap<(Table, Row), BTreeMap<Column, Vec<u8>>>,
    /// Holder, and when it ends by the clock of the caller.
    lease: Option<(String, Millis)>,
    epoch: u64,
    audit: VecDeque<Audited>,
}

// Jobs.
impl StoreState {
    /// [`super::Store::accept`].
    ///
    /// # Errors
    /// [`StoreError::Deposed`].
    pub fn accept(&mut self, now: Millis, accept: Accept) -> Result<Accepted, StoreError> {
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
        let (jobs, duplicates) = self.add(now, accept.jobs);
        Ok(Accepted::Stored { jobs, duplicates })
    }

    /// [`super::Store::commit`].
    pub fn commit(&mut self, now: Millis, attempt: Attempt, commit: Commit) -> Committed {
        self.commit_within(now, attempt, commit, FailedLimits::default())
    }

    /// The same, with other limits for failed jobs.
    pub fn commit_within(
        &mut self,
        now: Millis,
        attempt: Attempt,
        commit: Commit,
        limits: FailedLimits,
    ) -> Committed {
        let Some(seq) = self.owned(attempt).map(|open| open.job.seq) else {
            return Committed::Fenced;
        };
        if let Some(ended) = self.end(seq)
            && let Outcome::Failed { reason } = commit.outcome
        {
            self.failed.push_back(FailedJob {
                job: ended.job,
                reason,
                failed_at: now,
            });
            self.drop_failed_beyond(limits);
        }
        for write in commit.writes {
            self.write(write);
        }
        let mut cancelled = Vec::new();
        for id in commit.cancel {
            if let Some(seq) = self.seqs.get(&id).copied() {
                self.end(seq);
                cancelled.push(id);
            }
        }
        let (jobs, _) = self.add(now, commit.jobs);
        Committed::Applied { jobs, cancelled }
    }

    /// [`super::Store::reschedule`].
    pub fn reschedule(
        &mut self,
        now: Millis,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> bool {
        let Some(open) = self.owned(attempt) else {
            return false;
        };
        open.job.new.not_before = Some(not_before);
        open.job.tries += 1;
        open.job.strikes = 0;
        open.claimed = false;
        open.note(reason, now);
        true
    }

    /// [`super::Store::strike`].
    pub fn strike(
        &mut self,
        now: Millis,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Struck {
        let Some(open) = self.owned(attempt) else {
            return Struck::Fenced;
        };
        open.job.strikes += 1;
        if open.claimed {
            open.park(&outcome_unknown(Some(reason)), now);
            return Struck::Parked;
        }
        if open.job.strikes >= MAX_STRIKES {
            open.park(reason, now);
            return Struck::Parked;
        }
        open.job.new.not_before = Some(not_before);
        open.job.tries += 1;
        open.note(reason, now);
        Struck::Rescheduled {
            tries: open.job.tries,
            strikes: open.job.strikes,
        }
    }

    /// [`super::Store::park`].
    pub fn park(&mut self, now: Millis, attempt: Attempt, reason: &str) -> bool {
        let Some(open) = self.owned(attempt) else {
            return false;
        };
        open.park(reason, now);
        true
    }

    /// [`super::Store::release`].
    ///
    /// # Errors
    /// [`StoreError::Deposed`].
    pub fn release(
        &mut self,
        now: Millis,
        epoch: Epoch,
        jobs: &[Release],
    ) -> Result<Vec<Released>, StoreError> {
        self.check(epoch)?;
        let released = jobs.iter().map(|release| self.release_one(now, release));
        Ok(released.collect())
    }

    fn release_one(&mut self, now: Millis, release: &Release) -> Released {
        let Some(open) = self.find_mut(release.job) else {
            return Released::Ended;
        };
        if !mistake::made(Mistake::AttemptNotRaised) {
            open.job.attempt += 1;
        }
        let strike = release.strike.as_deref();
        if let Some(reason) = strike
            && !open.job.parked
        {
            open.job.strikes += 1;
            open.note(reason, now);
        }
        let struck_out = open.job.strikes >= MAX_STRIKES;
        let is_doubtful = open.claimed && !mistake::made(Mistake::ClaimIgnored);
        if is_doubtful && !open.job.parked {
            open.park(&outcome_unknown(strike), now);
        } else if struck_out {
            open.job.parked = true;
        }
        Released::Open {
            attempt: open.job.attempt,
        }
    }

    /// [`super::Store::claim`].
    pub fn claim(&mut self, attempt: Attempt) -> bool {
        self.owned(attempt).is_some_and(|open| {
            let was_claimed = std::mem::replace(&mut open.claimed, true);
            !was_claimed || mistake::made(Mistake::ClaimIgnored)
        })
    }

    /// [`super::Store::open_jobs`], but for the limit in bytes.
    pub fn open_jobs(&self, after: u64, limit: usize) -> Vec<Job> {
        let after = self.open.range(after.saturating_add(1)..);
        let jobs = after.map(|(_, open)| open.job.clone());
        jobs.take(limit).collect()
    }

    /// [`super::Store::open_ids`].
    pub fn open_ids(&self, after: u64, limit: usize) -> Vec<(u64, JobId)> {
        let after = self.open.range(after.saturating_add(1)..);
        let ids = after.map(|(seq, open)| (*seq, open.job.id()));
        ids.take(limit).collect()
    }

    /// [`super::Store::jobs`], but for the limit in bytes.
    pub fn jobs(&self, ids: &[JobId]) -> Vec<Option<Job>> {
        ids.iter().map(|id| self.job(*id).cloned()).collect()
    }

    /// [`super::Store::failed_jobs`], but for the limit in bytes.
    pub fn failed_jobs(&self, limit: usize) -> Vec<FailedJob> {
        self.failed.iter().take(limit).cloned().collect()
    }

    /// [`super::Store::failed_job`].
    pub fn failed_job(&self, id: JobId) -> Option<FailedJob> {
        let mut failed = self.failed.iter();
        failed.find(|failed| failed.job.id() == id).cloned()
    }

    /// [`super::Store::parked_ids`].
    pub fn parked_ids(&self, limit: usize) -> Vec<JobId> {
        let parked = self.open().filter(|job| job.parked);
        parked.map(Job::id).take(limit).collect()
    }

    /// [`super::Store::counts`].
    pub fn counts(&self) -> Counts {
        Counts {
            open: self.open.len() as u64,
            open_bytes: self.open().map(record_size).sum(),
            parked: self.open().filter(|job| job.parked).count() as u64,
            failed: self.failed.len() as u64,
        }
    }

    /// [`super::Store::last_errors`].
    pub fn last_errors(&self, ids: &[JobId]) -> Vec<Option<LastError>> {
        let error = |id: &JobId| self.find(*id)?.last_error.clone();
        ids.iter().map(error).collect()
    }

    /// An open job.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.find(id).map(|open| &open.job)
    }

    /// All open jobs, lowest seq first.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = &Job> + Clone {
        self.open.values().map(|open| &open.job)
    }

    /// Whether an open job was accepted with `not_before` or `after_height`: it
    /// is nobody's predecessor, also after it came due. (A job that was
    /// rescheduled has a `not_before` too.)
    pub fn is_held(&self, id: JobId) -> bool {
        self.find(id).is_some_and(|open| !open.in_line)
    }

    /// Whether an attempt has claimed an open job.
    pub fn is_claimed(&self, id: JobId) -> bool {
        self.find(id).is_some_and(|open| open.claimed)
    }

    /// The last seq that was given.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn drop_failed_beyond(&mut self, limits: FailedLimits) {
        let size = |failed: &FailedJob| {
            let note = record::failure(&failed.reason, failed.failed_at);
            note.len() as u64 + record_size(&failed.job)
        };
        let mut bytes: u64 = self.failed.iter().map(size).sum();
        while self.failed.len() > 1
            && (self.failed.len() as u64 > limits.jobs || bytes > limits.bytes)
        {
            bytes -= self.failed.pop_front().map_or(0, |failed| size(&failed));
        }
    }

    fn find(&self, id: JobId) -> Option<&Open> {
        self.open.get(self.seqs.get(&id)?)
    }

    fn find_mut(&mut self, id: JobId) -> Option<&mut Open> {
        self.open.get_mut(self.seqs.get(&id)?)
    }

    fn owned(&mut self, attempt: Attempt) -> Option<&mut Open> {
        self.find_mut(attempt.job).filter(|open| {
            let is_fenced = attempt.number < open.job.attempt;
            (!is_fenced || mistake::made(Mistake::FenceIgnored)) && !open.job.parked
        })
    }

    fn end(&mut self, seq: u64) -> Option<Open> {
        let ended = self.open.remove(&seq)?;
        self.seqs.remove(&ended.job.id());
        Some(ended)
    }

    fn add(&mut self, now: Millis, jobs: Vec<NewJob>) -> (Vec<Job>, Vec<JobId>) {
        let (mut stored, mut duplicates) = (Vec::new(), Vec::new());
        for new in jobs {
            if self.seqs.contains_key(&new.id) || !self.note_source(now, &new) {
                duplicates.push(new.id);
                continue;
            }
            stored.push(self.put(now, new, 1));
        }
        (stored, duplicates)
    }

    fn put(&mut self, now: Millis, new: NewJob, attempt: u32) -> Job {
        let in_line = is_in_line(&new);
        let of_key = |open: &&Open| open.in_line && open.job.new.key == new.key;
        let last = self.open.values().rev().find(of_key);
        let prev = last.filter(|_| in_line).map_or(0, |open| open.job.seq);
        self.last_seq += 1;
        let job = Job {
            new,
            seq: self.last_seq,
            prev,
            attempt,
            tries: 0,
            strikes: 0,
            parked: false,
            accepted_at: now,
        };
        let open = Open {
            job: job.clone(),
            claimed: false,
            in_line,
            last_error: None,
        };
        self.seqs.insert(job.id(), job.seq);
        self.open.insert(job.seq, open);
        job
    }

    /// Remembers the source of a job; false if it is remembered already.
    fn note_source(&mut self, now: Millis, new: &NewJob) -> bool {
        let Some(source) = &new.source else {
            return true;
        };
        let known = self.sources.get(source);
        let known = known.filter(|_| !mistake::made(Mistake::SourceIgnored));
        if known.is_some_and(|at| at.until(now) < SOURCE_RETENTION) {
            return false;
        }
        self.sources.insert(source.clone(), now);
        true
    }
}

/// The size that an engine's record of the job has.
fn record_size(job: &Job) -> u64 {
    let place = Place {
        seq: job.seq,
        prev: job.prev,
        attempt: job.attempt,
    };
    record::numbered(&job.new, job.accepted_at, place).len() as u64
}

// Operators.
impl StoreState {
    /// [`super::Store::operate`].
    pub fn operate(&mut self, operation: Operation) -> Operated {
        if let Some(open) = self.find(operation.job) {
            let Some(was) = operation.finds(&open.job) else {
                return Operated::not_parked();
            };
            let reason = open.last_error.as_ref().map_or("", |error| &error.reason);
            let audited = Audited::new(operation, &open.job, was, reason);
            return self.operate_open(audited);
        }
        let id = operation.job;
        let Some(place) = self.failed.iter().position(|failed| failed.job.id() == id) else {
            return Operated::NotFound;
        };
        let Some(failed) = self.failed.remove(place) else {
            return Operated::NotFound;
        };
        let audited = Audited::new(operation, &failed.job, Was::Failed, &failed.reason);
        let operated = match audited.operation.action {
            Action::Retry => {
                let at = audited.operation.at;
                let (new, attempt) = again(&failed.job, at);
                Operated::Open(self.put(at, new, attempt.number))
            }
            Action::Resolve | Action::Drop => Operated::Ended,
        };
        self.record(audited);
        operated
    }

    fn operate_open(&mut self, audited: Audited) -> Operated {
        let Operation { job, action, .. } = audited.operation;
        let operated = match (action, self.find_mut(job)) {
            (_, None) => return Operated::NotFound,
            (Action::Retry, Some(open)) if audited.was == Was::Waiting => {
                open.job.new.not_before = None;
                Operated::Open(open.job.clone())
            }
            (Action::Retry, Some(open)) => {
                open.job.attempt += 1;
                open.job.strikes = 0;
                open.job.parked = false;
                open.job.new.not_before = None;
                open.claimed = false;
                Operated::Open(open.job.clone())
            }
            (Action::Resolve | Action::Drop, Some(open)) => {
                let seq = open.job.seq;
                self.end(seq);
                Operated::Ended
            }
        };
        self.record(audited);
        operated
    }

    fn record(&mut self, audited: Audited) {
        self.audit.push_back(audited);
        while self.audit.len() > AUDIT_KEPT {
            self.audit.pop_front();
        }
    }

    /// [`super::Store::audit`].
    pub fn audit(&self, limit: usize) -> Vec<Audited> {
        let older = self.audit.len().saturating_sub(limit);
        self.audit.iter().skip(older).cloned().collect()
    }
}

// State and mastership.
impl StoreState {
    /// [`super::State::get`].
    pub fn get(&self, table: Table, row: &str, column: &str) -> Option<Vec<u8>> {
        let columns = self.rows.get(&(table, row.to_owned()))?;
        columns.get(column).cloned()
    }

    /// [`super::State::columns`].
    pub fn columns(&self, table: Table, row: &str) -> Vec<(Column, Vec<u8>)> {
        let columns = self.rows.get(&(table, row.to_owned()));
        columns.cloned().unwrap_or_default().into_iter().collect()
    }

    /// [`super::State::rows`].
    pub fn rows(&self, table: Table, prefix: &str) -> Vec<Row> {
        let rows = self.rows.keys().filter(|(of, _)| *of == table);
        let names = rows.map(|(_, row)| row);
        let names = names.filter(|row| row.starts_with(prefix));
        names.cloned().collect()
    }

    /// [`super::Store::acquire_lease`].
    pub fn acquire_lease(
        &mut self,
        now: Millis,
        holder: &str,
        ttl: Duration,
        above: Epoch,
    ) -> Lease {
        match &self.lease {
            Some((current, _)) if current == holder => {}
            Some((current, until)) if !until.has_come(now, ttl) => {
                return Lease::HeldBy {
                    holder: current.clone(),
                    remaining: now.until(*until),
                };
            }
            Some(_) | None => self.epoch = self.epoch.max(above.0).saturating_add(1),
        }
        self.lease = Some((holder.to_owned(), now.after(ttl)));
        Lease::Held {
            epoch: Epoch(self.epoch),
        }
    }

    /// [`super::Store::release_lease`].
    pub fn release_lease(&mut self, holder: &str) {
        if self.lease.as_ref().is_some_and(|(by, _)| by == holder) {
            self.lease = None;
        }
    }

    /// The latest epoch.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    fn check(&self, epoch: Epoch) -> Result<(), StoreError> {
        if epoch.0 < self.epoch && !mistake::made(Mistake::EpochIgnored) {
            let current = Epoch(self.epoch);
            return Err(StoreError::Deposed { current });
        }
        Ok(())
    }

    fn holds(&self, guard: &Guard) -> bool {
        let row = |table: &Table, row: &Row| self.rows.get(&(*table, row.clone()));
        match guard {
            Guard::Absent { table, row: name }
            | Guard::Equals {
                table,
                row: name,
                value: None,
            } => row(table, name).is_none(),
            Guard::Equals {
                table,
                row: name,
                value: Some(value),
            } => row(table, name)
                .is_some_and(|columns| columns.len() == 1 && columns.get("") == Some(value)),
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
}
