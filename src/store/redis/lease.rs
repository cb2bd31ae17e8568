//! Mastership: the lease, and whether Redis has forgotten anything since.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::RedisStore;
use super::answers::{DONE, REFUSED, ScriptReply, first, last, refusal};
use super::link::CommandLane;
use super::size::Measured;
use crate::job::Epoch;
use crate::store::{Lease, StoreError};

impl RedisStore {
    /// Restarts of the server and noticed losses. After either, a master's
    /// knowledge of the queue may be wrong.
    pub(super) fn interruptions(&self) -> u64 {
        self.link.restarts() + self.history.setbacks()
    }

    pub(super) async fn check_history(&self) -> Result<(), StoreError> {
        let before = self.history.seq();
        let mut command = redis::cmd("GET");
        command.arg(self.key("seq"));
        let seq: Option<u64> = self.read(&self.reads.counts, &command).await?;
        self.history.last(before, seq.unwrap_or(0));
        Ok(())
    }

    pub(super) async fn ask_for_lease(
        &self,
        holder: &str,
        ttl: Duration,
        above: Epoch,
        interruptions: u64,
    ) -> Result<Lease, StoreError> {
        let script = &self.scripts.acquire_lease;
        let mut command = script.call(&self.prefix);
        let before = self.history.seq();
        let anew = self.term.load(Ordering::Acquire) != interruptions;
        command.arg(holder).arg(ttl.as_millis() as u64);
        command.arg(above.0).arg(u8::from(anew));
        let asked =
            self.run_over::<ScriptReply>(CommandLane::Mastership, script, Measured::new(&command));
        match asked.await? {
            (DONE, numbers, _) => {
                self.term.store(interruptions, Ordering::Release);
                *self.granted.lock() = Some(Instant::now());
                self.history.last(before, last(&numbers)?);
                Ok(Lease::Held {
                    epoch: Epoch(first(&numbers)?),
                })
            }
            (REFUSED, numbers, holders) => Ok(Lease::HeldBy {
                holder: String::from_utf8_lossy(&holders.concat()).into_owned(),
                remaining: Duration::from_millis(first(&numbers)?),
            }),
            answer => Err(refusal(answer)),
        }
    }
}
