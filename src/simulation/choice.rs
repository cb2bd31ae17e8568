//! What can happen next in a [`World`](super::World).

use crate::job::{JobId, Kind};
use crate::store;

/// A process of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SimulatedProcess {
    /// The master with this number. The store decides whether it leads.
    Master(usize),
    Worker(usize),
}

/// A connection between a worker and a master: the worker, and the lowest free
/// number. (With rising numbers a model would visit equal worlds again.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkNo(pub usize, pub u32);

/// A call of a process to the store: the process, and the lowest free number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNo(pub SimulatedProcess, pub u32);

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    Worker,
    Master,
}

/// What a new job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    Nothing,
    /// This many milliseconds.
    Time(u64),
    /// This many blocks.
    Blocks(u64),
}

/// A job to be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobPlan {
    pub key: u64,
    pub kind: Kind,
    pub hold: Hold,
    pub source: Option<u64>,
}

/// How a handler ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RunPlan {
    Commit {
        follow_ups: Vec<JobPlan>,
        cancel: Option<JobId>,
        failed: bool,
    },
    /// It wants to run again in this many milliseconds.
    Retry(u64),
    Panic,
}

impl RunPlan {
    /// A commit without anything else.
    pub fn done() -> Self {
        Self::Commit {
            follow_ups: Vec::new(),
            cancel: None,
            failed: false,
        }
    }
}

/// Something that can happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Choice {
    // ---- by themselves
    /// A process that is down starts.
    Start(SimulatedProcess),
    /// A paused process goes on.
    Resume(SimulatedProcess),
    /// The timer of a master's mastership fires.
    Tick(usize),
    /// The timer of a master's dispatcher fires.
    Wake(usize),
    /// A worker calls a master.
    Connect {
        worker: usize,
        master: usize,
    },
    /// The master gets the next message of a connection.
    Up(LinkNo),
    /// The worker gets the next message of a connection.
    Down(LinkNo),
    /// One end learns that the connection is gone.
    Notice(LinkNo, Side),
    /// The store performs a call.
    Work(CallNo),
    /// The store's answer arrives.
    Answer(CallNo),
    /// A handler ends.
    Finish {
        worker: usize,
        job: JobId,
        number: u32,
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

    // ---- the outside world
    /// Somebody wants a job accepted.
    Accept {
        by: SimulatedProcess,
        plan: JobPlan,
    },
    Block,
    /// This many milliseconds pass.
    Pass(u64),
    /// An operator decides about a parked or failed job.
    Operate(JobId, store::OperatorAction),

    // ---- faults
    Kill(SimulatedProcess),
    /// A process is stopped (SIGSTOP).
    Pause(SimulatedProcess),
    /// A master is told to stop (SIGTERM).
    Stop(usize),
    /// A worker is told to stop (SIGTERM).
    Drain(usize),
    /// A connection is cut, with what is under way.
    Cut(LinkNo),
    /// A connection carries nothing any more, and neither end is told.
    HalfOpen(LinkNo),
    /// One end believes that the other is dead.
    Silence(LinkNo, Side),
    /// The store fails a call without performing it.
    Fail(CallNo),
    /// The store's answer is lost.
    LoseAnswer(CallNo),
    /// The store is gone for a while.
    StoreDown,
    /// The wall clock of a process jumps by this many milliseconds.
    Jump(SimulatedProcess, i64),
    /// An old announcement arrives again at this master.
    AnnounceAgain {
        which: usize,
        master: usize,
    },
    /// An announcement is lost inside a master.
    LoseAnnouncement(usize),
}
