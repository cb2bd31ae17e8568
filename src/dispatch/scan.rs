//! Searches the store for jobs that nobody announced.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::job::{JobId, Millis};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) enum ScanStage {
    #[default]
    Idle,
    /// Has asked the store; `top` was the highest `seq` known then.
    Asked { top: u64 },
    /// Has found unknown jobs and asked for them.
    Missing {
        /// Once all of them are known, everything up to here is.
        through: u64,
        ids: BTreeSet<JobId>,
        /// The page was full.
        full: bool,
    },
}

/// When to scan, and how far a scan has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Scan {
    pub(super) stage: ScanStage,
    due: Millis,
}

impl Scan {
    /// When the next scan starts, unless one is under way.
    pub(super) fn next_instant(&self) -> Option<Millis> {
        matches!(self.stage, ScanStage::Idle).then_some(self.due)
    }

    /// Starts no later than `instant`, or after the scan under way.
    pub(super) fn no_later_than(&mut self, instant: Millis) {
        self.due = self.due.min(instant);
    }

    /// Whether to start now.
    pub(super) fn is_due(&self, now: Millis, interval: Duration) -> bool {
        self.next_instant()
            .is_some_and(|due| due.has_come(now, interval))
    }

    /// Starts a scan. The next one follows at `next`, unless it is wanted
    /// earlier.
    pub(super) fn start(&mut self, top: u64, next: Millis) {
        self.stage = ScanStage::Asked { top };
        self.due = next;
    }

    /// Notes that a missing job is known now, or has ended. After the last one,
    /// returns up to where everything is known and whether there is more.
    pub(super) fn found(&mut self, id: JobId) -> Option<(u64, bool)> {
        let ScanStage::Missing { through, ids, full } = &mut self.stage else {
            return None;
        };
        ids.remove(&id);
        if !ids.is_empty() {
            return None;
        }
        let result = (*through, *full);
        self.stage = ScanStage::Idle;
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_does_not_put_scans_off() {
        let interval = Duration::from_secs(1);
        let mut scan = Scan::default();
        scan.start(0, Millis(10_000_000).after(interval));
        scan.stage = ScanStage::Idle;
        assert!(!scan.is_due(Millis(10_000_000), interval));
        assert!(scan.is_due(Millis(10_001_000), interval));
        let an_hour_earlier = Millis(10_001_000 - 3_600_000);
        assert!(scan.is_due(an_hour_earlier, interval));
    }
}
