//! Decides what a worker's side of the link does. A pure state machine: no
//! clock, no channel, no thread, so that it can be model-checked and simulated.
//!
//! Its rules:
//! - It runs an attempt once, however often the attempt is assigned.
//! - It keeps the outcome of an attempt until it has sent it. To the next
//!   master it names such an attempt as running.
//! - It refuses a master with a lower epoch than it has seen: that master was
//!   deposed and may not know it yet.

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
pub struct WorkerIdentity {
    /// The node it works for.
    pub node_id: String,
    /// Unique for the life of this process.
    pub worker_id: String,
    /// For operators.
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
        epoch: Epoch,
    },
    /// The connection is lost.
    Disconnected,
    /// A message of the master that has welcomed this worker.
    Received(FromMaster),
    Finished(AttemptOutcome),
    /// An attempt has not begun and never will.
    NotBegun(Attempt),
    /// Stop taking jobs.
    Drain,
    /// Everything that ran was stopped half-way. The link gives up what may run
    /// again. The dispatcher judges the rest when it finds this worker lost.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ongoing {
    pool: Pool,
    class: Class,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Core {
    identity: WorkerIdentity,
    running: BTreeMap<(JobId, u32), Ongoing>,
    /// Outcomes that are not reported yet. The credit bounds it.
    unsent: VecDeque<(Pool, AttemptOutcome)>,
    is_connected: bool,
    is_draining: bool,
    must_tell_draining: bool,
    seen: Epoch,
}

impl Core {
    /// A worker that has met no master.
    pub fn new(identity: WorkerIdentity) -> Self {
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

    /// Introduces the worker to a master. Nothing of an earlier connection may
    /// be delivered after this.
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

    /// Takes an event and returns what to do.
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

    /// The next message to the master, if there is one. It counts as sent.
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

    /// How many outcomes fit into the next message: at least one.
    fn next_count(&self) -> usize {
        let mut bytes = 0;
        let fits = |outcome: &&(Pool, AttemptOutcome)| {
            bytes += size_of_outcome(&outcome.1);
            bytes <= MESSAGE_JOBS
        };
        let fitting = self.unsent.iter().take(OUTCOME_BATCH).take_while(fits);
        fitting.count().max(1)
    }

    pub fn has_message(&self) -> bool {
        self.is_connected && (self.must_tell_draining || !self.unsent.is_empty())
    }

    /// Whether a master has taken this worker on.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// How many attempts are running.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// How many outcomes are not reported yet.
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
