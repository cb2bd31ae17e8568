//! The dispatcher at one instant, for tests and for a stop that waits for the end of
//! its jobs.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{JobId, Kind};

use crate::dispatch::event::SessionId;
use crate::dispatch::sessions::Load;

/// How many jobs are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct JobCounts {
    /// May be assigned as soon as there is credit.
    pub ready: usize,
    /// Behind another job of their key.
    pub waiting: usize,
    /// Failed for a temporary reason and block their key until they are due.
    pub blocked: usize,
    /// Wait for an instant.
    pub held_until: usize,
    /// Wait for a block.
    pub held_above: usize,
    /// On a worker.
    pub assigned: usize,
    /// Given up. The store is being asked for their fate.
    pub unsettled: usize,
    /// Wait for an operator, and block their key.
    pub parked: usize,
    /// How many of all these no worker can end now: they wait for an instant, a
    /// block, an operator or a receiver, or behind such a job.
    pub dormant: usize,
}

impl JobCounts {
    /// How many workers can end without waiting for anything else.
    pub fn runnable(&self) -> usize {
        self.total() - self.dormant
    }

    pub fn total(&self) -> usize {
        self.ready
            + self.waiting
            + self.blocked
            + self.held_until
            + self.held_above
            + self.assigned
            + self.unsettled
            + self.parked
    }
}

/// One connected worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSnapshot {
    pub session: SessionId,
    pub worker: String,
    pub run: Load,
    pub delivery: Load,
    /// Takes no more jobs.
    pub draining: bool,
}

/// The dispatcher at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Everything that was open at the start is known, and the adoption window
    /// is over.
    pub running: bool,
    pub jobs: JobCounts,
    /// Age of the oldest job that is neither held nor parked.
    pub oldest: Option<Duration>,
    /// Earliest first.
    pub sessions: Vec<SessionSnapshot>,
    /// The first 100 parked jobs.
    pub parked: Vec<JobId>,
    /// Outcomes that named an attempt that was given up.
    pub stale_outcomes: u64,
    /// Every job up to this `seq` is known.
    pub complete_seq: u64,
    /// Of the last block that the node has seen.
    pub height: u64,
}

/// A receiver of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverSnapshot {
    pub name: Arc<str>,
    /// Its deliveries, whatever they wait for.
    pub open: usize,
    /// How many of them workers have.
    pub running: u32,
    /// How many of them wait in line.
    pub in_line: u64,
    /// The last delivery failed.
    pub failing: bool,
    /// An operator has paused it.
    pub paused: bool,
}

/// The open jobs of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindSnapshot {
    pub kind: Kind,
    pub counts: PhaseCounts,
}

/// How many jobs are in which phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PhaseCounts {
    pub in_line: usize,
    /// Failed for a temporary reason, and block their key meanwhile.
    pub blocked: usize,
    pub held_until: usize,
    pub held_above: usize,
    pub assigned: usize,
    pub unsettled: usize,
    pub parked: usize,
}

impl PhaseCounts {
    pub fn total(&self) -> usize {
        self.in_line
            + self.blocked
            + self.held_until
            + self.held_above
            + self.assigned
            + self.unsettled
            + self.parked
    }
}

/// What operators look at, beside the [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub snapshot: Snapshot,
    /// By number; kinds without open jobs are left out.
    pub kinds: Vec<KindSnapshot>,
    /// Paused and failing ones first.
    pub receivers: Vec<ReceiverSnapshot>,
}
