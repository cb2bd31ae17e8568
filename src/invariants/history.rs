//! Checks the history of a whole cluster, which only an observer of the store
//! and all workers can see. It grows with the jobs it is told of, so it is for
//! models and simulations, not for a running node.

use std::collections::{BTreeMap, BTreeSet};

use crate::job::{Attempt, Epoch, Job, JobId};
use crate::store::semantics::StoreState;
use crate::store::{Accepted, Committed};

use super::{Invariant, Violation};

/// One run of an attempt on a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId {
    /// The life of a worker, numbered by the observer.
    pub worker: u64,
    pub job: JobId,
    pub number: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct History {
    accepted: BTreeSet<JobId>,
    sources: BTreeMap<String, JobId>,
    ended: BTreeSet<JobId>,
    /// Failed jobs that an operator has run again.
    reopened: BTreeSet<JobId>,
    committed: u64,
    /// Jobs accepted with an instant or a height to wait for. They take their
    /// place in line when they come due, so nothing stands behind them before.
    held: BTreeSet<JobId>,
    /// For a held job, the highest `seq` when it first started: later jobs
    /// stand behind it, as long as no master forgets that it was due.
    held_started: BTreeMap<JobId, u64>,
    live: BTreeMap<RunId, String>,
    once_started: BTreeSet<JobId>,
}

impl History {
    /// How many jobs were accepted.
    pub fn accepted_jobs(&self) -> u64 {
        self.accepted.len() as u64
    }

    /// How many jobs were committed.
    pub fn committed_jobs(&self) -> u64 {
        self.committed
    }

    /// The store has answered an accept.
    pub fn accepted(&mut self, accepted: &Accepted) -> Option<Violation> {
        match accepted {
            Accepted::Stored { jobs, .. } => self.stored(jobs),
            Accepted::Refused { .. } => None,
        }
    }

    fn stored(&mut self, jobs: &[Job]) -> Option<Violation> {
        let mut seen = None;
        for job in jobs {
            let id = job.id();
            if !self.accepted.insert(id) {
                let detail = format!("job {id} is accepted a second time");
                seen = Some(Violation::new(Invariant::AcceptedOnce, detail));
            }
            if job.new.not_before.is_some() || job.new.after_height.is_some() {
                self.held.insert(id);
            }
            if let Some(source) = &job.new.source
                && let Some(first) = self.sources.insert(source.clone(), id)
            {
                let detail = format!("source {source:?} is accepted as {first} and as {id}");
                seen = Some(Violation::new(Invariant::AcceptedOnce, detail));
            }
        }
        seen
    }

    /// The store has answered the commit of `attempt`. `stored` is the job
    /// before; `None`: it was not open.
    pub fn committed(
        &mut self,
        attempt: Attempt,
        stored: Option<&Job>,
        answer: &Committed,
    ) -> Option<Violation> {
        let Committed::Applied { jobs, cancelled } = answer else {
            return None;
        };
        let (id, number) = (attempt.job, attempt.number);
        let mut seen = None;
        match stored {
            Some(job) if job.attempt == number => {}
            Some(job) => {
                let detail = format!("attempt {number} of {id} commits, {} owns it", job.attempt);
                seen = Some(Violation::new(Invariant::CommittedOnce, detail));
            }
            None => {
                let detail = format!("attempt {number} of {id} commits, which is not open");
                seen = Some(Violation::new(Invariant::CommittedOnce, detail));
            }
        }
        self.committed += 1;
        seen.or(self.ended(id))
            .or_else(|| cancelled.iter().find_map(|id| self.ended(*id)))
            .or(self.stored(jobs))
    }

    /// A job has ended: by its commit, or because it was cancelled or dropped.
    pub fn ended(&mut self, id: JobId) -> Option<Violation> {
        if self.ended.insert(id) {
            return None;
        }
        let detail = format!("job {id} ends a second time");
        Some(Violation::new(Invariant::CommittedOnce, detail))
    }

    /// Somebody is told that a job has ended.
    pub fn told_of_end(&self, id: JobId) -> Option<Violation> {
        if self.ended.contains(&id) || self.reopened.contains(&id) {
            return None;
        }
        let detail = format!("the end of job {id} is told before the store knows it");
        Some(Violation::new(Invariant::WrittenBeforeTold, detail))
    }

    /// Somebody is told that jobs are accepted.
    pub fn told_of_acceptance(&self, jobs: &[Job]) -> Option<Violation> {
        let unknown = jobs.iter().find(|job| !self.accepted.contains(&job.id()))?;
        let detail = format!("job {} is told of before it is accepted", unknown.id());
        Some(Violation::new(Invariant::WrittenBeforeTold, detail))
    }

    /// The store has applied a write that names `epoch`, and knows `latest`.
    pub fn written(&self, epoch: Epoch, latest: Epoch) -> Option<Violation> {
        (epoch < latest).then(|| {
            let detail = format!(
                "a write of epoch {} is applied in epoch {}",
                epoch.0, latest.0
            );
            Violation::new(Invariant::DeposedWritesNothing, detail)
        })
    }

    /// A master of `epoch` assigns jobs, and the store knows `latest`.
    pub fn assigns(&self, epoch: Epoch, latest: Epoch) -> Option<Violation> {
        (epoch < latest).then(|| {
            let detail = format!(
                "a master of epoch {} assigns in epoch {}",
                epoch.0, latest.0
            );
            Violation::new(Invariant::OneMaster, detail)
        })
    }

    /// A worker starts a run.
    pub fn starts(&mut self, run: RunId, job: &Job, store: &StoreState) -> Option<Violation> {
        self.live.insert(run, job.key().to_owned());
        // An attempt that the fence keeps from committing may run: its worker
        // cannot know.
        let stored = store.job(run.job).filter(|of| of.attempt <= run.number)?;
        if stored.parked {
            let detail = format!("attempt {} of {} starts: it is parked", run.number, run.job);
            return Some(Violation::new(Invariant::ParkedRests, detail));
        }
        let seen = self
            .beside(run, job, store)
            .or_else(|| self.overtakes(stored, store));
        if self.held.contains(&run.job) {
            let last = store.last_seq();
            self.held_started.entry(run.job).or_insert(last);
        }
        seen
    }

    fn beside(&self, run: RunId, job: &Job, store: &StoreState) -> Option<Violation> {
        for (other, key) in &self.live {
            let can_commit = || {
                let stored = store.job(other.job);
                stored.is_some_and(|of| of.attempt <= other.number && !of.parked)
            };
            if *other == run || key != job.key() || !can_commit() {
                continue;
            }
            let (invariant, what) = match other.job == run.job {
                true => (Invariant::NeverTwoAtOnce, "starts while"),
                false => (Invariant::KeyAlone, "starts while, of its key,"),
            };
            let detail = format!(
                "attempt {} of {} {what} attempt {} of {} runs",
                run.number, run.job, other.number, other.job
            );
            return Some(Violation::new(invariant, detail));
        }
        None
    }

    fn overtakes(&self, job: &Job, store: &StoreState) -> Option<Violation> {
        // A job that was held, or runs again, keeps the place of its first
        // start.
        if self.held.contains(&job.id()) || job.tries > 0 {
            return None;
        }
        let earlier = store.open().take_while(|other| other.seq < job.seq);
        let mut of_key = earlier.filter(|other| other.key() == job.key());
        let overtaken = of_key.find(|other| {
            let is_behind = self.held.contains(&other.id())
                && (self.held_started.get(&other.id())).is_none_or(|last| job.seq <= *last);
            let left_the_line = other.tries > 0 && !other.kind().keeps_its_place();
            !is_behind && !left_the_line
        })?;
        let detail = format!(
            "job {} (seq {}) starts before {} (seq {}) of its key has ended",
            job.id(),
            job.seq,
            overtaken.id(),
            overtaken.seq
        );
        Some(Violation::new(Invariant::KeyInOrder, detail))
    }

    /// The store has let a run of a job of class `Once` begin.
    pub fn claimed(&mut self, id: JobId) -> Option<Violation> {
        if self.once_started.insert(id) {
            return None;
        }
        let detail = format!("job {id}, to be run once, is begun a second time");
        Some(Violation::new(Invariant::OnceStartsOnce, detail))
    }

    /// A job of class `Once` may begin again, because an operator says so or
    /// its handler has done nothing.
    pub fn unclaimed(&mut self, id: JobId) {
        self.once_started.remove(&id);
    }

    /// A run has ended, or its worker has died.
    pub fn stops(&mut self, run: RunId) {
        self.live.remove(&run);
    }

    /// Another master begins, which may learn the ledger's height later, or a
    /// clock is set back: jobs that were due may have to come due again.
    pub fn dues_forgotten(&mut self) {
        self.held_started.clear();
    }

    /// An operator runs a failed job again.
    pub fn reopened(&mut self, id: JobId) {
        self.ended.remove(&id);
        self.reopened.insert(id);
    }

    /// Checks that no job is lost. Call it after every write of the store.
    pub fn nothing_lost(&self, store: &StoreState) -> Option<Violation> {
        let (accepted, ended) = (self.accepted.len(), self.ended.len());
        let open = store.open().count();
        if accepted == ended + open {
            return None;
        }
        let detail =
            format!("{accepted} jobs were accepted, {ended} have ended and {open} are open");
        Some(Violation::new(Invariant::NothingLost, detail))
    }

    /// The final check: every job is either open or ended.
    pub fn all_accounted_for(&self, store: &StoreState) -> Option<Violation> {
        let is_open = |id: &JobId| store.job(*id).is_some();
        let wrong = |id: &&JobId| is_open(id) == self.ended.contains(*id);
        let id = self.accepted.iter().find(wrong)?;
        let detail = format!("job {id} is neither open nor ended, or both");
        Some(Violation::new(Invariant::NothingLost, detail))
    }
}
