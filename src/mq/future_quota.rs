//! Limits messages for future blocks per sender, so that no node can fill the
//! queue alone with messages that wait for our ledger to reach their block.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::config::QueueLimits;
use crate::job::{JobId, Millis};

/// A sender's share of the queue's limits, as a divisor.
const SHARE: u64 = 8;

/// A message that is to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingMessage {
    /// The job that opens it when its block is here.
    pub job: JobId,
    /// Size of the job.
    pub bytes: u64,
    /// When it stops waiting, whatever has become of it.
    pub until: Millis,
}

/// Counts the messages that this process lets wait. The workers of a node divide
/// each sender's share among themselves.
#[derive(Debug, Default)]
pub struct FutureQuota {
    known: Mutex<QuotaUse>,
    workers: AtomicU32,
}

#[derive(Debug, Default)]
struct QuotaUse {
    senders: HashMap<String, Amount>,
    waiting: HashMap<JobId, (String, u64)>,
    /// When each wait is over; messages that were released early are still in it.
    ends: BinaryHeap<Reverse<(Millis, JobId)>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Amount {
    jobs: u64,
    bytes: u64,
}

impl FutureQuota {
    /// Tells how many workers divide the shares.
    pub fn share_among(&self, workers: u32) {
        self.workers.store(workers, Ordering::Relaxed);
    }

    /// Whether a verified sender's message may wait. A sender's only one always may.
    pub fn admit(&self, sender: &str, waiting: WaitingMessage, limits: QueueLimits) -> bool {
        let part = SHARE * u64::from(self.workers.load(Ordering::Relaxed).max(1));
        let mut known = self.known.lock();
        known.let_go(Millis::now());
        let held = known.senders.get(sender).copied().unwrap_or_default();
        let fits = held.jobs < limits.jobs / part
            && held.bytes.saturating_add(waiting.bytes) <= limits.bytes / part;
        let may_wait = held.jobs == 0 || fits;
        if may_wait {
            let held = known.senders.entry(sender.to_owned()).or_default();
            held.jobs += 1;
            held.bytes += waiting.bytes;
            let of_sender = (sender.to_owned(), waiting.bytes);
            known.waiting.insert(waiting.job, of_sender);
            known.ends.push(Reverse((waiting.until, waiting.job)));
        }
        may_wait
    }

    /// Ends a message's wait. Does nothing if another worker let it wait.
    pub fn release(&self, job: JobId) {
        self.known.lock().release(job);
    }
}

impl QuotaUse {
    fn let_go(&mut self, now: Millis) {
        while let Some(Reverse((until, job))) = self.ends.peek().copied()
            && until <= now
        {
            self.ends.pop();
            self.release(job);
        }
    }

    fn release(&mut self, job: JobId) {
        let Some((sender, bytes)) = self.waiting.remove(&job) else {
            return;
        };
        let Some(held) = self.senders.get_mut(&sender) else {
            return;
        };
        held.jobs -= 1;
        held.bytes -= bytes;
        if held.jobs == 0 {
            self.senders.remove(&sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: QueueLimits = QueueLimits {
        jobs: 80,
        bytes: 8000,
    };

    fn waiting(bytes: u64) -> WaitingMessage {
        WaitingMessage {
            job: JobId::generate(),
            bytes,
            until: Millis::now().after(Duration::from_secs(600)),
        }
    }

    #[test]
    fn a_sender_has_its_share_by_bytes_and_by_count_and_others_have_theirs() {
        let held = FutureQuota::default();
        assert!(held.admit("large", waiting(600), LIMITS));
        assert!(held.admit("large", waiting(400), LIMITS));
        assert!(!held.admit("large", waiting(1), LIMITS));
        for _ in 0..10 {
            assert!(held.admit("many", waiting(1), LIMITS));
        }
        assert!(!held.admit("many", waiting(1), LIMITS));
        assert!(held.admit("another", waiting(5000), LIMITS), "one may");
        assert!(!held.admit("another", waiting(1), LIMITS));
    }

    #[test]
    fn what_is_released_or_over_does_not_count() {
        let held = FutureQuota::default();
        let first = waiting(600);
        assert!(held.admit("a", first, LIMITS));
        let over = WaitingMessage {
            until: Millis(1),
            ..waiting(400)
        };
        assert!(held.admit("a", over, LIMITS));
        assert!(held.admit("a", waiting(400), LIMITS));
        assert!(!held.admit("a", waiting(600), LIMITS));
        held.release(first.job);
        held.release(first.job);
        assert!(held.admit("a", waiting(600), LIMITS));
        assert!(!held.admit("a", waiting(1), LIMITS));
    }

    #[test]
    fn workers_share_what_a_sender_has() {
        let held = FutureQuota::default();
        held.share_among(5);
        assert!(held.admit("a", waiting(1), LIMITS));
        assert!(held.admit("a", waiting(1), LIMITS));
        assert!(!held.admit("a", waiting(1), LIMITS));
    }

    #[test]
    fn nothing_is_kept_of_what_has_ended() {
        let held = FutureQuota::default();
        for _ in 0..100 {
            let over = WaitingMessage {
                until: Millis(1),
                ..waiting(1)
            };
            assert!(held.admit("a", over, LIMITS));
        }
        held.known.lock().let_go(Millis::now());
        let known = held.known.lock();
        assert!(known.senders.is_empty() && known.waiting.is_empty() && known.ends.is_empty());
    }
}
