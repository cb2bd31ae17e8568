//! Tracks how much of the store's order of acceptance is known. Announcements
//! come in any order and may be lost, so a job's unknown predecessor is either
//! still open (the job waits) or has ended. The horizon tells which.

use std::collections::BTreeSet;

use crate::mistake::{self, Mistake};

/// Which places in the order of acceptance are known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Horizon {
    /// Every job up to this `seq` that is open in the store is known.
    complete: u64,
    /// Jobs above `complete` that have ended.
    ended: BTreeSet<u64>,
    /// The highest `seq` ever heard of.
    top: u64,
}

impl Horizon {
    pub(super) fn complete(&self) -> u64 {
        self.complete
    }

    pub(super) fn top(&self) -> u64 {
        self.top
    }

    pub(super) fn saw(&mut self, seq: u64) {
        self.top = self.top.max(seq);
    }

    /// Whether a job that is not among the known open jobs has ended.
    pub(super) fn is_past(&self, seq: u64) -> bool {
        seq <= self.complete || self.ended.contains(&seq)
    }

    pub(super) fn has_ended(&mut self, seq: u64) {
        if seq > self.complete && !mistake::made(Mistake::EndForgotten) {
            self.ended.insert(seq);
        }
    }

    /// Notes that everything open up to `through` is known.
    pub(super) fn advance(&mut self, through: u64) {
        if through > self.complete {
            self.complete = through;
            self.top = self.top.max(through);
            self.ended = self.ended.split_off(&(through + 1));
        }
    }
}
