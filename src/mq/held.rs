//! Messages of blocks far above the ledger, by sender: of what waits for our
//! node of the ledger to come nearer no other node has more than a share, or
//! one alone could fill the queue.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::config::QueueLimits;
use crate::job::Millis;

/// A sender's share of the queue's limits, as a divisor.
const SHARE: u64 = 8;

/// A message that is to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its job.
    pub job: u64,
    /// Size of the job.
    pub bytes: u64,
    /// When it has waited long enough, whatever becomes of it.
    pub until: Millis,
}

/// What this process knows to be waiting. Every try of a message counts it
/// again, so with several workers each comes to know all of it.
#[derive(Debug, Default)]
pub struct Held {
    of_senders: Mutex<HashMap<String, Vec<Waiting>>>,
}

impl Held {
    /// Whether a verified sender's message may wait (on). One may always.
    pub fn admit(&self, sender: &str, waiting: Waiting, limits: QueueLimits) -> bool {
        let now = Millis::now();
        let mut of_senders = self.of_senders.lock();
        of_senders.retain(|_, held| {
            held.retain(|other| other.until > now && other.job != waiting.job);
            !held.is_empty()
        });
        let held = of_senders.entry(sender.to_owned()).or_default();
        let bytes: u64 = held.iter().map(|other| other.bytes).sum();
        let fits = (held.len() as u64) < limits.jobs / SHARE
            && bytes.saturating_add(waiting.bytes) <= limits.bytes / SHARE;
        let may_wait = held.is_empty() || fits;
        if may_wait {
            held.push(waiting);
        }
        may_wait
    }

    /// The message of this job waits no longer.
    pub fn release(&self, sender: &str, job: u64) {
        if let Some(held) = self.of_senders.lock().get_mut(sender) {
            held.retain(|other| other.job != job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QueueLimits = QueueLimits {
        jobs: 80,
        bytes: 8000,
    };

    fn waiting(job: u64, bytes: u64) -> Waiting {
        Waiting {
            job,
            bytes,
            until: Millis(Millis::now().0 + 600_000),
        }
    }

    #[test]
    fn a_sender_has_its_share_by_bytes_and_by_count_and_others_have_theirs() {
        let held = Held::default();
        assert!(held.admit("large", waiting(1, 600), LIMITS));
        assert!(held.admit("large", waiting(2, 400), LIMITS));
        assert!(!held.admit("large", waiting(3, 1), LIMITS));
        for job in 10..20 {
            assert!(held.admit("many", waiting(job, 1), LIMITS));
        }
        assert!(!held.admit("many", waiting(20, 1), LIMITS));
        assert!(held.admit("another", waiting(30, 5000), LIMITS), "one may");
        assert!(!held.admit("another", waiting(31, 1), LIMITS));
    }

    #[test]
    fn what_is_tried_again_counts_once_and_what_is_over_does_not_count() {
        let held = Held::default();
        assert!(held.admit("a", waiting(1, 600), LIMITS));
        assert!(held.admit("a", waiting(1, 600), LIMITS));
        let over = Waiting {
            until: Millis(1),
            ..waiting(2, 400)
        };
        assert!(held.admit("a", over, LIMITS));
        assert!(held.admit("a", waiting(3, 400), LIMITS));
        assert!(!held.admit("a", waiting(4, 400), LIMITS));
        held.release("a", 3);
        assert!(held.admit("a", waiting(4, 400), LIMITS));
    }
}
