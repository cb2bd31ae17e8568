//! Jobs that wait for an instant or for a block.

use std::collections::BTreeSet;

use crate::job::Millis;

/// Jobs by what they wait for, named by `seq`.
#[derive(Debug, Clone, Default)]
pub(super) struct Holds {
    by_time: BTreeSet<(Millis, u64)>,
    by_height: BTreeSet<(u64, u64)>,
}

impl Holds {
    pub(super) fn hold_until(&mut self, instant: Millis, seq: u64) {
        self.by_time.insert((instant, seq));
    }

    pub(super) fn forget_instant(&mut self, instant: Millis, seq: u64) {
        self.by_time.remove(&(instant, seq));
    }

    pub(super) fn hold_above(&mut self, height: u64, seq: u64) {
        self.by_height.insert((height, seq));
    }

    pub(super) fn forget_height(&mut self, height: u64, seq: u64) {
        self.by_height.remove(&(height, seq));
    }

    /// The next instant at which a job comes due.
    pub(super) fn next_instant(&self) -> Option<Millis> {
        self.by_time.first().map(|(instant, _)| *instant)
    }

    /// A job whose instant has come. It stays held until it is forgotten.
    pub(super) fn due(&self, now: Millis) -> Option<u64> {
        self.by_time
            .first()
            .filter(|(instant, _)| *instant <= now)
            .map(|(_, seq)| *seq)
    }

    /// A job that waited for a block below `height`. It stays held until it is
    /// forgotten.
    pub(super) fn above(&self, height: u64) -> Option<u64> {
        self.by_height
            .first()
            .filter(|(above, _)| *above < height)
            .map(|(_, seq)| *seq)
    }

    /// Any job that waits for a block.
    pub(super) fn any_height(&self) -> Option<u64> {
        self.by_height.first().map(|(_, seq)| *seq)
    }
}
