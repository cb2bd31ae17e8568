//! What a worker's side of the link decides. A pure state machine: no clock, no
//! channel, no thread, so that it can be model-checked and simulated.
//!
//! What it keeps to:
//! - An attempt is run once, however often it is assigned.
//! - What has ended is told to a master, or named as running to the next one,
//!   until it has been sent.
//! - A master with a lower epoch than one seen before is refused: it was
//!   deposed, and may not know yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::job::{Attempt, Class, Epoch, Job, JobId, Pool};
use crate::mistake::{self, Mistake};
use crate::protocol::message::{
    AttemptOutcome, Chain, End, FromMaster, FromWorker, Hello, MESSAGE_JOBS, PROTOCOL_VERSION,
    RunningAttempt, light_together, size,
};

/// Most outcomes in one message.
const OUTCOME_BATCH: usize = 64;

fn size_of_outcome(outcome: &AttemptOutcome) -> usize {
    match &outcome.end {
        End::Committed {
            jobs,
            cancelled,
            callers,
            ..
        } => {
            let callers = callers.iter().map(|caller| 32 + caller.process.len());
            jobs.iter().map(size).sum::<usize>() + 32 * cancelled.len() + callers.sum::<usize>()
        }
        _ => 0,
    }
}

/// How the worker introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The node it works for.
    pub node_id: String,
    /// Unique for the life of this process.
    pub worker_id: String,
    /// Release, for operators.
    pub version: String,
    /// Most jobs of `Pool::Run` at a time.
    pub run_capacity: u32,
    /// Most jobs of `Pool::Delivery` at a time.
    pub delivery_capacity: u32,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// A master welcomes this worker.
    Connected {
        /// The master's.
        epoch: Epoch,
    },
    /// The connection is lost.
    Disconnected,
    /// A message of the master that has welcomed this worker.
    Received(FromMaster),
    /// An attempt ended on this worker.
    Finished(AttemptOutcome),
    /// An attempt that was to be run has not begun, and will not.
    NotBegun(Attempt),
    /// Take no more jobs.
    Drain,
    /// Everything that ran was stopped half-way. What may be run again is
    /// given up; what must not be is left to the dispatcher, which finds its
    /// worker lost.
    Abandoned,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Run it, and answer with [`Event::Finished`] or [`Event::NotBegun`].
    Run(Arc<Job>),
    /// News of the ledger for this process, before the jobs that follow.
    News(Chain),
    /// End the connection: this master was deposed.
    Refuse {
        /// The highest epoch seen.
        seen: Epoch,
    },
}

/// An attempt that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ongoing {
    pool: Pool,
    class: Class,
}

/// The state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Core {
    identity: Identity,
    running: BTreeMap<(JobId, u32), Ongoing>,
    /// What has ended and is not reported; bounded by the credit.
    unsent: VecDeque<(Pool, AttemptOutcome)>,
    is_connected: bool,
    is_draining: bool,
    must_tell_draining: bool,
    seen: Epoch,
}

impl Core {
    /// A worker that has met no master.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            running: BTreeMap::new(),
            unsent: VecDeque::new(),
            is_connected: false,
            is_draining: false,
            must_tell_draining: false,
            seen: Epoch(0),
        }
    }

    /// The introduction to a master. Nothing of an earlier connection may be
    /// delivered after this.
    pub fn greet(&self) -> Hello {
        let running = self
            .running
            .iter()
            .map(|((job, number), ongoing)| RunningAttempt {
                attempt: Attempt {
                    job: *job,
                    number: *number,
                },
                pool: ongoing.pool,
            });
        let unsent = self.unsent.iter().map(|(pool, outcome)| RunningAttempt {
            attempt: outcome.attempt,
            pool: *pool,
        });
        Hello {
            protocol_version: PROTOCOL_VERSION,
            node_id: self.identity.node_id.clone(),
            worker_id: self.identity.worker_id.clone(),
            version: self.identity.version.clone(),
            run_capacity: self.identity.run_capacity,
            delivery_capacity: self.identity.delivery_capacity,
            running: running.chain(unsent).collect(),
            seen: self.seen,
        }
    }

    /// Takes what happened; says what to do.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Connected { epoch } if epoch < self.seen => {
                return vec![Action::Refuse { seen: self.seen }];
            }
            Event::Connected { epoch } => {
                self.seen = epoch;
                self.is_connected = true;
                self.must_tell_draining = self.is_draining;
            }
            Event::Disconnected => self.is_connected = false,
            Event::Received(message) => return self.received(message),
            Event::Finished(outcome) => self.finished(outcome),
            Event::NotBegun(attempt) => self.ended(attempt, End::HandedBack),
            Event::Drain => {
                if !self.is_draining {
                    self.is_draining = true;
                    self.must_tell_draining = self.is_connected;
                }
            }
            Event::Abandoned => {
                let repeatable = self.running.iter();
                let repeatable: Vec<Attempt> = repeatable
                    .filter(|(_, ongoing)| ongoing.class != Class::Once)
                    .map(|((job, number), _)| Attempt {
                        job: *job,
                        number: *number,
                    })
                    .collect();
                for attempt in repeatable {
                    self.ended(attempt, End::Abandoned);
                }
            }
        }
        Vec::new()
    }

    /// The next message to the master, if there is one: it counts as sent.
    pub fn next_message(&mut self) -> Option<FromWorker> {
        if !self.is_connected {
            return None;
        }
        if std::mem::take(&mut self.must_tell_draining) {
            return Some(FromWorker::Draining);
        }
        if self.unsent.is_empty() {
            return None;
        }
        let count = self.next_count();
        let outcomes = self.unsent.drain(..count);
        let outcomes = outcomes.map(|(_, outcome)| outcome).collect();
        Some(FromWorker::Outcomes(outcomes))
    }

    /// How many outcomes fit the next message; at least one.
    fn next_count(&self) -> usize {
        let mut bytes = 0;
        let fits = |outcome: &&(Pool, AttemptOutcome)| {
            bytes += size_of_outcome(&outcome.1);
            bytes <= MESSAGE_JOBS
        };
        let fitting = self.unsent.iter().take(OUTCOME_BATCH).take_while(fits);
        fitting.count().max(1)
    }

    /// Whether [`Core::next_message`] has one.
    pub fn has_message(&self) -> bool {
        self.is_connected && (self.must_tell_draining || !self.unsent.is_empty())
    }

    /// Whether a master has taken this worker on.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// How many attempts run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// How many ended attempts are not reported.
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    fn received(&mut self, message: FromMaster) -> Vec<Action> {
        match message {
            FromMaster::Assign(jobs) => jobs
                .into_iter()
                .filter_map(|job| self.assigned(job))
                .collect(),
            FromMaster::Chain(chain) => vec![Action::News(chain)],
            // Part of the greeting, or of no concern to running jobs.
            FromMaster::Welcome { .. }
            | FromMaster::Refused { .. }
            | FromMaster::Heartbeat(_)
            | FromMaster::Answered(_)
            | FromMaster::Stopping => Vec::new(),
        }
    }

    fn assigned(&mut self, job: Arc<Job>) -> Option<Action> {
        let attempt = Attempt {
            job: job.id(),
            number: job.attempt,
        };
        let is_unsent = |(_, outcome): &(Pool, AttemptOutcome)| outcome.attempt == attempt;
        let run = (attempt.job, attempt.number);
        if self.running.contains_key(&run) || self.unsent.iter().any(is_unsent) {
            tracing::warn!(job = %attempt.job, attempt = attempt.number, "assigned twice; runs once");
            return None;
        }
        let (pool, class) = (job.kind().pool(), job.kind().class());
        self.running.insert(run, Ongoing { pool, class });
        if self.is_draining {
            self.ended(attempt, End::HandedBack);
            return None;
        }
        Some(Action::Run(job))
    }

    fn ended(&mut self, attempt: Attempt, end: End) {
        self.finished(AttemptOutcome { attempt, end });
    }

    fn finished(&mut self, mut outcome: AttemptOutcome) {
        let run = (outcome.attempt.job, outcome.attempt.number);
        let Some(ongoing) = self.running.remove(&run) else {
            return;
        };
        if let End::Committed { jobs, .. } = &mut outcome.end {
            *jobs = light_together(std::mem::take(jobs));
        }
        if !mistake::made(Mistake::OutcomeForgotten) {
            self.unsent.push_back((ongoing.pool, outcome));
        }
    }
}
