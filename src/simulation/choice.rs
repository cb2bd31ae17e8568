//! What can happen next in a [`World`](super::World).

use crate::job::{JobId, Kind};
use crate::store;

/// A process of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Process {
    /// The master of this number; whether it leads is the store's to say.
    Master(usize),
    /// The worker of this number.
    Worker(usize),
}

/// A connection between a worker and a master: the worker, and the lowest
/// number that was free. (Numbers that grow would make worlds differ that do
/// not, and a model has to visit each of them.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkNo(pub usize, pub u32);

/// Something a process asked of the store: the process, and the lowest number
/// that was free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNo(pub Process, pub u32);

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The worker's.
    Worker,
    /// The master's.
    Master,
}

/// What a new job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Nothing.
    Nothing,
    /// So many milliseconds.
    Time(u64),
    /// So many blocks.
    Blocks(u64),
}

/// A job to be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobPlan {
    /// Number of its key.
    pub key: u64,
    /// Its kind.
    pub kind: Kind,
    /// What it waits for.
    pub hold: Hold,
    /// Number of its source.
    pub source: Option<u64>,
}

/// How a handler ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RunPlan {
    /// With a commit.
    Commit {
        /// Its follow-up jobs.
        follow_ups: Vec<JobPlan>,
        /// A job it cancels.
        cancel: Option<JobId>,
        /// The job ends as failed.
        failed: bool,
    },
    /// It wants to be run again in so many milliseconds.
    Retry(u64),
    /// It panics.
    Panic,
}

impl RunPlan {
    /// Commits, and nothing else happens.
    pub fn done() -> Self {
        Self::Commit {
            follow_ups: Vec::new(),
            cancel: None,
            failed: false,
        }
    }
}

/// One thing that can happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Choice {
    // ---- what happens by itself
    /// A process that is down starts.
    Start(Process),
    /// A paused process goes on.
    Resume(Process),
    /// The timer of a master's mastership fires.
    Tick(usize),
    /// The timer of a master's dispatcher fires.
    Wake(usize),
    /// A worker calls a master.
    Connect {
        /// The worker.
        worker: usize,
        /// The master.
        master: usize,
    },
    /// The master gets the next message of a connection.
    Up(LinkNo),
    /// The worker gets the next message of a connection.
    Down(LinkNo),
    /// One end learns that the connection is gone.
    Notice(LinkNo, Side),
    /// The store does what it was asked.
    Work(CallNo),
    /// The store's answer arrives.
    StoreAnswer(CallNo),
    /// A handler ends.
    Finish {
        /// On which worker.
        worker: usize,
        /// Of which job.
        job: JobId,
        /// Of which attempt.
        number: u32,
        /// How.
        plan: RunPlan,
    },
    /// A master's dispatcher hears of jobs its own process accepted.
    Announce(usize),
    /// A master sees the latest block.
    SeeBlock(usize),
    /// A drained worker has nothing left and exits.
    Exit(usize),
    /// The store is back.
    StoreUp,

    // ---- what the world outside does
    /// Somebody wants a job accepted.
    Accept {
        /// By which process.
        by: Process,
        /// What.
        plan: JobPlan,
    },
    /// A block.
    Block,
    /// So many milliseconds pass.
    Pass(u64),
    /// An operator decides about a parked or failed job.
    Operate(JobId, store::OperatorAction),

    // ---- faults
    /// A process is killed.
    Kill(Process),
    /// A process is stopped (SIGSTOP).
    Pause(Process),
    /// A master is told to stop (SIGTERM).
    Stop(usize),
    /// A worker is told to stop (SIGTERM).
    Drain(usize),
    /// A connection is cut, with what is under way.
    Cut(LinkNo),
    /// A connection carries nothing any more.
    HalfOpen(LinkNo),
    /// One end takes the other for dead.
    Silence(LinkNo, Side),
    /// The store cannot do what it was asked, and says so.
    Fail(CallNo),
    /// The store's answer is lost.
    LoseAnswer(CallNo),
    /// The store is gone for a while.
    StoreDown,
    /// The wall clock of a process jumps by so many milliseconds.
    Jump(Process, i64),
    /// An old announcement arrives again at this master.
    AnnounceAgain {
        /// Which of the latest.
        which: usize,
        /// Where.
        master: usize,
    },
    /// An announcement is lost inside a master.
    LoseAnnouncement(usize),
}
