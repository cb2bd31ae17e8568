//! Checks that Redis still knows what it has acknowledged to this process.
//!
//! A Redis that was restarted from an older file (`appendfsync everysec` and a
//! power loss, a restored backup), or replaced by a replica that was behind,
//! gives numbers a second time. A sequence number that is not higher than one
//! known before the question was sent proves it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What this process knows of the server's past.
#[derive(Debug, Default)]
pub(super) struct ServerHistory {
    /// The highest `seq` that was acknowledged.
    seq: AtomicU64,
    /// How often the server was found to have gone back.
    setbacks: AtomicU64,
    /// Whether replicas are waited for: what the server says it has given may not
    /// be acknowledged then.
    waits: bool,
}

impl ServerHistory {
    /// `waits`: a write is acknowledged only when replicas have it.
    pub fn of_acknowledged(waits: bool) -> Self {
        Self {
            waits,
            ..Self::default()
        }
    }

    /// The highest known `seq`. Read it before a question is sent.
    pub fn seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    /// How often the server has gone back.
    pub fn setbacks(&self) -> u64 {
        self.setbacks.load(Ordering::Acquire)
    }

    /// Checks numbers in the answer to a question. Zeros are none.
    pub fn given(&self, before: u64, seqs: impl Iterator<Item = u64>) {
        let (mut lowest, mut highest) = (u64::MAX, 0);
        for seq in seqs.filter(|seq| *seq > 0) {
            lowest = lowest.min(seq);
            highest = highest.max(seq);
        }
        if highest == 0 {
            return;
        }
        if lowest <= before {
            self.went_back(before, lowest);
        }
        self.seq.fetch_max(highest, Ordering::AcqRel);
    }

    /// Checks the last number that the server says it has given.
    pub fn last(&self, before: u64, seq: u64) {
        if seq < before {
            self.went_back(before, seq);
        }
        if !self.waits {
            self.seq.fetch_max(seq, Ordering::AcqRel);
        }
    }

    fn went_back(&self, known: u64, found: u64) {
        // Reported once for each loss, however many answers show it.
        let first = self
            .seq
            .compare_exchange(known, found, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if !first {
            return;
        }
        self.setbacks.fetch_add(1, Ordering::AcqRel);
        metrics::counter!("erawan_store_setbacks_total").increment(1);
        tracing::error!(
            known,
            found,
            "Redis has forgotten what it had acknowledged: jobs that were accepted are lost, \
             and jobs that had ended may run again"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_rise_are_no_setback() {
        let history = ServerHistory::default();
        history.given(history.seq(), [1, 0, 2].into_iter());
        // Asked together, answered in another order.
        let before = history.seq();
        history.given(before, [4].into_iter());
        history.given(before, [3].into_iter());
        history.last(before, 3);
        history.given(history.seq(), [0].into_iter());
        assert_eq!((history.seq(), history.setbacks()), (4, 0));
    }

    #[test]
    fn a_number_given_twice_is_a_setback_and_told_once() {
        let history = ServerHistory::default();
        history.last(0, 10);
        let before = history.seq();
        history.given(before, [8].into_iter());
        history.given(before, [9].into_iter());
        assert_eq!(history.setbacks(), 1);
        history.given(history.seq(), [10].into_iter());
        assert_eq!(history.setbacks(), 1);
        history.last(history.seq(), 3);
        assert_eq!((history.seq(), history.setbacks()), (3, 2));
    }
}
