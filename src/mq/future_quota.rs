//! Messages of blocks far above the ledger, by sender: of what waits for our
//! node of the ledger to come nearer no other node has more than a share, or
//! one alone could fill the queue. A message is counted when it begins to wait,
//! at a cost that does not grow with what waits.

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
pub struct Waiting {
    /// The job that waits with it.
    pub job: JobId,
    /// Size of the job.
    pub bytes: u64,
    /// When it has waited long enough, whatever becomes of it.
    pub until: Millis,
}

/// What waits because this process said that it may. Each worker of a node gives
/// its part of every share away.
#[derive(Debug, Default)]
pub struct Held {
    known: Mutex<Known>,
    workers: AtomicU32,
}

#[derive(Debug, Default)]
struct Known {
    /// Those with something that waits.
    senders: HashMap<String, Amount>,
    waiting: HashMap<JobId, (String, u64)>,
    /// When each is over; those that ended before are still in it.
    ends: BinaryHeap<Reverse<(Millis, JobId)>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Amount {
    jobs: u64,
    bytes: u64,
}

impl Held {
    /// How many workers give shares away.
    pub fn share_among(&self, workers: u32) {
        self.workers.store(workers, Ordering::Relaxed);
    }

    /// Whether a verified sender's message may wait. One may always.
    pub fn admit(&self, sender: &str, waiting: Waiting, limits: QueueLimits) -> bool {
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

    /// This one waits no longer. Another worker may have let it wait.
    pub fn release(&self, job: JobId) {
        self.known.lock().release(job);
    }
}

impl Known {
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

    fn waiting(bytes: u64) -> Waiting {
        Waiting {
            job: JobId::generate(),
            bytes,
            until: Millis::now().after(Duration::from_secs(600)),
        }
    }

    #[test]
    fn a_sender_has_its_share_by_bytes_and_by_count_and_others_have_theirs() {
        let held = Held::default();
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
        let held = Held::default();
        let first = waiting(600);
        assert!(held.admit("a", first, LIMITS));
        let over = Waiting {
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
        let held = Held::default();
        held.share_among(5);
        assert!(held.admit("a", waiting(1), LIMITS));
        assert!(held.admit("a", waiting(1), LIMITS));
        assert!(!held.admit("a", waiting(1), LIMITS));
    }

    #[test]
    fn nothing_is_kept_of_what_has_ended() {
        let held = Held::default();
        for _ in 0..100 {
            let over = Waiting {
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
