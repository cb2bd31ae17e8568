//! Shares the credit for deliveries by receiver. A slow or dead receiver must
//! not use up the credit that others need: each has a share, and its further
//! deliveries wait here without credit and without writes. Messages of other
//! nodes wait in the same way, by their claimed sender. Operators can pause a
//! receiver: nothing more is delivered to it until they resume it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::dispatch::amount::Amount;
use crate::dispatch::snapshot::ReceiverSnapshot;

/// A receiver gets at most one in this many of all delivery credit, but at
/// least one.
const SHARE: u32 = 8;
/// After a failed delivery it gets one in this many, until one succeeds.
const DOUBTED_SHARE: u32 = 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Receiver {
    /// In any phase.
    jobs: usize,
    running: u32,
    /// How many of them run apart.
    apart: u32,
    doubted: bool,
    /// Lanes whose first job may start, in the order they became ready.
    ready: BTreeMap<u64, u64>,
    /// Lanes whose first job may start, but apart.
    ready_apart: BTreeMap<u64, u64>,
    waiting: Amount,
    /// How many of them count as held up.
    held_up: Amount,
}

impl Receiver {
    fn is_gone(&self) -> bool {
        let has_ready = !(self.ready.is_empty() && self.ready_apart.is_empty());
        self.jobs == 0 && self.running == 0 && !has_ready && self.waiting.jobs == 0
    }

    /// Deliveries in line that no worker may start, however much credit there
    /// is.
    fn held_up(&self, credit: u32, paused: bool) -> Amount {
        match paused || self.doubted || self.running >= share(credit, false) {
            true => self.waiting,
            false => Amount::default(),
        }
    }

    fn ready(&self, apart: bool) -> &BTreeMap<u64, u64> {
        match apart {
            true => &self.ready_apart,
            false => &self.ready,
        }
    }

    /// Its place among the receivers that may go on, if it has one. A worker
    /// runs one job apart at a time, and a receiver may occupy one such worker
    /// only.
    fn place(&self, credit: u32, apart: bool) -> Option<(u32, u64)> {
        let (turn, _) = self.ready(apart).first_key_value()?;
        let has_room = self.running < share(credit, self.doubted) && !(apart && self.apart > 0);
        has_room.then_some((self.running, *turn))
    }
}

/// Receivers with a ready lane and room: the one with the fewest running first,
/// then the one whose lane has been ready longest.
type Open = BTreeSet<(u32, u64, Arc<str>)>;

/// All receivers with open deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Receivers {
    /// Delivery credit of all workers together.
    credit: u32,
    receivers: BTreeMap<Arc<str>, Receiver>,
    open: Open,
    /// The same, for lanes whose first job runs apart.
    open_apart: Open,
    ready: usize,
    /// Jobs of all receivers on workers.
    running: u32,
    /// Deliveries in line whose receiver has its full share.
    held_up: Amount,
    /// Those that get nothing until an operator resumes them.
    paused: BTreeSet<Arc<str>>,
}

impl Receivers {
    /// Counts an open delivery to this receiver.
    pub(super) fn add(&mut self, name: &str) {
        self.change(name, |receiver| receiver.jobs += 1);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.change(name, |receiver| receiver.jobs -= 1);
    }

    /// A lane's first job may start.
    pub(super) fn ready(&mut self, name: &str, apart: bool, turn: u64, lane: u64) {
        self.ready += 1;
        self.change(name, |receiver| {
            let lanes = match apart {
                true => &mut receiver.ready_apart,
                false => &mut receiver.ready,
            };
            lanes.insert(turn, lane);
        });
    }

    pub(super) fn unready(&mut self, name: &str, turn: u64) {
        self.ready -= 1;
        self.change(name, |receiver| {
            receiver.ready.remove(&turn);
            receiver.ready_apart.remove(&turn);
        });
    }

    /// A worker has a delivery.
    pub(super) fn started(&mut self, name: &str, apart: bool) {
        self.running += 1;
        self.change(name, |receiver| {
            receiver.running += 1;
            receiver.apart += u32::from(apart);
        });
    }

    /// No worker has the delivery any more.
    pub(super) fn stopped(&mut self, name: &str, apart: bool) {
        self.running -= 1;
        self.change(name, |receiver| {
            receiver.running -= 1;
            receiver.apart -= u32::from(apart);
        });
    }

    /// Notes how the last delivery went.
    pub(super) fn judge(&mut self, name: &str, failed: bool) {
        self.change(name, |receiver| receiver.doubted = failed);
    }

    /// Sets the credit of all workers for deliveries.
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

    /// Sets which receivers get nothing. All others do.
    pub(super) fn set_paused(&mut self, paused: BTreeSet<Arc<str>>) {
        let before = std::mem::replace(&mut self.paused, paused);
        let changed: Vec<Arc<str>> = before.symmetric_difference(&self.paused).cloned().collect();
        for name in changed {
            // Its place depends on it.
            self.change(&name, |_| ());
        }
    }

    /// The receivers that operators should see first, at most `limit`: paused
    /// and failing ones, then those with the most deliveries.
    pub(super) fn shown(&self, limit: usize) -> Vec<ReceiverSnapshot> {
        let paused = self.paused.iter();
        let idle = paused.filter(|name| !self.receivers.contains_key(*name));
        let idle = idle.map(|name| (name, Receiver::default()));
        let known = self.receivers.iter();
        let known = known.map(|(name, receiver)| (name, receiver.clone()));
        let mut shown: Vec<ReceiverSnapshot> = known
            .chain(idle)
            .map(|(name, receiver)| ReceiverSnapshot {
                name: name.clone(),
                open: receiver.jobs,
                running: receiver.running,
                in_line: receiver.waiting.jobs,
                failing: receiver.doubted,
                paused: self.paused.contains(name),
            })
            .collect();
        shown.sort_by_key(|shown| {
            let quiet = (!shown.paused, !shown.failing);
            (quiet, std::cmp::Reverse(shown.open))
        });
        shown.truncate(limit);
        shown
    }

    /// The next turn and lane.
    pub(super) fn first(&self, apart: bool) -> Option<(u64, u64)> {
        let open = match apart {
            true => &self.open_apart,
            false => &self.open,
        };
        let (_, turn, name) = open.first()?;
        let receiver = self.receivers.get(name)?;
        let lane = receiver.ready(apart).get(turn)?;
        Some((*turn, *lane))
    }

    pub(super) fn running(&self) -> u32 {
        self.running
    }

    /// Deliveries to this receiver enter or leave the line.
    pub(super) fn waiting(&mut self, name: &str, amount: Amount, comes: bool) {
        self.change(name, |receiver| receiver.waiting.step(amount, comes));
    }

    /// Deliveries in line that wait for their receiver and not for a worker:
    /// its share is used up, or the last delivery failed.
    pub(super) fn held_up(&self) -> Amount {
        self.held_up
    }

    /// How many lanes are ready, with or without room.
    pub(super) fn count(&self) -> usize {
        self.ready
    }

    fn change(&mut self, name: &str, how: impl FnOnce(&mut Receiver)) {
        let name = match self.receivers.get_key_value(name) {
            Some((name, _)) => name.clone(),
            None => Arc::from(name),
        };
        let paused = self.paused.contains(&name);
        let receiver = self.receivers.entry(name.clone()).or_default();
        let mut opens = [(false, &mut self.open), (true, &mut self.open_apart)];
        for (apart, open) in &mut opens {
            // Whether it had room under the earlier credit does not matter:
            // removing an absent place changes nothing.
            if let Some((turn, _)) = receiver.ready(*apart).first_key_value() {
                open.remove(&(receiver.running, *turn, name.clone()));
            }
        }
        how(receiver);
        self.held_up.step(receiver.held_up, false);
        receiver.held_up = receiver.held_up(self.credit, paused);
        self.held_up.step(receiver.held_up, true);
        for (apart, open) in opens {
            if let Some((running, turn)) = receiver.place(self.credit, apart)
                && !paused
            {
                open.insert((running, turn, name.clone()));
            }
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
            receivers.ready(name, false, *lane, *lane);
        }
        receivers
    }

    fn lane(receivers: &Receivers, apart: bool) -> Option<u64> {
        receivers.first(apart).map(|(_, lane)| lane)
    }

    fn start(receivers: &mut Receivers, name: &str) {
        let (turn, _) = receivers.first(false).unwrap();
        receivers.unready(name, turn);
        receivers.started(name, false);
    }

    #[test]
    fn the_receiver_with_the_fewest_running_comes_first() {
        let mut receivers = with_ready(&[("a", 1), ("a", 2), ("b", 3)]);
        assert_eq!(lane(&receivers, false), Some(1));
        start(&mut receivers, "a");
        assert_eq!(lane(&receivers, false), Some(3));
        start(&mut receivers, "b");
        assert_eq!(lane(&receivers, false), Some(2));
    }

    #[test]
    fn nobody_gets_more_than_a_share_and_one_in_doubt_gets_one() {
        let mut receivers = with_ready(&[("a", 1), ("a", 2), ("a", 3)]);
        start(&mut receivers, "a");
        start(&mut receivers, "a");
        assert_eq!(lane(&receivers, false), None, "two of sixteen");
        receivers.stopped("a", false);
        receivers.judge("a", true);
        assert_eq!(lane(&receivers, false), None, "one of sixteen");
        receivers.judge("a", false);
        assert_eq!(lane(&receivers, false), Some(3));
        receivers.set_credit(1);
        assert_eq!(lane(&receivers, false), None);
        receivers.set_credit(16);
        assert_eq!(lane(&receivers, false), Some(3));
    }

    #[test]
    fn of_deliveries_that_run_apart_a_receiver_has_one_under_way() {
        let mut receivers = with_ready(&[("a", 1), ("b", 2)]);
        for (name, lane) in [("a", 3), ("a", 4), ("b", 5)] {
            receivers.add(name);
            receivers.ready(name, true, lane, lane);
        }
        assert_eq!(lane(&receivers, true), Some(3));
        receivers.unready("a", 3);
        receivers.started("a", true);
        assert_eq!(lane(&receivers, true), Some(5));
        receivers.unready("b", 5);
        receivers.started("b", true);
        assert_eq!(lane(&receivers, true), None);
        assert_eq!(lane(&receivers, false), Some(1), "others go on");
        receivers.stopped("a", true);
        assert_eq!(lane(&receivers, true), Some(4));
    }

    #[test]
    fn a_paused_receiver_gets_nothing_until_it_is_resumed() {
        let mut receivers = with_ready(&[("a", 1), ("b", 2)]);
        let one = Amount {
            jobs: 1,
            ..Amount::default()
        };
        receivers.waiting("a", one, true);
        receivers.set_paused([Arc::from("a"), Arc::from("c")].into());
        assert_eq!(lane(&receivers, false), Some(2));
        assert_eq!(receivers.held_up(), one, "its deliveries are no work to do");
        receivers.ready("a", false, 3, 3);
        start(&mut receivers, "b");
        assert_eq!(lane(&receivers, false), None);
        let shown = receivers.shown(9);
        let paused: Vec<(&str, bool)> = shown.iter().map(|of| (&*of.name, of.paused)).collect();
        assert_eq!(paused, [("a", true), ("c", true), ("b", false)]);
        receivers.set_paused(BTreeSet::new());
        assert_eq!(lane(&receivers, false), Some(1));
        assert_eq!(receivers.held_up(), Amount::default());
    }

    #[test]
    fn a_receiver_without_deliveries_is_forgotten() {
        let mut receivers = with_ready(&[("a", 1)]);
        start(&mut receivers, "a");
        receivers.stopped("a", false);
        receivers.judge("a", true);
        receivers.remove("a");
        assert!(receivers.receivers.is_empty() && receivers.open.is_empty());
        assert_eq!(receivers.count(), 0);
    }
}
