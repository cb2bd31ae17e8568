//! When to read parked jobs from the store, a page at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::job::{JobId, Millis};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct ParkedLook {
    due: Millis,
    /// The last `seq` of the previous page; 0 to start again.
    after: u64,
    /// By id of each job asked about: the `seq` it was accepted at.
    asked: BTreeMap<JobId, u64>,
}

impl ParkedLook {
    pub(super) fn due(&self) -> Millis {
        self.due
    }

    pub(super) fn is_due(&self, now: Millis, interval: Duration) -> bool {
        self.due.has_come(now, interval)
    }

    pub(super) fn after(&self) -> u64 {
        self.after
    }

    /// Starts a page; the next one is due at `next`. An empty page follows the
    /// last one.
    pub(super) fn start(&mut self, page: &[(u64, JobId)], next: Millis) {
        self.due = next;
        self.after = page.last().map_or(0, |(seq, _)| *seq);
        self.asked = page.iter().map(|(seq, id)| (*id, *seq)).collect();
    }

    /// The store has answered about this job. Returns the `seq` it was asked
    /// about, if it was.
    pub(super) fn answered(&mut self, id: JobId) -> Option<u64> {
        self.asked.remove(&id)
    }
}
