//! What happens to the dispatcher, and what it wants done about it.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{Gauge, Job, JobId, Millis};
use crate::protocol::message::{AttemptOutcome, RunningAttempt};
use crate::store::{Release, Released};
use crate::tick;

/// One connection of one worker; a worker that reconnects gets a new one.
/// Later sessions have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What can be chosen about a dispatcher.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// How long after the first worker has come to a new master the jobs that
    /// an earlier one may have assigned wait, so that the other workers can
    /// come and claim what they still run. Other jobs do not wait.
    pub adoption_window: Duration,
    /// How often the store is searched for jobs nobody announced.
    pub scan_interval: Duration,
    /// How long a job waits for the announcement of its predecessor before the
    /// store is searched for it.
    pub gap_delay: Duration,
    /// Most jobs asked of the store at once.
    pub page: usize,
    /// Most jobs loaded at the start whose attempts are raised at once.
    pub release_batch: usize,
    /// How often parked jobs are looked at in the store, where an operator may
    /// have changed them while this master could not be told.
    pub parked_interval: Duration,
    /// A gauge that means nothing at this node and stays at 0.
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
            // With the scan that follows.
            parked_interval: Duration::from_millis(9500),
            hidden_gauge: None,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// The master starts; asks for everything that is open.
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
    /// Somebody accepted these jobs. A job may be announced any number of
    /// times, late, and in any order.
    Announced(Vec<Job>),
    /// The node has seen the block of this height.
    Height(u64),
    /// Which of its histories the ledger is in, told before its height: heights
    /// that jobs of an earlier era wait for mean nothing any more.
    Era(u64),
    /// A worker connected.
    SessionUp {
        /// Its new session.
        session: SessionId,
        /// Name of the worker process.
        worker: String,
        /// Most jobs of `Pool::Run` at a time.
        run_capacity: u32,
        /// Most jobs of `Pool::Delivery` at a time.
        delivery_capacity: u32,
        /// What it still runs from an earlier session.
        running: Vec<RunningAttempt>,
    },
    /// The worker wants no more jobs.
    SessionDraining(SessionId),
    /// The connection is lost, or the worker silent for too long.
    SessionDown(SessionId),
    /// How jobs of a session ended.
    Outcomes {
        /// Who reports.
        session: SessionId,
        /// What.
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
    /// Answer to [`Action::Release`].
    Released(Vec<(JobId, Released)>),
    /// The instant of [`Action::WakeAt`] has come.
    Wake,
    /// Assign nothing any more.
    Drain,
}

/// Something to be done. `Load` and `Scan` are answered by their event or its
/// failure; `Fetch` and `Release` are repeated until they succeed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// `Store::open_jobs(after, limit)`.
    Load {
        /// Above this `seq`.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// `Store::open_ids(after, limit)`.
    Scan {
        /// Above this `seq`.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// `Store::jobs(ids)`.
    Fetch(Vec<JobId>),
    /// `Store::release(epoch, jobs)`.
    Release(Vec<Release>),
    /// Hands jobs to a worker.
    Assign {
        /// To whom.
        session: SessionId,
        /// What; an empty payload is to be read from the store.
        jobs: Vec<Arc<Job>>,
    },
    /// The worker has reconnected under another session: end this one.
    Close(SessionId),
    /// Call again with [`Event::Wake`] at this instant; replaces the one before.
    WakeAt(Millis),
}
