//! The indexes of the queue, by phase of the jobs.

use super::{LaneNo, Phase, Queue, WaitsFor};
use crate::dispatch::amount::Amount;
use crate::job::{is_of_request, receiver_of};
use crate::mistake::{self, Mistake};

impl Queue {
    pub(super) fn index(&mut self, seq: u64) {
        let Some(entry) = self.jobs.get(&seq) else {
            return;
        };
        let (lane, place, phase) = (entry.lane, entry.place, entry.phase);
        match phase {
            Phase::Parked if mistake::made(Mistake::ParkedFreesKey) => {}
            Phase::InLine | Phase::Blocked(_) | Phase::Parked => {
                self.line.insert((lane, place), seq);
            }
            Phase::Assigned(_) | Phase::Unsettled => self.running(lane, true),
            Phase::HeldAbove { era, height } => self.holds.hold_above(era, height, seq),
            Phase::HeldUntil(_) => {}
        }
        if phase == Phase::Parked {
            self.parked.insert(seq);
        }
        if let Phase::Blocked(instant) | Phase::HeldUntil(instant) = phase {
            self.holds.hold_until(instant, seq);
        }
        if is_active(phase) {
            self.active.insert(seq);
        }
        if let Phase::Assigned(_) = phase {
            self.on_worker(seq, true);
        }
        *self.count(phase) += 1;
        self.tell_tally(seq, true);
        self.count_dormant(seq, true);
    }

    pub(super) fn unindex(&mut self, seq: u64) {
        let Some(entry) = self.jobs.get(&seq) else {
            return;
        };
        let (lane, place, phase) = (entry.lane, entry.place, entry.phase);
        match phase {
            Phase::InLine | Phase::Blocked(_) | Phase::Parked => {
                self.line.remove(&(lane, place));
            }
            Phase::Assigned(_) | Phase::Unsettled => self.running(lane, false),
            Phase::HeldAbove { era, height } => self.holds.forget_height(era, height, seq),
            Phase::HeldUntil(_) => {}
        }
        self.parked.remove(&seq);
        if let Phase::Blocked(instant) | Phase::HeldUntil(instant) = phase {
            self.holds.forget_instant(instant, seq);
        }
        self.active.remove(&seq);
        if let Phase::Assigned(_) = phase {
            self.on_worker(seq, false);
        }
        *self.count(phase) -= 1;
        self.tell_tally(seq, false);
        self.count_dormant(seq, false);
    }

    /// A job enters or leaves its phase.
    fn count_dormant(&mut self, seq: u64, enters: bool) {
        let Some(entry) = self.jobs.get(&seq) else {
            return;
        };
        let amount = Amount::of(&entry.job);
        match entry.phase {
            Phase::InLine => {
                let lane = entry.lane;
                if let Some(lane) = self.lanes.get_mut(&lane) {
                    lane.in_line.step(amount, enters);
                }
                self.count_in_line(lane, amount, enters);
            }
            Phase::Assigned(_) | Phase::Unsettled => {}
            Phase::Blocked(_) | Phase::HeldUntil(_) | Phase::HeldAbove { .. } | Phase::Parked => {
                self.held.step(amount, enters);
            }
        }
    }

    /// Jobs in line of a lane enter or leave the count of those that wait for
    /// the same.
    pub(super) fn count_in_line(&mut self, lane: LaneNo, amount: Amount, comes: bool) {
        let Some(lane) = self.lanes.get(&lane) else {
            return;
        };
        match lane.waits_for {
            WaitsFor::Worker => {}
            WaitsFor::Receiver => {
                let receiver = receiver_of(&lane.key);
                self.deliveries.waiting(receiver, amount, comes);
            }
            WaitsFor::First => self.behind.step(amount, comes),
        }
    }

    /// A job enters or leaves its phase.
    fn tell_tally(&mut self, seq: u64, enters: bool) {
        let Some(entry) = self.jobs.get(&seq) else {
            return;
        };
        self.tally.count(entry.job.kind(), entry.phase, enters);
        self.kinds.count(entry.job.kind(), entry.phase, enters);
        if let Some(lane) = self.lanes.get_mut(&entry.lane)
            && is_of_request(&lane.key)
        {
            self.tally
                .count_of_request(entry.phase, &mut lane.of_request, enters);
        }
    }

    /// Counts a job on a worker for the receiver of a delivery and for the
    /// sender of a message.
    fn on_worker(&mut self, seq: u64, is_on: bool) {
        let Some(job) = self.jobs.get(&seq).map(|entry| entry.job.clone()) else {
            return;
        };
        match self.receivers_of(&job) {
            Some((receivers, name)) if is_on => receivers.started(name, job.runs_apart()),
            Some((receivers, name)) => receivers.stopped(name, job.runs_apart()),
            None => {}
        }
    }

    fn running(&mut self, lane: LaneNo, more: bool) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            if more {
                lane.running += 1;
            } else {
                lane.running -= 1;
            }
        }
    }

    fn count(&mut self, phase: Phase) -> &mut usize {
        match phase {
            Phase::InLine => &mut self.counts.waiting,
            Phase::Blocked(_) => &mut self.counts.blocked,
            Phase::HeldUntil(_) => &mut self.counts.held_until,
            Phase::HeldAbove { .. } => &mut self.counts.held_above,
            Phase::Assigned(_) => &mut self.counts.assigned,
            Phase::Unsettled => &mut self.counts.unsettled,
            Phase::Parked => &mut self.counts.parked,
        }
    }
}

fn is_active(phase: Phase) -> bool {
    !matches!(
        phase,
        Phase::HeldUntil(_) | Phase::HeldAbove { .. } | Phase::Parked
    )
}
