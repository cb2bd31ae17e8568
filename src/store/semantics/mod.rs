//! The contract of [`crate::store::Store`] as a plain value with plain
//! functions: no clock, no I/O, no randomness. The conformance suite runs over
//! it as over the engines, so that a simulation on it is valid for them.

mod lease;
mod operators;
mod tables;

use std::collections::{BTreeMap, VecDeque};

use crate::job::{
    Attempt, Column, Commit, Epoch, Job, JobId, JobOutcome, Millis, NewJob, Row, Table,
};
use crate::mistake::{self, Mistake};
use crate::store::operation::outcome_unknown;
use crate::store::record::{self, Numbering, is_in_line};
use crate::store::{
    Accept, Accepted, Audited, Committed, Counts, FailedJob, FailedLimits, LastError, MAX_STRIKES,
    Release, Released, SOURCE_RETENTION, StoreError, Struck,
};

/// An open job, with what the store knows besides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Open {
    job: Job,
    claimed: bool,
    /// Whether later jobs of its key have it for `prev`.
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
    /// By source: when it was accepted.
    sources: BTreeMap<String, Millis>,
    /// By their places in the order of failing.
    failed: BTreeMap<u64, FailedJob>,
    last_failed: u64,
    rows: BTreeMap<(Table, Row), BTreeMap<Column, Vec<u8>>>,
    /// The holder, and the end by the caller's clock.
    lease: Option<(String, Millis)>,
    epoch: u64,
    audit: VecDeque<Audited>,
}

impl StoreState {
    /// [`crate::store::Store::accept`].
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

    /// [`crate::store::Store::commit`].
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
            && let JobOutcome::Failed { reason } = commit.outcome
        {
            let failed = FailedJob {
                job: ended.job,
                reason,
                failed_at: now,
            };
            self.last_failed += 1;
            self.failed.insert(self.last_failed, failed);
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

    /// [`crate::store::Store::reschedule`].
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

    /// [`crate::store::Store::strike`].
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

    /// [`crate::store::Store::park`].
    pub fn park(&mut self, now: Millis, attempt: Attempt, reason: &str) -> bool {
        let Some(open) = self.owned(attempt) else {
            return false;
        };
        open.park(reason, now);
        true
    }

    /// [`crate::store::Store::release`].
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

    /// [`crate::store::Store::claim`].
    pub fn claim(&mut self, attempt: Attempt) -> bool {
        self.owned(attempt).is_some_and(|open| {
            let was_claimed = std::mem::replace(&mut open.claimed, true);
            !was_claimed || mistake::made(Mistake::ClaimIgnored)
        })
    }

    /// [`crate::store::Store::open_jobs`], without the limit in bytes.
    pub fn open_jobs(&self, after: u64, limit: usize) -> Vec<Job> {
        let after = self.open.range(after.saturating_add(1)..);
        let jobs = after.map(|(_, open)| open.job.clone());
        jobs.take(limit).collect()
    }

    /// [`crate::store::Store::open_ids`].
    pub fn open_ids(&self, after: u64, limit: usize) -> Vec<(u64, JobId)> {
        let after = self.open.range(after.saturating_add(1)..);
        let ids = after.map(|(seq, open)| (*seq, open.job.id()));
        ids.take(limit).collect()
    }

    /// [`crate::store::Store::jobs`], without the limit in bytes.
    pub fn jobs(&self, ids: &[JobId]) -> Vec<Option<Job>> {
        ids.iter().map(|id| self.job(*id).cloned()).collect()
    }

    /// [`crate::store::Store::failed_jobs`], without the limit in bytes.
    pub fn failed_jobs(&self, after: u64, limit: usize) -> Vec<(u64, FailedJob)> {
        let after = self.failed.range(after.saturating_add(1)..);
        let failed = after.map(|(place, failed)| (*place, failed.clone()));
        failed.take(limit).collect()
    }

    /// [`crate::store::Store::failed_job`].
    pub fn failed_job(&self, id: JobId) -> Option<FailedJob> {
        let mut failed = self.failed.values();
        failed.find(|failed| failed.job.id() == id).cloned()
    }

    /// [`crate::store::Store::parked_ids`].
    pub fn parked_ids(&self, limit: usize) -> Vec<JobId> {
        let parked = self.open().filter(|job| job.parked);
        parked.map(Job::id).take(limit).collect()
    }

    /// [`crate::store::Store::known_sources`].
    pub fn known_sources(&self, now: Millis, sources: &[String]) -> Vec<bool> {
        let is_known = |source: &String| self.remembers(now, source);
        sources.iter().map(is_known).collect()
    }

    fn remembers(&self, now: Millis, source: &str) -> bool {
        let accepted_at = self.sources.get(source);
        accepted_at.is_some_and(|at| at.until(now) < SOURCE_RETENTION)
    }

    /// [`crate::store::Store::counts`].
    pub fn counts(&self) -> Counts {
        Counts {
            open: self.open.len() as u64,
            open_bytes: self.open().map(record_size).sum(),
            parked: self.open().filter(|job| job.parked).count() as u64,
            failed: self.failed.len() as u64,
        }
    }

    /// [`crate::store::Store::last_errors`].
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
    /// is no job's predecessor, even after it came due. (A rescheduled job has
    /// a `not_before` too.)
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
        let mut bytes: u64 = self.failed.values().map(size).sum();
        while self.failed.len() > 1
            && (self.failed.len() as u64 > limits.jobs || bytes > limits.bytes)
        {
            let oldest = self.failed.pop_first();
            bytes -= oldest.map_or(0, |(_, failed)| size(&failed));
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

    /// Remembers the source of a job. False if it is remembered already.
    fn note_source(&mut self, now: Millis, new: &NewJob) -> bool {
        let Some(source) = &new.source else {
            return true;
        };
        if self.remembers(now, source) && !mistake::made(Mistake::SourceIgnored) {
            return false;
        }
        self.sources.insert(source.clone(), now);
        true
    }
}

/// The size of an engine's record of the job.
fn record_size(job: &Job) -> u64 {
    let place = Numbering {
        seq: job.seq,
        prev: job.prev,
        attempt: job.attempt,
    };
    record::numbered(&job.new, job.accepted_at, place).len() as u64
}
