//! The lanes: which are ready, and what for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Lane, LaneNo, Phase, Queue, QueueEntry, WaitsFor};
use crate::dispatch::amount::Amount;
use crate::dispatch::sessions::Need;
use crate::job::{JobId, Pool, is_of_message, receiver_of};
use crate::mistake::{self, Mistake};

impl Queue {
    /// The first job of the lane that has been ready longest. For deliveries
    /// and messages, it is the turn of a receiver or sender. Messages of other
    /// nodes take half of the credit at most, so that they do not keep the node
    /// from its own work.
    pub(in crate::dispatch) fn first_ready(&self, need: Need) -> Option<(u64, &QueueEntry)> {
        let lane = match need.pool {
            Pool::Run => {
                let own = match need.apart {
                    true => self.ready_run_apart.first_key_value(),
                    false => self.ready_run.first_key_value(),
                };
                let own = own.map(|(turn, lane)| (*turn, *lane));
                let has_room = self.messages.running() < (self.run_credit / 2).max(1);
                let message = has_room.then(|| self.messages.first(need.apart)).flatten();
                own.into_iter().chain(message).min()?.1
            }
            Pool::Delivery => self.deliveries.first(need.apart)?.1,
        };
        let seq = self.first_in_line(lane)?;
        self.jobs.get(&seq).map(|entry| (seq, entry))
    }

    /// Jobs of the same lane as `seq` that an earlier master may have assigned.
    /// Nothing of the lane may start before their attempts are raised.
    pub(in crate::dispatch) fn suspects_beside(&self, seq: u64) -> Vec<(u64, JobId)> {
        let Some(lane) = self.jobs.get(&seq).map(|entry| entry.lane) else {
            return Vec::new();
        };
        self.suspects
            .range((lane, 0)..(lane + 1, 0))
            .filter_map(|(_, seq)| Some((*seq, self.jobs.get(seq)?.job.id())))
            .collect()
    }

    /// From now until [`Queue::end_adoption`], lanes with suspects are not
    /// ready.
    pub(in crate::dispatch) fn begin_adoption(&mut self) {
        self.is_adopting = true;
        self.settle_suspects();
    }

    /// Ends the wait for claims: nobody claims the remaining suspects.
    pub(in crate::dispatch) fn end_adoption(&mut self) {
        self.is_adopting = false;
        self.settle_suspects();
    }

    fn settle_suspects(&mut self) {
        let lanes: BTreeSet<LaneNo> = self.suspects.iter().map(|(lane, _)| *lane).collect();
        for lane in lanes {
            self.settle(lane);
        }
    }

    fn is_suspect(&self, lane: LaneNo) -> bool {
        let mut suspects = self.suspects.range((lane, 0)..(lane + 1, 0));
        suspects.next().is_some()
    }

    pub(super) fn lane_for(&mut self, key: &Arc<str>) -> LaneNo {
        if let Some(no) = self.lane_by_key.get(key) {
            if let Some(lane) = self.lanes.get_mut(no) {
                lane.jobs += 1;
            }
            return *no;
        }
        self.turn += 1;
        let (no, key) = (self.turn, key.clone());
        self.lane_by_key.insert(key.clone(), no);
        let lane = Lane {
            of_request: 0,
            key,
            jobs: 1,
            running: 0,
            ready: None,
            in_line: Amount::default(),
            waits_for: WaitsFor::Worker,
        };
        self.lanes.insert(no, lane);
        no
    }

    fn first_in_line(&self, lane: LaneNo) -> Option<u64> {
        let (_, seq) = self.line.range((lane, (0, 0))..(lane + 1, (0, 0))).next()?;
        Some(*seq)
    }

    /// Updates whether a lane is ready, and drops it when it is empty.
    pub(super) fn settle(&mut self, no: LaneNo) {
        self.settle_waiting(no);
        let wanted = self.ready_for(no);
        let Some(lane) = self.lanes.get(&no) else {
            return;
        };
        let current = lane.ready;
        if current.map(|(need, _)| need) != wanted {
            let key = lane.key.clone();
            if let Some((need, turn)) = current {
                self.is_ready_no_more(need, &key, turn);
            }
            self.turn += 1;
            let turn = self.turn;
            if let Some(need) = wanted {
                self.is_ready(need, &key, turn, no);
            }
            if let Some(lane) = self.lanes.get_mut(&no) {
                lane.ready = wanted.map(|need| (need, turn));
            }
        }
        if self.lanes.get(&no).is_some_and(|lane| lane.jobs == 0)
            && let Some(lane) = self.lanes.remove(&no)
        {
            self.lane_by_key.remove(&lane.key);
        }
    }

    /// Updates what the jobs in line of a lane wait for.
    fn settle_waiting(&mut self, no: LaneNo) {
        let first = self.first_in_line(no).and_then(|seq| self.jobs.get(&seq));
        let waits_for = match first {
            Some(first) if first.phase != Phase::InLine => WaitsFor::First,
            Some(first) if first.job.kind().pool() == Pool::Delivery => WaitsFor::Receiver,
            _ => WaitsFor::Worker,
        };
        let Some(lane) = self.lanes.get(&no) else {
            return;
        };
        if lane.waits_for == waits_for {
            return;
        }
        let in_line = lane.in_line;
        self.count_in_line(no, in_line, false);
        if let Some(lane) = self.lanes.get_mut(&no) {
            lane.waits_for = waits_for;
        }
        self.count_in_line(no, in_line, true);
    }

    fn is_ready(&mut self, need: Need, key: &str, turn: u64, no: LaneNo) {
        match need.pool {
            Pool::Run if is_of_message(key) => {
                let sender = receiver_of(key);
                self.messages.ready(sender, need.apart, turn, no);
            }
            Pool::Run if need.apart => drop(self.ready_run_apart.insert(turn, no)),
            Pool::Run => drop(self.ready_run.insert(turn, no)),
            Pool::Delivery => {
                let receiver = receiver_of(key);
                self.deliveries.ready(receiver, need.apart, turn, no);
            }
        }
    }

    fn is_ready_no_more(&mut self, need: Need, key: &str, turn: u64) {
        match need.pool {
            Pool::Run if is_of_message(key) => self.messages.unready(receiver_of(key), turn),
            Pool::Run if need.apart => drop(self.ready_run_apart.remove(&turn)),
            Pool::Run => drop(self.ready_run.remove(&turn)),
            Pool::Delivery => self.deliveries.unready(receiver_of(key), turn),
        }
    }

    /// What the first job of a lane needs, if the lane is ready.
    fn ready_for(&mut self, no: LaneNo) -> Option<Need> {
        let is_running = self.lanes.get(&no)?.running > 0;
        let is_running = is_running && !mistake::made(Mistake::KeyReleasedEarly);
        if is_running || (self.is_adopting && self.is_suspect(no)) {
            return None;
        }
        let entry = self.jobs.get(&self.first_in_line(no)?)?;
        if entry.phase != Phase::InLine {
            return None;
        }
        let prev = entry.job.prev;
        // A known predecessor in the line stands before this job. One that is
        // not in the line holds up nothing.
        if prev == 0 || self.knows(prev) || mistake::made(Mistake::PredecessorIgnored) {
            return Some(Need::of(&entry.job));
        }
        self.awaiting.insert((prev, no));
        None
    }
}
