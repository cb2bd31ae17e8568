//! Deliveries by whom they are for. A receiver that is slow or dead must not
//! use up the credit that deliveries to others need: each has a share of it,
//! and what is beyond waits here, without credit and without writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A receiver gets at most this part of all delivery credit, but at least one.
const SHARE: u32 = 8;
/// One whose last delivery failed gets this part, until one succeeds.
const DOUBTED_SHARE: u32 = 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Receiver {
    /// Open deliveries, in whatever phase.
    jobs: usize,
    /// Deliveries on a worker.
    running: u32,
    doubted: bool,
    /// Lanes whose first job may start, in the order they got ready.
    ready: BTreeMap<u64, u64>,
}

impl Receiver {
    fn is_gone(&self) -> bool {
        self.jobs == 0 && self.running == 0 && self.ready.is_empty()
    }
}

/// All receivers with open deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Receivers {
    /// Delivery credit of all workers together.
    credit: u32,
    receivers: BTreeMap<Arc<str>, Receiver>,
    /// Those with a ready lane and room: the one with the fewest running first,
    /// then the one whose lane has been ready longest.
    open: BTreeSet<(u32, u64, Arc<str>)>,
    ready: usize,
}

impl Receivers {
    /// An open delivery to this receiver is known.
    pub(super) fn add(&mut self, name: &str) {
        self.change(name, |receiver| receiver.jobs += 1);
    }

    /// A delivery has ended.
    pub(super) fn remove(&mut self, name: &str) {
        self.change(name, |receiver| receiver.jobs -= 1);
    }

    /// A lane's first job may start.
    pub(super) fn ready(&mut self, name: &str, turn: u64, lane: u64) {
        self.ready += 1;
        self.change(name, |receiver| {
            receiver.ready.insert(turn, lane);
        });
    }

    /// The lane is no longer ready.
    pub(super) fn unready(&mut self, name: &str, turn: u64) {
        self.ready -= 1;
        self.change(name, |receiver| {
            receiver.ready.remove(&turn);
        });
    }

    /// A delivery is on a worker.
    pub(super) fn started(&mut self, name: &str) {
        self.change(name, |receiver| receiver.running += 1);
    }

    /// A delivery is on a worker no more.
    pub(super) fn stopped(&mut self, name: &str) {
        self.change(name, |receiver| receiver.running -= 1);
    }

    /// How the last delivery went.
    pub(super) fn judge(&mut self, name: &str, failed: bool) {
        self.change(name, |receiver| receiver.doubted = failed);
    }

    /// The workers grant this much credit for deliveries now.
    pub(super) fn set_credit(&mut self, credit: u32) {
        if self.credit == credit {
            return;
        }
        self.credit = credit;
        let names: Vec<Arc<str>> = self.receivers.keys().cloned().collect();
        for name in names {
            // Its place depends on the credit.
            self.change(&name, |_| ());
        }
    }

    /// The lane that comes next.
    pub(super) fn first(&self) -> Option<u64> {
        let (_, turn, name) = self.open.first()?;
        self.receivers.get(name)?.ready.get(turn).copied()
    }

    /// How many lanes are ready, with room or without.
    pub(super) fn count(&self) -> usize {
        self.ready
    }

    fn change(&mut self, name: &str, how: impl FnOnce(&mut Receiver)) {
        let name = match self.receivers.get_key_value(name) {
            Some((name, _)) => name.clone(),
            None => Arc::from(name),
        };
        let credit = self.credit;
        let receiver = self.receivers.entry(name.clone()).or_default();
        let place = |receiver: &Receiver| {
            let (turn, _) = receiver.ready.first_key_value()?;
            let has_room = receiver.running < share(credit, receiver.doubted);
            has_room.then_some((receiver.running, *turn))
        };
        // Looked up under the credit of this moment or the one before: removing
        // a place that is not there changes nothing.
        if let Some((turn, _)) = receiver.ready.first_key_value() {
            self.open.remove(&(receiver.running, *turn, name.clone()));
        }
        how(receiver);
        if let Some((running, turn)) = place(receiver) {
            self.open.insert((running, turn, name.clone()));
        }
        if receiver.is_gone() {
            self.receivers.remove(&name);
        }
    }
}

fn share(credit: u32, doubted: bool) -> u32 {
    let part = if doubted { DOUBTED_SHARE } else { SHARE };
    (credit / part).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_ready(lanes: &[(&str, u64)]) -> Receivers {
        let mut receivers = Receivers::default();
        receivers.set_credit(16);
        for (name, lane) in lanes {
            receivers.add(name);
            receivers.ready(name, *lane, *lane);
        }
        receivers
    }

    fn start(receivers: &mut Receivers, name: &str) {
        let lane = receivers.first().unwrap();
        receivers.unready(name, lane);
        receivers.started(name);
    }

    #[test]
    fn the_receiver_with_the_fewest_running_comes_first() {
        let mut receivers = with_ready(&[("a", 1), ("a", 2), ("b", 3)]);
        assert_eq!(receivers.first(), Some(1));
        start(&mut receivers, "a");
        assert_eq!(receivers.first(), Some(3));
        start(&mut receivers, "b");
        assert_eq!(receivers.first(), Some(2));
    }

    #[test]
    fn nobody_gets_more_than_a_share_and_one_in_doubt_gets_one() {
        let mut receivers = with_ready(&[("a", 1), ("a", 2), ("a", 3)]);
        start(&mut receivers, "a");
        start(&mut receivers, "a");
        assert_eq!(receivers.first(), None, "two of sixteen");
        receivers.stopped("a");
        receivers.judge("a", true);
        assert_eq!(receivers.first(), None, "one of sixteen");
        receivers.judge("a", false);
        assert_eq!(receivers.first(), Some(3));
        receivers.set_credit(1);
        assert_eq!(receivers.first(), None);
        receivers.set_credit(16);
        assert_eq!(receivers.first(), Some(3));
    }

    #[test]
    fn a_receiver_without_deliveries_is_forgotten() {
        let mut receivers = with_ready(&[("a", 1)]);
        start(&mut receivers, "a");
        receivers.stopped("a");
        receivers.judge("a", true);
        receivers.remove("a");
        assert!(receivers.receivers.is_empty() && receivers.open.is_empty());
        assert_eq!(receivers.count(), 0);
    }
}
