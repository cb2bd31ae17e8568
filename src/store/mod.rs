//! Where jobs and state are stored. One trait, three engines: `redis`,
//! `embedded` (redb) and `remote` (a worker's access to its master's embedded
//! store). All of them pass the suite in `tests/conformance`.

pub mod embedded;
pub mod open;
mod operation;
mod record;
pub mod redis;
pub mod remote;
pub mod semantics;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use operation::{Audited, LastError, Operated, Operation, OperatorAction, Was};

use crate::job::{
    Attempt, Column, Commit, Epoch, Guard, Job, JobId, Millis, NewJob, Row, Table, Write,
};

/// How long a source is remembered after it was accepted. Longer than any
/// sender repeats a message (11 minutes for the message queue), and short
/// enough that sources do not dominate a busy node's store.
pub const SOURCE_RETENTION: Duration = Duration::from_secs(30 * 60);

/// Most bytes of records in one page of [`Store::open_jobs`], [`Store::jobs`]
/// or [`Store::failed_jobs`].
pub const PAGE_BYTES: u64 = 16 * 1024 * 1024;

/// Most bytes of one [`Store::accept`] or [`Store::commit`] that has to travel
/// to Redis or to the master with the file.
pub const LARGEST_WRITE: usize = 256 * 1024 * 1024;

/// Strikes in a row after which a job is parked.
pub const MAX_STRIKES: u32 = 5;

/// Most recorded operations of operators; older ones are dropped.
pub const AUDIT_KEPT: usize = 10_000;

/// How many failed jobs are kept for operators. The oldest are dropped first
/// (and counted in `erawan_failed_jobs_dropped_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedLimits {
    pub jobs: u64,
    /// At most this many bytes, but at least one job.
    pub bytes: u64,
}

impl Default for FailedLimits {
    fn default() -> Self {
        Self {
            jobs: 100_000,
            bytes: 256 * 1024 * 1024,
        }
    }
}

/// Counts failed jobs that were dropped to keep within [`FailedLimits`].
fn note_dropped(failed_jobs: u64) {
    if failed_jobs > 0 {
        metrics::counter!("erawan_failed_jobs_dropped_total").increment(failed_jobs);
        tracing::warn!(failed_jobs, "dropped the oldest failed jobs to make room");
    }
}

/// State, jobs and conditions that are accepted together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Accept {
    /// All must hold.
    pub guards: Vec<Guard>,
    /// A job is left out if its source is known already or its id is open.
    pub jobs: Vec<NewJob>,
    /// In order; made even if all jobs are left out.
    pub writes: Vec<Write>,
    /// Set by a master; checked before the guards.
    pub epoch: Option<Epoch>,
}

/// The result of an [`Accept`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Accepted {
    /// The accepted jobs are stored; `duplicates` were left out.
    Stored {
        /// In the order given.
        jobs: Vec<Job>,
        /// Jobs that were left out because their source was accepted before, or
        /// because they are open already (an accept that was sent again).
        duplicates: Vec<JobId>,
    },
    /// A guard did not hold, and nothing was stored.
    Refused {
        /// Index of the first guard that did not hold.
        guard: usize,
    },
}

/// The result of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Committed {
    Applied {
        /// The follow-up jobs without duplicates (see [`Accepted`]).
        jobs: Vec<Job>,
        /// The cancelled jobs that were open.
        cancelled: Vec<JobId>,
    },
    /// Refused: the job has ended, or another attempt owns it.
    Fenced,
}

/// An attempt to give up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Release {
    pub job: JobId,
    /// Why it counts against the job. `None` if the job may never have started,
    /// or if only its master was lost.
    pub strike: Option<String>,
}

/// The result of giving up a job's attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Released {
    /// Still open, parked or not, with this attempt now.
    Open { attempt: u32 },
    /// It had ended: committed before its worker was lost.
    Ended,
}

/// The result of a strike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Struck {
    /// It will run again.
    Rescheduled {
        tries: u32,
        /// Its strikes in a row.
        strikes: u32,
    },
    /// It must not run before an operator has decided.
    Parked,
    /// Refused: the job has ended or is parked, or another attempt owns it.
    Fenced,
}

/// A job that ended as failed, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FailedJob {
    pub job: Job,
    pub reason: String,
    pub failed_at: Millis,
}

/// How many jobs are open, parked and failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Accepted and not ended.
    pub open: u64,
    /// Size of their records.
    pub open_bytes: u64,
    /// How many of them wait for an operator.
    pub parked: u64,
    /// Ended as failed and kept for operators.
    pub failed: u64,
}

/// The answer to a question for mastership.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lease {
    /// It is ours until `ttl` from now.
    Held {
        /// Higher than every earlier epoch that the store remembers.
        epoch: Epoch,
    },
    /// Another process has it.
    HeldBy {
        holder: String,
        /// Remaining time.
        remaining: Duration,
    },
}

/// Why a store operation failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum StoreError {
    /// The store cannot be reached or cannot write now (down, full, read-only).
    /// Try later. The operation may have been applied.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// The caller's epoch is not the latest, so it is no longer the master.
    #[error("deposed: a later master exists (epoch {current:?})")]
    Deposed {
        /// The latest epoch.
        current: Epoch,
    },
    /// Stored bytes cannot be decoded.
    #[error("store holds something unreadable: {0}")]
    Corrupt(String),
    /// A value to be written or read is too large for this store
    /// ([`LARGEST_WRITE`]). Asking again does not help.
    #[error("too large for the store: {0}")]
    TooLarge(String),
}

impl StoreError {
    /// Names the row in which unreadable bytes were found.
    fn in_row(self, table: Table, row: &str) -> Self {
        match self {
            Self::Corrupt(what) => Self::Corrupt(format!("{} {row}: {what}", table.name())),
            other => other,
        }
    }
}

/// Reads state. Handlers may do nothing else with the store.
#[async_trait]
pub trait State: Send + Sync {
    /// One column of a row.
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// All columns of a row in byte order of their names; empty if the row is
    /// absent.
    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError>;

    /// Column `""` of many rows, in the order asked. An unreadable one is
    /// returned empty, so that the others can still be read.
    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Names of all rows that start with `prefix`, in any order. For rare
    /// operations only: it walks the table (in Redis, all keys, unless the
    /// table has an index). Rows that are created or deleted meanwhile may or
    /// may not be included.
    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError>;
}

/// Jobs and state of one node.
#[async_trait]
pub trait Store: State {
    /// Stores jobs and state together. Atomic; durable when it returns.
    ///
    /// If it returns [`StoreError::Unavailable`], it may have been applied.
    /// When it is sent again, jobs that are open or have a known source are
    /// duplicates, but its own `Absent` guard refuses it.
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError>;

    /// Applies a handler's commit and ends its job, if `attempt` still owns it.
    /// Atomic; durable when it returns. A second commit with the same attempt
    /// is `Fenced`; so is one that is sent again because its answer was lost.
    ///
    /// In this order: the job ends, writes, cancels, follow-up jobs. So no
    /// follow-up job has its maker or a cancelled job for `prev`, and a commit
    /// does not cancel a job of its own.
    ///
    /// An attempt owns a job if its number is not lower than the stored one and
    /// the job is not parked.
    async fn commit(&self, attempt: Attempt, commit: Arc<Commit>) -> Result<Committed, StoreError>;

    /// Keeps an open job for later, because its handler wants to try again:
    /// sets `not_before`, adds one to `tries`, keeps `reason` as the last
    /// error, resets the strikes and gives up a claim. False if the attempt no
    /// longer owns the job. The job keeps its place: later jobs have it for
    /// `prev`.
    async fn reschedule(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<bool, StoreError>;

    /// Records a panic of the handler: one more strike, with `reason` as the
    /// last error. Parks the job at its last allowed strike ([`MAX_STRIKES`]),
    /// or if it is claimed, because nobody knows what it did. Otherwise
    /// reschedules it.
    async fn strike(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<Struck, StoreError>;

    /// Parks a job that cannot run at all, because its payload, or state that
    /// it writes to, is unreadable. False if the attempt no longer owns it.
    async fn park(&self, attempt: Attempt, reason: &str) -> Result<bool, StoreError>;

    /// Gives up the attempts of a lost worker: raises the attempt of each job
    /// that is still open, and parks it if it has too many strikes or is
    /// claimed (its outcome is unknown). Returns results in the order asked.
    async fn release(&self, epoch: Epoch, jobs: &[Release]) -> Result<Vec<Released>, StoreError>;

    /// Marks a job of class `Once` as started by this attempt. False if any
    /// attempt claimed it before, or this attempt no longer owns it.
    async fn claim(&self, attempt: Attempt) -> Result<bool, StoreError>;

    /// Does what an operator decided about a parked or failed job, and records
    /// it. A retry raises the attempt. A failed job is accepted again, behind
    /// the open jobs of its key, with as much time to its deadline as it had. A
    /// retry of a rescheduled job that still waits only ends its wait.
    async fn operate(&self, operation: Operation) -> Result<Operated, StoreError>;

    /// The latest `limit` operations of operators, oldest first, out of the
    /// [`AUDIT_KEPT`] that are kept.
    async fn audit(&self, limit: usize) -> Result<Vec<Audited>, StoreError>;

    /// Why these open jobs last failed; `None` for those that did not.
    async fn last_errors(&self, ids: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError>;

    /// Ids of parked jobs, oldest first, at most `limit`.
    async fn parked_ids(&self, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// Open jobs with `seq > after`, lowest first, at most `limit`. Fewer if
    /// they are large ([`PAGE_BYTES`]), but none only if there are none. A job
    /// whose record is lost or unreadable appears as a parked job of
    /// [`crate::job::Kind::UNREADABLE`].
    async fn open_jobs(&self, after: u64, limit: usize) -> Result<Vec<Job>, StoreError>;

    /// `seq` and id of open jobs with `seq > after`, lowest first, at most
    /// `limit`. The dispatcher compares them with the jobs that it knows.
    async fn open_ids(&self, after: u64, limit: usize) -> Result<Vec<(u64, JobId)>, StoreError>;

    /// The first of these jobs, in the order asked; `None` for those that are
    /// not open. Fewer than asked if they are large ([`PAGE_BYTES`]), but none
    /// only if none are asked for. Unreadable ones as in [`Store::open_jobs`].
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, StoreError>;

    /// Failed jobs with a place above `after` in the order of failing, lowest
    /// first, at most `limit`. Fewer if they are large ([`PAGE_BYTES`]), but
    /// none only if there are none. No place is given twice; those of dropped
    /// jobs stay empty.
    async fn failed_jobs(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FailedJob)>, StoreError>;

    /// A failed job that is kept; `None` if there is none.
    async fn failed_job(&self, id: JobId) -> Result<Option<FailedJob>, StoreError>;

    /// Whether each of these sources is remembered, in the order asked.
    /// [`Store::accept`] would leave out a job with a remembered source.
    async fn known_sources(&self, sources: &[String]) -> Result<Vec<bool>, StoreError>;

    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Asks for mastership, or renews it, for `ttl`. A holder that asks again
    /// keeps its epoch, even after its lease ran out, if nobody took it
    /// meanwhile and so nobody else was master. The exception is a store that
    /// was interrupted meanwhile and may have forgotten something: the holder's
    /// knowledge is worthless then. Every change of holder raises the epoch,
    /// also above `above`. That needs a lease that was given up or ran out: a
    /// process that was refused with an epoch which this store has forgotten
    /// asks for a higher one.
    ///
    /// Measured by the store's clock. A lease that ends later than `ttl` from
    /// now comes from a clock that has been set back since, and counts as run
    /// out. Two masters may then overlap, which the epoch makes harmless.
    ///
    /// The embedded store also ends a lease when it is opened: the former
    /// holder had the file and is gone.
    async fn acquire_lease(
        &self,
        holder: &str,
        ttl: Duration,
        above: Epoch,
    ) -> Result<Lease, StoreError>;

    /// Gives mastership up, if `holder` has it.
    async fn release_lease(&self, holder: &str) -> Result<(), StoreError>;

    /// Whether the store answers and accepts writes. Tries an invisible write,
    /// unless another write has just succeeded.
    async fn ping(&self) -> Result<(), StoreError>;

    /// How often the store knew less than it had acknowledged to this process.
    /// Only a server of others forgets.
    fn setbacks(&self) -> u64 {
        0
    }
}

/// A store shared by the actors of a process.
pub type SharedStore = Arc<dyn Store>;
