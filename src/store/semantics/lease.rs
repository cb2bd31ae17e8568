//! Mastership: the lease and its epochs.

use std::time::Duration;

use super::StoreState;
use crate::job::{Epoch, Millis};
use crate::mistake::{self, Mistake};
use crate::store::{Lease, StoreError};

impl StoreState {
    /// [`crate::store::Store::acquire_lease`].
    pub fn acquire_lease(
        &mut self,
        now: Millis,
        holder: &str,
        ttl: Duration,
        above: Epoch,
    ) -> Lease {
        match &self.lease {
            Some((current, _)) if current == holder => {}
            Some((current, until)) if !until.has_come(now, ttl) => {
                return Lease::HeldBy {
                    holder: current.clone(),
                    remaining: now.until(*until),
                };
            }
            Some(_) | None => self.epoch = self.epoch.max(above.0).saturating_add(1),
        }
        self.lease = Some((holder.to_owned(), now.after(ttl)));
        Lease::Held {
            epoch: Epoch(self.epoch),
        }
    }

    /// [`crate::store::Store::release_lease`].
    pub fn release_lease(&mut self, holder: &str) {
        if self.lease.as_ref().is_some_and(|(by, _)| by == holder) {
            self.lease = None;
        }
    }

    /// The latest epoch.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    pub(super) fn check(&self, epoch: Epoch) -> Result<(), StoreError> {
        if epoch.0 < self.epoch && !mistake::made(Mistake::EpochIgnored) {
            let current = Epoch(self.epoch);
            return Err(StoreError::Deposed { current });
        }
        Ok(())
    }
}
