//! The events of the dispatcher and its actions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::job::{Gauge, Job, JobId, Millis};
use crate::protocol::message::{AttemptOutcome, RunningAttempt};
use crate::store::{Release, Released};
use crate::tick;

/// One connection of one worker. A worker that reconnects gets a new one with a
/// higher number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// How long a new master, after its first worker has come, waits with jobs
    /// that an earlier master may have assigned, so that the other workers can
    /// come and claim them. Other jobs do not wait.
    pub adoption_window: Duration,
    /// How often the store is searched for jobs that nobody announced.
    pub scan_interval: Duration,
    /// How long a job waits for the announcement of its predecessor before the
    /// store is searched.
    pub gap_delay: Duration,
    /// Most jobs read from the store at once.
    pub page: usize,
    /// Most jobs whose attempts are raised at once at the start.
    pub release_batch: usize,
    /// How often the store is asked about parked jobs, because an operator may
    /// have changed them while this master could not be told.
    pub parked_interval: Duration,
    /// A gauge that has no meaning at this node and stays at 0.
    pub hidden_gauge: Option<Gauge>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            adoption_window: Duration::from_millis(500),
            scan_interval: tick::SECOND,
            gap_delay: Duration::from_millis(100),
            page: 500,
            release_batch: 256,
            // Together with the scan that follows.
            parked_interval: Duration::from_millis(9500),
            hidden_gauge: None,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// The master starts, and asks for everything that is open.
    Start,
    /// Answer to [`Action::Load`].
    Loaded {
        /// Open jobs, lowest `seq` first.
        jobs: Vec<Job>,
        /// The page was full: there may be more.
        full: bool,
    },
    /// [`Action::Load`] failed.
    LoadFailed,
    /// Jobs were accepted. A job may be announced any number of times, late,
    /// and in any order.
    Announced(Vec<Job>),
    /// The node has seen the block of this height.
    Height(u64),
    /// The era of the ledger, told before its height. Jobs that wait for a
    /// height of an earlier era wait no longer.
    Era(u64),
    /// A worker connected.
    SessionUp {
        session: SessionId,
        worker: String,
        /// Most jobs of `Pool::Run` at a time.
        run_capacity: u32,
        /// Most jobs of `Pool::Delivery` at a time.
        delivery_capacity: u32,
        /// What it still runs from an earlier session.
        running: Vec<RunningAttempt>,
    },
    /// The worker takes no more jobs.
    SessionDraining(SessionId),
    /// The connection is lost, or the worker has been silent for too long.
    SessionDown(SessionId),
    /// Jobs of a session have ended.
    Outcomes {
        session: SessionId,
        outcomes: Vec<AttemptOutcome>,
    },
    /// Answer to [`Action::Scan`].
    Scanned {
        /// `seq` and id of open jobs, lowest first.
        ids: Vec<(u64, JobId)>,
        /// The page was full: there may be more.
        full: bool,
    },
    /// [`Action::Scan`] failed.
    ScanFailed,
    /// Answer to [`Action::Fetch`]; `None`: not open.
    Fetched(Vec<(JobId, Option<Job>)>),
    /// An operator changed a job, which is open (again).
    Changed(Job),
    /// An operator ended a job.
    Gone(JobId),
    /// Operators have paused these receivers and no others: nothing more is
    /// delivered to them.
    Paused(BTreeSet<Arc<str>>),
    /// Answer to [`Action::Release`].
    Released(Vec<(JobId, Released)>),
    /// The instant of [`Action::WakeAt`] has come.
    Wake,
    /// Stop assigning jobs.
    Drain,
}

/// `Load` and `Scan` are answered by their event or its failure. `Fetch` and
/// `Release` are repeated until they succeed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// `Store::open_jobs(after, limit)`.
    Load { after: u64, limit: usize },
    /// `Store::open_ids(after, limit)`.
    Scan { after: u64, limit: usize },
    /// `Store::jobs(ids)`.
    Fetch(Vec<JobId>),
    /// `Store::release(epoch, jobs)`.
    Release(Vec<Release>),
    /// Hands jobs to a worker.
    Assign {
        session: SessionId,
        /// An empty payload is to be read from the store.
        jobs: Vec<Arc<Job>>,
    },
    /// End this session: its worker has reconnected under another one.
    Close(SessionId),
    /// Call again with [`Event::Wake`] at this instant. Replaces the previous
    /// one.
    WakeAt(Millis),
}
