//! Decides for the dispatcher. A pure state machine: events in, actions out; no
//! clock, no I/O, no randomness, so that it can be model-checked and simulated.
//!
//! Its rules:
//! - It assigns a job only when nothing of its key runs and its predecessor has
//!   ended.
//! - It assigns an attempt once. Before a job can run anywhere else, its
//!   attempt is raised in the store (`Release`), which fences the old one. That
//!   includes jobs that were open when the master started: another master may
//!   have assigned them, so each is either claimed by a worker that reconnects
//!   (adopted) or raised before it is assigned.
//! - Only the loss of a worker's session counts against the jobs it was running
//!   (a strike). The loss of a master, or the reconnection of a living worker,
//!   says nothing about them.
//! - The store is right. Announcements and outcomes only bring its news sooner.
//!   Where one may be missing, the store is asked.

mod answers;
mod dispatch;
mod holders;
mod operators;
mod outcomes;
mod start;

use std::collections::{BTreeMap, HashMap};

use crate::job::{Job, JobId, Kind, Millis, Pool};
use crate::protocol::Dormant;
use crate::store::Release;

use super::ended::Ended;
use super::event::{Action, Event, Options, SessionId};
use super::parked::ParkedLook;
use super::queue::{Phase, Queue};
use super::scan::{self, Scan};
use super::sessions::Sessions;
use super::snapshot::{Overview, SessionSnapshot, Snapshot};
use super::tally::Tally;

/// How many parked jobs a snapshot names.
const PARKED_SHOWN: usize = 100;
/// How many receivers an overview names.
const RECEIVERS_SHOWN: usize = 200;

/// How far the start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// Before `Start`.
    Created,
    /// Reading open jobs from the store.
    Loading,
    /// The store did not answer. Ask again at this instant.
    LoadingAgain(Millis),
    /// Waits for workers to claim what they run; ends at this instant once a
    /// worker is there. Jobs that nobody can be running are assigned meanwhile.
    Adopting(Option<Millis>),
    /// Everything is assigned.
    Running,
}

/// What the store is being asked about a job that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    /// Its attempt is being raised.
    Releasing,
    /// It has this attempt now, and is being read.
    Reading(u32),
    /// It was given up, ended as failed, and was accepted again. The answer on
    /// its way is about its earlier life.
    Overtaken,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Core {
    options: Options,
    stage: Stage,
    draining: bool,
    queue: Queue,
    sessions: Sessions,
    /// Attempts that workers claim to run, of jobs that are not known yet.
    claims: BTreeMap<JobId, (SessionId, u32)>,
    /// Given-up jobs the store is being asked about, known or not.
    unsettled: BTreeMap<JobId, Asked>,
    scan: Scan,
    parked_look: ParkedLook,
    wake_at: Option<Millis>,
    stale_outcomes: u64,
    ended: Ended,
}

impl Core {
    /// Knows nothing yet; give it [`Event::Start`] first.
    pub fn new(options: Options) -> Self {
        Self {
            stage: Stage::Created,
            draining: false,
            queue: Queue::default(),
            sessions: Sessions::default(),
            claims: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            scan: Scan::default(),
            parked_look: ParkedLook::default(),
            wake_at: None,
            stale_outcomes: 0,
            ended: Ended::default(),
            options,
        }
    }

    /// Takes an event and returns what to do. `now` may run backwards after a
    /// clock correction; then a job may come due late, nothing else.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Action> {
        let mut step = Step {
            now,
            actions: Vec::new(),
            release: Vec::new(),
        };
        self.take(&mut step, event);
        self.queue.pass_time(now);
        self.move_on(&mut step);
        self.dispatch(&mut step);
        self.start_scan(&mut step);
        self.look_at_parked(&mut step);
        self.release(&mut step);
        self.set_wake(&mut step);
        step.actions
    }

    /// What operators and metrics see.
    /// When the oldest job of each kind was accepted that is neither held nor
    /// parked.
    pub fn oldest_by_kind(&self) -> HashMap<Kind, Millis> {
        self.queue.oldest_by_kind()
    }

    pub fn snapshot(&self, now: Millis) -> Snapshot {
        Snapshot {
            running: self.stage == Stage::Running,
            jobs: self.queue.counts(),
            oldest: self
                .queue
                .oldest_active()
                .map(|job| job.accepted_at.until(now)),
            sessions: self
                .sessions
                .iter()
                .map(|(id, session)| SessionSnapshot {
                    session: id,
                    worker: session.worker.clone(),
                    run: session.load(Pool::Run),
                    delivery: session.load(Pool::Delivery),
                    draining: session.draining,
                })
                .collect(),
            parked: self
                .queue
                .parked(0)
                .map(|(_, id)| id)
                .take(PARKED_SHOWN)
                .collect(),
            stale_outcomes: self.stale_outcomes,
            complete_seq: self.queue.horizon().complete(),
            height: self.queue.height(),
        }
    }

    /// The same, with more of the queue.
    pub fn overview(&self, now: Millis) -> Overview {
        Overview {
            snapshot: self.snapshot(now),
            kinds: self.queue.kinds(),
            receivers: self.queue.receivers(RECEIVERS_SHOWN),
        }
    }

    /// A known open job.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.queue.find(id).map(|(_, entry)| &**entry.job())
    }

    /// Parked jobs with `seq > after`, oldest first.
    pub fn parked(&self, after: u64, limit: usize) -> Vec<(u64, JobId)> {
        self.queue.parked(after).take(limit).collect()
    }

    /// Whether a scan waits for an answer of the store.
    pub fn is_scanning(&self) -> bool {
        self.scan.stage != scan::ScanStage::Idle
    }

    /// Counts the open work for operators.
    pub(crate) fn tally(&self) -> Tally {
        self.queue.tally()
    }

    /// How many open jobs no worker can end now; `None` until all open jobs are
    /// known.
    pub(crate) fn dormant(&self) -> Option<Dormant> {
        let (all, dormant) = (self.queue.all(), self.queue.dormant());
        self.is_open().then_some(Dormant {
            jobs: dormant.jobs,
            bytes: dormant.bytes,
            unsized_jobs: dormant.unsized_jobs,
            known_bytes: all.bytes,
            known_unsized_jobs: all.unsized_jobs,
        })
    }

    pub fn is_parked(&self, id: JobId) -> bool {
        let found = self.queue.find(id);
        found.is_some_and(|(_, entry)| entry.phase() == Phase::Parked)
    }

    fn take(&mut self, step: &mut Step, event: Event) {
        match event {
            Event::Start => self.load(step),
            Event::Loaded { jobs, full } => self.loaded(step, jobs, full),
            Event::LoadFailed => self.load_later(step),
            Event::Announced(jobs) => {
                for job in jobs {
                    self.learn(step, job);
                }
            }
            Event::Height(height) => self.queue.pass_height(height, step.now),
            Event::Era(era) => self.queue.enter_era(era, step.now),
            Event::SessionUp {
                session,
                worker,
                run_capacity,
                delivery_capacity,
                running,
            } => {
                let capacities = [run_capacity, delivery_capacity];
                self.session_up(step, session, worker, capacities, running);
            }
            Event::SessionDraining(session) => {
                self.sessions.drain(session);
                self.share_credit();
            }
            Event::SessionDown(session) => self.session_down(step, session, true),
            Event::Outcomes { session, outcomes } => {
                for outcome in outcomes {
                    self.outcome(step, session, outcome);
                }
            }
            Event::Scanned { ids, full } => self.scanned(step, ids, full),
            Event::ScanFailed => {
                if let scan::ScanStage::Asked { .. } = self.scan.stage {
                    self.scan.stage = scan::ScanStage::Idle;
                }
            }
            Event::Fetched(found) => {
                for (id, job) in found {
                    self.fetched(step, id, job);
                }
            }
            Event::Released(released) => self.released(step, released),
            Event::Changed(job) => self.changed(step, job),
            Event::Gone(id) => self.gone(step, id),
            Event::Paused(receivers) => self.queue.pause(receivers),
            Event::Wake => self.wake_at = None,
            Event::Drain => self.draining = true,
        }
    }
}

/// The consequences of one event.
struct Step {
    now: Millis,
    actions: Vec<Action>,
    release: Vec<Release>,
}
