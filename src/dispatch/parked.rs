//! When parked jobs are looked at in the store, a page at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::job::{JobId, Millis};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct ParkedLook {
    due: Millis,
    /// The last seq of the page before; 0 to begin anew.
    after: u64,
    /// Asked, by id: at which seq the job was accepted that is meant.
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

    /// A page is being asked for; the next one is due at `next`. An empty page
    /// is behind the last one.
    pub(super) fn start(&mut self, page: &[(u64, JobId)], next: Millis) {
        self.due = next;
        self.after = page.last().map_or(0, |(seq, _)| *seq);
        self.asked = page.iter().map(|(seq, id)| (*id, *seq)).collect();
    }

    /// The store told of this job; the seq that was asked for, if any.
    pub(super) fn answered(&mut self, id: JobId) -> Option<u64> {
        self.asked.remove(&id)
    }
}
