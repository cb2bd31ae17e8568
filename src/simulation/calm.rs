//! What must hold once the faults have stopped.

use std::collections::BTreeSet;

use super::choice::SimulatedProcess;
use super::world::World;
use crate::invariants::{Invariant, Violation};

impl World {
    /// The faults have stopped for good.
    pub fn begin_calm(&mut self) {
        self.is_calm = true;
    }

    /// Whether every open job is parked, or behind a parked one of its key.
    pub fn all_wait_for_operator(&self) -> bool {
        let parked = self.store.open().filter(|job| job.parked);
        let keys: BTreeSet<&str> = parked.map(|job| job.key()).collect();
        self.store.open().all(|job| keys.contains(job.key()))
    }

    /// Checks a cluster without open jobs: everything must be accounted for.
    pub fn check_end(&mut self) {
        let seen = self.history.all_accounted_for(&self.store);
        self.found(seen.or_else(|| self.waits_for_nothing()));
    }

    /// A scan that waits although nothing is on its way to its master is the
    /// last one: unannounced jobs are never found again.
    fn waits_for_nothing(&self) -> Option<Violation> {
        let asks = |index| {
            self.calls
                .keys()
                .any(|no| no.0 == SimulatedProcess::Master(index))
        };
        let mut masters = self.masters.iter().enumerate();
        let (index, _) = masters.find(|(index, master)| master.is_scanning() && !asks(*index))?;
        let detail = format!("the scan of master {index} never ends");
        Some(Violation::new(Invariant::EveryJobEnds, detail))
    }

    /// The open jobs, and what the masters know of them.
    pub fn stuck(&self) -> String {
        let open: Vec<String> = self
            .store
            .open()
            .map(|job| {
                format!(
                    "{} (seq {}, key {}, attempt {}, parked {})",
                    job.id(),
                    job.seq,
                    job.key(),
                    job.attempt,
                    job.parked
                )
            })
            .collect();
        let masters = self.masters.iter();
        let snapshots = masters.filter_map(|master| master.snapshot(self.wall(master.ahead)));
        let snapshots: Vec<_> = snapshots.map(|snapshot| snapshot.jobs).collect();
        format!("still open: {}; masters: {snapshots:?}", open.join(", "))
    }
}
