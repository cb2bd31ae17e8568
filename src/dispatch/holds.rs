//! Jobs that wait for an instant or for a block.

use std::collections::BTreeSet;

use crate::job::Millis;

/// Jobs by what they wait for, as their `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Holds {
    by_time: BTreeSet<(Millis, u64)>,
    /// Era of the ledger, height, job.
    by_height: BTreeSet<(u64, u64, u64)>,
}

impl Holds {
    pub(super) fn hold_until(&mut self, instant: Millis, seq: u64) {
        self.by_time.insert((instant, seq));
    }

    pub(super) fn forget_instant(&mut self, instant: Millis, seq: u64) {
        self.by_time.remove(&(instant, seq));
    }

    pub(super) fn hold_above(&mut self, era: u64, height: u64, seq: u64) {
        self.by_height.insert((era, height, seq));
    }

    pub(super) fn forget_height(&mut self, era: u64, height: u64, seq: u64) {
        self.by_height.remove(&(era, height, seq));
    }

    /// The next instant at which a job comes due.
    pub(super) fn next_instant(&self) -> Option<Millis> {
        self.by_time.first().map(|(instant, _)| *instant)
    }

    /// A job whose instant has come. It stays held until
    /// [`forget`](Self::forget).
    pub(super) fn due(&self, now: Millis) -> Option<u64> {
        self.by_time
            .first()
            .filter(|(instant, _)| *instant <= now)
            .map(|(_, seq)| *seq)
    }

    /// A job that waited for a block below `height` of this era, or for any
    /// block of an earlier era. It stays held until it is forgotten.
    pub(super) fn above(&self, era: u64, height: u64) -> Option<u64> {
        self.by_height
            .first()
            .filter(|(of_era, above, _)| (*of_era, *above) < (era, height))
            .map(|(_, _, seq)| *seq)
    }
}
