//! What must be true when the faults have stopped.

use std::collections::BTreeSet;

use super::world::World;

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

    /// To be asked when nothing is open: everything is accounted for.
    pub fn check_end(&mut self) {
        let seen = self.history.all_accounted_for(&self.store);
        self.found(seen);
    }

    /// What is still open, and what the masters think of it.
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
