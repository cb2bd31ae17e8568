//! Calls of processes to the store. A call is made, done and answered, each at
//! its own time, and each step may fail. What was done stays done, even if its
//! answer is lost or its caller is dead by then.

use crate::actors::mastership::LEASE;
use crate::dispatch::{Action, Event};
use crate::job::{Attempt, Commit, Epoch, Millis};
use crate::store::{Accept, Accepted, Committed, Lease, Operated, Operation, StoreError, Struck};

use super::choice::{CallNo, JobPlan, SimulatedProcess};
use super::fault::Fault;
use super::world::World;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Ask {
    /// `acquire_lease`, asked at this instant, for an epoch above this one.
    Lease(Millis, Epoch),
    /// `release_lease`.
    GiveUp,
    /// A question of a dispatcher.
    Queue(Action),
    Accept(Accept, JobPlan),
    Claim(Attempt),
    Commit(Attempt, Commit),
    Reschedule(Attempt, Millis),
    Strike(Attempt, Millis),
    Operate(Operation),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum StoreAnswer {
    Lease(Lease),
    GivenUp,
    Queue(Event),
    Accepted(Accepted),
    Claimed(bool),
    Committed(Committed),
    /// When it is due, and how often it was rescheduled; `None`: fenced.
    Rescheduled(Option<(Millis, u32)>),
    Struck(Struck, Millis),
    Operated(Operated),
    /// The store did not answer. It may have done what it was asked.
    Failed,
    /// The store knows a later master.
    Deposed(Epoch),
}

/// The caller, more exactly than its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StoreClient {
    /// The life of the process.
    pub(super) life: u64,
    /// A master's candidacy within that life.
    pub(super) candidacy: u64,
    /// The epoch of a master.
    pub(super) epoch: Option<Epoch>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct StoreCall {
    pub(super) by: StoreClient,
    ask: Ask,
    answer: Option<StoreAnswer>,
}

impl StoreCall {
    pub(super) fn is_answered(&self) -> bool {
        self.answer.is_some()
    }

    pub(super) fn is_about_lease(&self) -> bool {
        matches!(self.ask, Ask::Lease(..) | Ask::GiveUp)
    }
}

impl World {
    /// A process calls the store.
    pub(super) fn ask(&mut self, by: SimulatedProcess, ask: Ask) {
        let mut no = CallNo(by, 0);
        while self.calls.contains_key(&no) {
            no.1 += 1;
        }
        let call = StoreCall {
            by: self.caller(by),
            ask,
            answer: None,
        };
        self.calls.insert(no, call);
    }

    /// Whether nobody will ever read the answer.
    fn is_orphan(&self, CallNo(process, _): CallNo, call: &StoreCall) -> bool {
        let now = self.caller(process);
        now.life != call.by.life || now.candidacy != call.by.candidacy
    }

    /// The store performs a call.
    pub(super) fn work(&mut self, no: CallNo) {
        let Some(mut call) = self.calls.remove(&no) else {
            return;
        };
        let answer = self.perform(no.0, &call);
        if self.is_orphan(no, &call) {
            self.figures.count(Fault::WriteOutlivesWriter);
            return;
        }
        call.answer = Some(answer);
        self.calls.insert(no, call);
    }

    /// The store fails a call without performing it.
    pub(super) fn fail(&mut self, no: CallNo) {
        self.figures.count(Fault::StoreFails);
        if let Some(call) = self.calls.get_mut(&no) {
            call.answer = Some(StoreAnswer::Failed);
        }
    }

    /// The store has performed a call, and its answer is lost.
    pub(super) fn lose_answer(&mut self, no: CallNo) {
        self.figures.count(Fault::AnswerLost);
        if let Some(call) = self.calls.get_mut(&no) {
            call.answer = Some(StoreAnswer::Failed);
        }
    }

    /// The answer arrives.
    pub(super) fn answer(&mut self, no: CallNo) {
        let Some(mut call) = self.calls.remove(&no) else {
            return;
        };
        let Some(answer) = call.answer.take() else {
            return;
        };
        if self.is_orphan(no, &call) {
            return;
        }
        match no.0 {
            SimulatedProcess::Master(index) => {
                self.master_answered(index, call.by, call.ask, answer)
            }
            SimulatedProcess::Worker(index) => self.worker_answered(index, call.ask, answer),
        }
    }

    /// The answer arrives at once, if the caller is up and not paused.
    pub fn answer_if_heard(&mut self, no: CallNo) {
        if self.is_running(no.0) {
            self.answer(no);
        }
    }

    fn perform(&mut self, by: SimulatedProcess, call: &StoreCall) -> StoreAnswer {
        let now = self.now;
        let latest = self.store.epoch();
        let answer = match &call.ask {
            Ask::Lease(_, above) => {
                let holder = holder(by, call.by);
                let lease = self.store.acquire_lease(now, &holder, LEASE, *above);
                StoreAnswer::Lease(lease)
            }
            Ask::GiveUp => {
                let holder = holder(by, call.by);
                self.store.release_lease(&holder);
                StoreAnswer::GivenUp
            }
            Ask::Queue(action) => match self.look_up(call.by.epoch, action) {
                Ok(event) => StoreAnswer::Queue(event),
                Err(error) => failed(&error),
            },
            Ask::Accept(accept, _) => match self.store.accept(now, accept.clone()) {
                Ok(accepted) => {
                    let seen = self.history.accepted(&accepted);
                    self.found(seen);
                    StoreAnswer::Accepted(accepted)
                }
                Err(error) => failed(&error),
            },
            Ask::Claim(attempt) => {
                let claimed = self.store.claim(*attempt);
                if claimed {
                    let seen = self.history.claimed(attempt.job);
                    self.found(seen);
                }
                StoreAnswer::Claimed(claimed)
            }
            Ask::Commit(attempt, commit) => {
                let before = self.store.job(attempt.job).cloned();
                let committed = self.store.commit(now, *attempt, commit.clone());
                if committed == Committed::Fenced {
                    self.figures.count(Fault::CommitFenced);
                }
                let seen = (self.history).committed(*attempt, before.as_ref(), &committed);
                self.found(seen);
                StoreAnswer::Committed(committed)
            }
            Ask::Reschedule(attempt, not_before) => {
                let is_kept = self.store.reschedule(now, *attempt, *not_before, "again");
                if is_kept {
                    self.history.unclaimed(attempt.job);
                }
                let tries = self.store.job(attempt.job).map(|job| job.tries);
                let tries = tries.filter(|_| is_kept);
                StoreAnswer::Rescheduled(tries.map(|tries| (*not_before, tries)))
            }
            Ask::Strike(attempt, not_before) => {
                let struck = self.store.strike(now, *attempt, *not_before, "panicked");
                if struck == Struck::Parked {
                    self.figures.parked += 1;
                }
                StoreAnswer::Struck(struck, *not_before)
            }
            Ask::Operate(operation) => self.operate(operation),
        };
        if let (Some(epoch), true) = (call.by.epoch, is_write(&call.ask)) {
            match answer {
                StoreAnswer::Deposed(_) => self.figures.count(Fault::WriteOfDeposed),
                _ => {
                    let seen = self.history.written(epoch, latest);
                    self.found(seen);
                }
            }
        }
        if !matches!(call.ask, Ask::Lease(..)) {
            let seen = self.history.nothing_lost(&self.store);
            self.found(seen);
        }
        answer
    }

    fn operate(&mut self, operation: &Operation) -> StoreAnswer {
        let was = self.store.job(operation.job);
        let (was_open, was_waiting) = (was.is_some(), was.is_some_and(|job| !job.parked));
        let operated = self.store.operate(operation.clone());
        match &operated {
            Operated::Open(job) => {
                self.figures.operations += 1;
                if !was_waiting {
                    self.history.unclaimed(job.id());
                }
                if !was_open {
                    self.history.reopened(job.id());
                }
            }
            Operated::Ended => {
                self.figures.operations += 1;
                if was_open {
                    let seen = self.history.ended(operation.job);
                    self.found(seen);
                }
            }
            Operated::NotFound | Operated::Refused(_) => {}
        }
        StoreAnswer::Operated(operated)
    }

    fn look_up(&mut self, epoch: Option<Epoch>, action: &Action) -> Result<Event, StoreError> {
        let store = &mut self.store;
        Ok(match action {
            Action::Load { after, limit } => {
                let jobs = store.open_jobs(*after, *limit);
                let full = !jobs.is_empty();
                Event::Loaded { jobs, full }
            }
            Action::Scan { after, limit } => {
                let ids = store.open_ids(*after, *limit);
                let full = ids.len() >= *limit;
                Event::Scanned { ids, full }
            }
            Action::Fetch(ids) => {
                let jobs = store.jobs(ids);
                Event::Fetched(ids.iter().copied().zip(jobs).collect())
            }
            Action::Release(releases) => {
                let was_parked = store.counts().parked;
                let epoch = epoch.unwrap_or_default();
                let released = store.release(self.now, epoch, releases)?;
                self.figures.parked += store.counts().parked - was_parked;
                let ids = releases.iter().map(|release| release.job);
                Event::Released(ids.zip(released).collect())
            }
            // Never sent to the store.
            Action::Assign { .. } | Action::Close(_) | Action::WakeAt(_) => Event::ScanFailed,
        })
    }
}

/// A name that was never used before, as in production.
fn holder(process: SimulatedProcess, by: StoreClient) -> String {
    format!("{process:?}.{}.{}", by.life, by.candidacy)
}

fn failed(error: &StoreError) -> StoreAnswer {
    match error {
        StoreError::Deposed { current } => StoreAnswer::Deposed(*current),
        _ => StoreAnswer::Failed,
    }
}

fn is_write(ask: &Ask) -> bool {
    match ask {
        Ask::Queue(action) => matches!(action, Action::Release(_)),
        Ask::Accept(..) => true,
        _ => false,
    }
}
