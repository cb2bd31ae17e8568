//! How much of a node's work is open, for operators. The master's dispatcher
//! knows it; workers are told with the master's heartbeats.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::job::{GAUGES, Gauge};

/// Open jobs, by what operators ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OpenJobs {
    /// By slot of the gauge that they count in.
    pub counts: [u64; GAUGES],
    /// What waits; `None` while the dispatcher does not know all that is open.
    pub dormant: Option<Dormant>,
}

impl OpenJobs {
    /// Those that count in this gauge.
    pub fn count(&self, gauge: Gauge) -> u64 {
        self.counts[gauge.slot()]
    }
}

/// Jobs that no worker can end now: they wait for an instant, a block, an
/// operator or a receiver, or behind one that does. The dispatcher has no large
/// payloads, so it knows the size of most jobs only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Dormant {
    /// How many.
    pub jobs: u64,
    /// Their size without the payloads it does not have.
    pub bytes: u64,
    /// How many of them have such a payload.
    pub unsized_jobs: u64,
    /// The size of all open jobs without these payloads.
    pub known_bytes: u64,
    /// How many of all open jobs have such a payload.
    pub known_unsized_jobs: u64,
}

impl Dormant {
    /// About their whole size, if all open jobs together have this one: payloads
    /// that are in the store only count as equally large.
    pub fn size(&self, open_bytes: u64) -> u64 {
        let unknown = open_bytes.saturating_sub(self.known_bytes);
        let share = u128::from(unknown) * u128::from(self.unsized_jobs);
        let share = share.checked_div(u128::from(self.known_unsized_jobs));
        // A part of a u64 is one.
        let share = u64::try_from(share.unwrap_or(0)).unwrap_or(u64::MAX);
        self.bytes.saturating_add(share).min(open_bytes)
    }
}

/// Blocks that were seen and have not led to jobs yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// Height of the first.
    pub first: u64,
    /// Height of the last.
    pub last: u64,
}

impl Blocks {
    /// How many.
    pub fn count(self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// What is open of a node's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Backlog {
    /// Jobs.
    pub jobs: OpenJobs,
    /// Blocks, if there are any.
    pub blocks: Option<Blocks>,
    /// Workers of the node, which share what one sender may leave with it.
    pub workers: u32,
}

/// Where a process keeps the backlog as it knows it now.
#[derive(Debug, Default)]
pub struct BacklogBoard(Mutex<BoardState>);

#[derive(Debug, Default)]
struct BoardState {
    /// `None`: there is no dispatcher here, and no master has told.
    jobs: Option<OpenJobs>,
    blocks: Option<Blocks>,
    workers: u32,
}

impl BacklogBoard {
    /// What is known; `None` if nobody is there who knows.
    pub fn latest(&self) -> Option<Backlog> {
        let known = self.0.lock();
        known.jobs.map(|jobs| Backlog {
            jobs,
            blocks: known.blocks,
            workers: known.workers,
        })
    }

    /// The dispatcher's count; `None` when it ends.
    pub fn set_jobs(&self, jobs: Option<OpenJobs>) {
        self.0.lock().jobs = jobs;
    }

    /// Those that are being followed.
    pub fn set_blocks(&self, blocks: Option<Blocks>) {
        self.0.lock().blocks = blocks;
    }

    /// What the master told; `None` when it is gone.
    pub fn tell(&self, backlog: Option<Backlog>) {
        *self.0.lock() = BoardState {
            jobs: backlog.map(|backlog| backlog.jobs),
            blocks: backlog.and_then(|backlog| backlog.blocks),
            workers: backlog.map_or(0, |backlog| backlog.workers),
        };
    }

    /// A worker is there until what this returns is dropped.
    pub fn worker(self: &Arc<Self>) -> WorkerThere {
        self.0.lock().workers += 1;
        WorkerThere(self.clone())
    }
}

/// See [`BacklogBoard::worker`].
pub struct WorkerThere(Arc<BacklogBoard>);

impl Drop for WorkerThere {
    fn drop(&mut self) {
        self.0.0.lock().workers -= 1;
    }
}
