//! Where jobs and state live. One trait, three engines: `redis`, `embedded`
//! (redb) and `remote` (a worker's view of its master's embedded store). All of
//! them pass the suite in `tests/conformance`.

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
/// sender goes on repeating itself (11 minutes for the message queue), and short
/// enough that a busy node's store is not mostly sources.
pub const SOURCE_RETENTION: Duration = Duration::from_secs(30 * 60);

/// The most bytes of records in one page of [`Store::open_jobs`],
/// [`Store::jobs`] or [`Store::failed_jobs`].
pub const PAGE_BYTES: u64 = 16 * 1024 * 1024;

/// The most bytes of one [`Store::accept`] or [`Store::commit`], where it has to
/// travel: to Redis, or to the master whose file it is.
pub const LARGEST_WRITE: usize = 256 * 1024 * 1024;

/// A job that panicked, or lost its worker, so often in a row is parked for an
/// operator.
pub const MAX_STRIKES: u32 = 5;

/// Operations of operators kept in the record of them; older ones are dropped.
pub const AUDIT_KEPT: usize = 10_000;

/// How many failed jobs are kept for operators; the oldest are dropped first
/// (and counted in `erawan_failed_jobs_dropped_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedLimits {
    /// At most this many.
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

/// State, jobs and conditions to be accepted together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Accept {
    /// All must hold.
    pub guards: Vec<Guard>,
    /// Jobs; those whose source is known already, or whose id is open, are
    /// left out.
    pub jobs: Vec<NewJob>,
    /// State changes, in order; made even if all jobs are left out.
    pub writes: Vec<Write>,
    /// Set by a master; looked at before the guards.
    pub epoch: Option<Epoch>,
}

/// What became of an [`Accept`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Accepted {
    /// Stored. The accepted jobs; `duplicates` were left out.
    Stored {
        /// As stored, in the order given.
        jobs: Vec<Job>,
        /// Jobs left out because their source was accepted before, or because
        /// they are open already (an accept that was sent again).
        duplicates: Vec<JobId>,
    },
    /// A guard did not hold; nothing was stored.
    Refused {
        /// Index of the first guard that did not hold.
        guard: usize,
    },
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Committed {
    /// Applied.
    Applied {
        /// The follow-up jobs as stored (duplicates left out, see [`Accepted`]).
        jobs: Vec<Job>,
        /// The cancelled jobs that were open.
        cancelled: Vec<JobId>,
    },
    /// Refused: the job has ended, or another attempt owns it.
    Fenced,
}

/// An attempt to be given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Release {
    /// Of which job.
    pub job: JobId,
    /// Why it counts against the job; `None` if the job may well never have
    /// been started, or nobody but its master was lost.
    pub strike: Option<String>,
}

/// What became of a job whose worker was given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Released {
    /// Still open, parked or not; now with this attempt number.
    Open {
        /// The new, higher attempt.
        attempt: u32,
    },
    /// It had ended (committed before its worker was lost).
    Ended,
}

/// What became of a job that panicked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Struck {
    /// It is run again.
    Rescheduled {
        /// How often it was rescheduled now.
        tries: u32,
        /// How often it was struck in a row now.
        strikes: u32,
    },
    /// Not before an operator has decided.
    Parked,
    /// Refused: the job has ended or is parked, or another attempt owns it.
    Fenced,
}

/// A job that ended as failed, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FailedJob {
    /// The job.
    pub job: Job,
    /// Why.
    pub reason: String,
    /// When.
    pub failed_at: Millis,
}

/// How many jobs of which kind are open, and how many failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Accepted and not ended.
    pub open: u64,
    /// Size of their records.
    pub open_bytes: u64,
    /// Those of them that wait for an operator.
    pub parked: u64,
    /// Ended as failed and kept for operators.
    pub failed: u64,
}

/// Result of asking for mastership.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lease {
    /// Ours until `ttl` from now.
    Held {
        /// Higher than every epoch before that the store remembers.
        epoch: Epoch,
    },
    /// Somebody else's.
    HeldBy {
        /// The holder's name.
        holder: String,
        /// Remaining time.
        remaining: Duration,
    },
}

/// Why a store did not answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum StoreError {
    /// Cannot be reached or cannot write now (down, full, read-only); try later.
    /// The operation may or may not have been applied.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// The caller's epoch is not the latest: it is no longer the master.
    #[error("deposed: a later master exists (epoch {current:?})")]
    Deposed {
        /// The latest epoch.
        current: Epoch,
    },
    /// What is stored cannot be understood.
    #[error("store holds something unreadable: {0}")]
    Corrupt(String),
    /// What was to be written, or was asked for, is larger than this store
    /// carries ([`LARGEST_WRITE`]). Asking again does not help.
    #[error("too large for the store: {0}")]
    TooLarge(String),
}

impl StoreError {
    /// Names the row that something unreadable was met in.
    fn in_row(self, table: Table, row: &str) -> Self {
        match self {
            Self::Corrupt(what) => Self::Corrupt(format!("{} {row}: {what}", table.name())),
            other => other,
        }
    }
}

/// Reads of state; all a handler may do with the store.
#[async_trait]
pub trait State: Send + Sync {
    /// One column of a row.
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// All columns of a row in byte order of their names; empty if absent.
    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError>;

    /// Column `""` of many rows at once, in the order asked. One that cannot be
    /// read is there and empty: it keeps nobody from reading the others.
    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Names of all rows that start with `prefix`, in any order. For rare
    /// operations: it walks the table (with Redis, all keys there are, unless
    /// the table has an index). Rows
    /// that are made or deleted meanwhile may or may not be among them.
    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError>;
}

/// Jobs and state of one node.
#[async_trait]
pub trait Store: State {
    /// Stores jobs and state together. Atomic; durable when it returns.
    ///
    /// When it returns [`StoreError::Unavailable`] it may have been applied all
    /// the same. Sent again, jobs that are open or have a known source are
    /// duplicates, but a guard of its own making (`Absent`) refuses it.
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError>;

    /// Applies a handler's commit and ends its job, if `attempt` still owns it.
    /// Atomic; durable when it returns. Committing twice with one attempt:
    /// the second is `Fenced`; so is one sent again because its answer was lost.
    ///
    /// In this order: the job ends, writes, cancels, follow-up jobs. So no
    /// follow-up job has its maker or a cancelled job for `prev`, and a commit
    /// does not cancel a job of its own.
    ///
    /// An attempt owns a job if its number is not lower than the stored one and
    /// the job is not parked.
    async fn commit(&self, attempt: Attempt, commit: Arc<Commit>) -> Result<Committed, StoreError>;

    /// Keeps an open job for later, because its handler wants to try again:
    /// sets `not_before`, adds one to `tries`, keeps `reason` as the last error,
    /// sets the strikes back and gives a claim up. False if the attempt no
    /// longer owns the job. The job keeps its place: those accepted later have
    /// it for `prev`.
    async fn reschedule(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<bool, StoreError>;

    /// The handler panicked: one more strike, with `reason` as the last error.
    /// Parked if that was the last one it may have ([`MAX_STRIKES`]), or if the
    /// job is claimed: nobody knows what it did. Otherwise rescheduled.
    async fn strike(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<Struck, StoreError>;

    /// Parks a job that cannot be run at all (its payload, or what it writes
    /// to, is unreadable). False if the attempt no longer owns it.
    async fn park(&self, attempt: Attempt, reason: &str) -> Result<bool, StoreError>;

    /// Gives up the attempts of a lost worker: raises the attempt of each job
    /// that is still open, and parks it if it has been struck too often or is
    /// claimed (its outcome is unknown). In the order asked.
    async fn release(&self, epoch: Epoch, jobs: &[Release]) -> Result<Vec<Released>, StoreError>;

    /// Marks a job of class `Once` as started by this attempt. False if it was
    /// claimed before, by whichever attempt, or the attempt no longer owns it.
    async fn claim(&self, attempt: Attempt) -> Result<bool, StoreError>;

    /// Does what an operator decided about a parked or failed job, and records
    /// that they did. Retrying raises the attempt: a failed job is accepted
    /// again, behind those of its key that are open, with as much time to its
    /// deadline as it had. A rescheduled job that still waits can be retried too:
    /// it does not wait any more, and nothing else about it changes.
    async fn operate(&self, operation: Operation) -> Result<Operated, StoreError>;

    /// What operators did, oldest first: the latest `limit` of the
    /// [`AUDIT_KEPT`] that are kept.
    async fn audit(&self, limit: usize) -> Result<Vec<Audited>, StoreError>;

    /// Why these open jobs last failed; `None` for those that did not.
    async fn last_errors(&self, ids: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError>;

    /// Ids of parked jobs, oldest first, at most `limit`.
    async fn parked_ids(&self, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// Open jobs with `seq > after`, lowest first, at most `limit`; fewer if
    /// they are large ([`PAGE_BYTES`]), but none only if there are none. One
    /// whose record is lost or cannot be read is a parked job of
    /// [`crate::job::Kind::UNREADABLE`].
    async fn open_jobs(&self, after: u64, limit: usize) -> Result<Vec<Job>, StoreError>;

    /// `seq` and id of open jobs with `seq > after`, lowest first, at most
    /// `limit`: what the dispatcher compares with what it knows.
    async fn open_ids(&self, after: u64, limit: usize) -> Result<Vec<(u64, JobId)>, StoreError>;

    /// The first of these jobs, in the order asked; `None` for those that are
    /// not open. Fewer than asked if they are large ([`PAGE_BYTES`]), but none
    /// only if none are asked for. Unreadable ones as in [`Store::open_jobs`].
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, StoreError>;

    /// Jobs that ended as failed, each with its place in the order in which they
    /// failed: those with a place above `after`, lowest first, at most `limit`;
    /// fewer if they are large ([`PAGE_BYTES`]), but none only if there are none.
    /// No place is given twice, and those of dropped ones stay empty.
    async fn failed_jobs(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FailedJob)>, StoreError>;

    /// A job that ended as failed and is kept; `None` if there is none.
    async fn failed_job(&self, id: JobId) -> Result<Option<FailedJob>, StoreError>;

    /// Which of these sources are remembered, in the order asked: a job that has
    /// one of them would be left out of an [`Store::accept`].
    async fn known_sources(&self, sources: &[String]) -> Result<Vec<bool>, StoreError>;

    /// How many jobs there are.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Asks for, or renews, mastership for `ttl`. A holder that asks again
    /// keeps its epoch, also after its lease ran out if nobody took it meanwhile
    /// (nobody else was master), unless the store was interrupted meanwhile and
    /// may have forgotten something: then what the holder knows is worth nothing
    /// any more. Every change of holder raises it, above `above` as well, which
    /// needs a lease that was given up or ran out: a process that was refused
    /// with an epoch this store has forgotten asks for a higher one.
    ///
    /// Measured by the store's clock. A lease that ends later than `ttl` from now
    /// was given by a clock that has been set back since, and counts as run out;
    /// two masters may then overlap, which the epoch makes harmless.
    ///
    /// The embedded store also takes a lease for expired when it is opened: the
    /// former holder had the file and is gone.
    async fn acquire_lease(
        &self,
        holder: &str,
        ttl: Duration,
        above: Epoch,
    ) -> Result<Lease, StoreError>;

    /// Gives mastership up, if `holder` has it.
    async fn release_lease(&self, holder: &str) -> Result<(), StoreError>;

    /// Whether the store answers and takes writes: it tries one that nobody
    /// sees, unless another has just succeeded.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// A store shared by the actors of a process.
pub type SharedStore = Arc<dyn Store>;
