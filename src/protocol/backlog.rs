//! How much of a node's work is open, for operators. The master's dispatcher
//! knows it and tells the workers with its heartbeats.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::job::{GAUGES, Gauge};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OpenJobs {
    /// By gauge slot.
    pub counts: [u64; GAUGES],
    /// Jobs that wait; `None` while the dispatcher does not know everything
    /// that is open.
    pub dormant: Option<Dormant>,
}

impl OpenJobs {
    /// Those that count in this gauge.
    pub fn count(&self, gauge: Gauge) -> u64 {
        self.counts[gauge.slot()]
    }
}

/// Jobs that no worker can end now: they wait for an instant, a block, an
/// operator or a receiver, or behind such a job. The dispatcher does not hold
/// large payloads, so it knows the whole size of most jobs only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Dormant {
    pub jobs: u64,
    /// Their size without the large payloads.
    pub bytes: u64,
    /// How many of them have a large payload.
    pub unsized_jobs: u64,
    /// Size of all open jobs, without the large payloads.
    pub known_bytes: u64,
    /// How many of all open jobs have a large payload.
    pub known_unsized_jobs: u64,
}

impl Dormant {
    /// Estimates their whole size from the size of all open jobs, as if all
    /// large payloads were equally large.
    pub fn size(&self, open_bytes: u64) -> u64 {
        let unknown = open_bytes.saturating_sub(self.known_bytes);
        let share = u128::from(unknown) * u128::from(self.unsized_jobs);
        let share = share.checked_div(u128::from(self.known_unsized_jobs));
        // A part of a u64 fits into one.
        let share = u64::try_from(share.unwrap_or(0)).unwrap_or(u64::MAX);
        self.bytes.saturating_add(share).min(open_bytes)
    }
}

/// Blocks that were seen and have not led to jobs yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blocks {
    pub first: u64,
    pub last: u64,
}

impl Blocks {
    pub fn count(self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// The open work of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Backlog {
    pub jobs: OpenJobs,
    pub blocks: Option<Blocks>,
    /// Workers of the node. They divide each sender's quota of waiting
    /// messages.
    pub workers: u32,
}

/// The latest backlog that a process knows.
#[derive(Debug, Default)]
pub struct BacklogBoard(Mutex<BoardState>);

#[derive(Debug, Default)]
struct BoardState {
    /// `None`: this process has no dispatcher, and no master has said.
    jobs: Option<OpenJobs>,
    blocks: Option<Blocks>,
    workers: u32,
}

impl BacklogBoard {
    /// The latest backlog; `None` if nobody here knows it.
    pub fn latest(&self) -> Option<Backlog> {
        let known = self.0.lock();
        known.jobs.map(|jobs| Backlog {
            jobs,
            blocks: known.blocks,
            workers: known.workers,
        })
    }

    /// Sets the dispatcher's count; `None` when it ends.
    pub fn set_jobs(&self, jobs: Option<OpenJobs>) {
        self.0.lock().jobs = jobs;
    }

    /// Sets the blocks that are being followed.
    pub fn set_blocks(&self, blocks: Option<Blocks>) {
        self.0.lock().blocks = blocks;
    }

    /// Sets what the master told; `None` when it is gone.
    pub fn tell(&self, backlog: Option<Backlog>) {
        *self.0.lock() = BoardState {
            jobs: backlog.map(|backlog| backlog.jobs),
            blocks: backlog.and_then(|backlog| backlog.blocks),
            workers: backlog.map_or(0, |backlog| backlog.workers),
        };
    }

    /// Counts a worker until the returned value is dropped.
    pub fn worker(self: &Arc<Self>) -> WorkerThere {
        self.0.lock().workers += 1;
        WorkerThere(self.clone())
    }
}

pub struct WorkerThere(Arc<BacklogBoard>);

impl Drop for WorkerThere {
    fn drop(&mut self) {
        self.0.0.lock().workers -= 1;
    }
}
