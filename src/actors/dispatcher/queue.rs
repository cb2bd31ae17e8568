//! All open jobs, and for each key the line in which they wait.
//!
//! A job is in exactly one [`Phase`], and [`Queue::enter`] is the only place
//! that changes it, so that every index agrees with every other. Each key has a
//! *lane*. The jobs in its line are ordered by their place: the store's `seq`,
//! or, for jobs that were held, the highest `seq` known when they came due. A
//! lane is ready when nothing of it runs and its first job may start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster::message::light;
use crate::job::{Class, Job, JobId, Millis, Pool, receiver_of};

use crate::mistake::{self, Mistake};

use super::event::SessionId;
use super::holds::Holds;
use super::horizon::Horizon;
use super::receivers::Receivers;
use super::sessions::Need;
use super::snapshot::JobCounts;

/// Where an open job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// In its key's line.
    InLine,
    /// In its key's line, which it blocks until the instant.
    Blocked(Millis),
    /// Out of the line until the instant.
    HeldUntil(Millis),
    /// Out of the line until a block above the height, in this era of the ledger.
    HeldAbove {
        /// Which of the ledger's histories.
        era: u64,
        /// Height in it.
        height: u64,
    },
    /// On a worker.
    Assigned(SessionId),
    /// Given up; the store is being asked what became of it.
    Unsettled,
    /// In its key's line, which it blocks until an operator has decided.
    Parked,
}

type LaneNo = u64;

/// Place in a line: a `seq`, then the turn for those that came due later.
type Place = (u64, u64);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    job: Arc<Job>,
    lane: LaneNo,
    place: Place,
    phase: Phase,
}

impl Entry {
    pub(super) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Lane {
    key: Arc<str>,
    /// Open jobs of the key, in whatever phase.
    jobs: usize,
    /// Jobs that are assigned or unsettled; nothing else may start.
    running: usize,
    /// What its first job needs, and its turn in `ready`.
    ready: Option<(Need, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Queue {
    jobs: BTreeMap<u64, Entry>,
    seqs: BTreeMap<JobId, u64>,
    lanes: BTreeMap<LaneNo, Lane>,
    lane_by_key: BTreeMap<Arc<str>, LaneNo>,
    line: BTreeMap<(LaneNo, Place), u64>,
    /// Lanes whose first job is the node's own work and may start, in the order
    /// they got ready.
    ready_run: BTreeMap<u64, LaneNo>,
    /// Lanes whose first job is a delivery and may start, by receiver.
    deliveries: Receivers,
    /// Lanes whose first job may start, but apart from others that were struck.
    ready_apart: BTreeMap<Pool, BTreeMap<u64, LaneNo>>,
    /// Lanes whose first job waits for an unknown predecessor, by that one.
    awaiting: BTreeSet<(u64, LaneNo)>,
    /// Jobs an earlier master may have assigned, and nobody claimed yet.
    suspects: BTreeSet<(LaneNo, u64)>,
    /// Lanes with suspects wait until workers have had time to claim them.
    is_adopting: bool,
    holds: Holds,
    parked: BTreeSet<u64>,
    /// Jobs that are neither held nor parked.
    active: BTreeSet<u64>,
    horizon: Horizon,
    /// Which of the ledger's histories is followed, and how far.
    era: u64,
    height: u64,
    turn: u64,
    counts: JobCounts,
}

impl Queue {
    pub(super) fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    pub(super) fn height(&self) -> u64 {
        self.height
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn next_instant(&self) -> Option<Millis> {
        self.holds.next_instant()
    }

    /// Whether some job waits for a predecessor nobody announced.
    pub(super) fn has_gap(&self) -> bool {
        !self.awaiting.is_empty()
    }

    pub(super) fn find(&self, id: JobId) -> Option<(u64, &Entry)> {
        let seq = *self.seqs.get(&id)?;
        self.jobs.get(&seq).map(|entry| (seq, entry))
    }

    /// Whether this job is open and known, or has ended.
    pub(super) fn knows(&self, seq: u64) -> bool {
        self.jobs.contains_key(&seq) || self.horizon.is_past(seq)
    }

    /// Adds an open job. False if it is known or has ended. `loaded`: it was
    /// open before this master started.
    pub(super) fn insert(&mut self, job: Job, loaded: bool, now: Millis) -> bool {
        let (id, seq) = (job.id(), job.seq);
        if self.seqs.contains_key(&id) || self.knows(seq) {
            return false;
        }
        self.horizon.saw(seq);
        let lane = self.lane_for(job.key());
        let job = Arc::new(light(job));
        let phase = self.phase_by_itself(&job, now);
        // How far the chain had come for the earlier master is not known, nor
        // what its clock said.
        if loaded
            && phase != Phase::Parked
            && self.may_have_run(&job)
            && !mistake::made(Mistake::SuspectsTrusted)
        {
            self.suspects.insert((lane, seq));
        }
        if let Some(receiver) = job.new.receiver() {
            self.deliveries.add(receiver);
        }
        self.seqs.insert(id, seq);
        self.jobs.insert(
            seq,
            Entry {
                job,
                lane,
                place: (seq, 0),
                phase,
            },
        );
        self.index(seq);
        self.settle(lane);
        true
    }

    /// Forgets a job that has ended.
    pub(super) fn remove(&mut self, seq: u64) {
        self.unindex(seq);
        let Some(entry) = self.jobs.remove(&seq) else {
            return;
        };
        self.seqs.remove(&entry.job.id());
        self.suspects.remove(&(entry.lane, seq));
        self.horizon.has_ended(seq);
        if let Some(lane) = self.lanes.get_mut(&entry.lane) {
            lane.jobs -= 1;
        }
        if let Some(receiver) = entry.job.new.receiver() {
            self.deliveries.remove(receiver);
        }
        self.settle(entry.lane);
    }

    /// A delivery was tried; whether it failed.
    pub(super) fn judge(&mut self, seq: u64, failed: bool) {
        if let Some(entry) = self.jobs.get(&seq)
            && let Some(receiver) = entry.job.new.receiver()
        {
            self.deliveries.judge(receiver, failed);
        }
    }

    /// The workers grant this much credit for deliveries together.
    pub(super) fn set_delivery_credit(&mut self, credit: u32) {
        self.deliveries.set_credit(credit);
    }

    /// A job that is not known here has ended.
    pub(super) fn has_ended(&mut self, seq: u64) {
        self.horizon.saw(seq);
        self.horizon.has_ended(seq);
        let waiting = self.awaiting.range((seq, 0)..(seq + 1, 0));
        let waiting: Vec<(u64, LaneNo)> = waiting.copied().collect();
        for wait in waiting {
            self.awaiting.remove(&wait);
            self.settle(wait.1);
        }
    }

    /// The store has parked a job.
    pub(super) fn park(&mut self, seq: u64, now: Millis) {
        if let Some(entry) = self.jobs.get_mut(&seq) {
            Arc::make_mut(&mut entry.job).parked = true;
            self.requeue(seq, now);
        }
    }

    /// Moves a job to another phase.
    pub(super) fn enter(&mut self, seq: u64, phase: Phase) {
        self.unindex(seq);
        let Some(entry) = self.jobs.get_mut(&seq) else {
            return;
        };
        entry.phase = phase;
        let lane = entry.lane;
        if matches!(phase, Phase::Assigned(_) | Phase::Unsettled) {
            self.suspects.remove(&(lane, seq));
        }
        self.index(seq);
        self.settle(lane);
    }

    /// Takes what the store says of a known job, and puts it where that says.
    pub(super) fn refresh(&mut self, job: Job, now: Millis) {
        let seq = job.seq;
        if let Some(entry) = self.jobs.get_mut(&seq) {
            entry.job = Arc::new(light(job));
            self.requeue(seq, now);
        }
    }

    /// A worker rescheduled a job: a transactional one keeps its place and
    /// blocks its key, others leave the line.
    pub(super) fn reschedule(&mut self, seq: u64, not_before: Millis, tries: u32, now: Millis) {
        if let Some(entry) = self.jobs.get_mut(&seq) {
            let job = Arc::make_mut(&mut entry.job);
            job.new.not_before = Some(not_before);
            job.tries = tries;
            self.requeue(seq, now);
        }
    }

    /// Puts a job back where it belongs by itself, at its old place.
    pub(super) fn requeue(&mut self, seq: u64, now: Millis) {
        if let Some(entry) = self.jobs.get(&seq) {
            let phase = self.phase_by_itself(&entry.job, now);
            self.enter(seq, phase);
        }
    }

    /// Lets jobs come due whose instant has come.
    pub(super) fn pass_time(&mut self, now: Millis) {
        while let Some(seq) = self.holds.due(now) {
            self.come_due(seq, now);
        }
    }

    /// Lets jobs come due that waited for a block below `height`.
    pub(super) fn pass_height(&mut self, height: u64, now: Millis) {
        self.height = height;
        while let Some(seq) = self.holds.above(self.era, height) {
            self.come_due(seq, now);
        }
    }

    /// The ledger is in this era: lets jobs come due that wait for a block of
    /// an earlier one, which will never come.
    pub(super) fn enter_era(&mut self, era: u64, now: Millis) {
        if era > self.era {
            self.era = era;
            self.pass_height(0, now);
        }
    }

    /// Everything open up to `through` is known now.
    pub(super) fn advance(&mut self, through: u64) {
        self.horizon.advance(through);
        let later = self.awaiting.split_off(&(through + 1, 0));
        for (_, lane) in std::mem::replace(&mut self.awaiting, later) {
            self.settle(lane);
        }
    }

    /// The first job of the lane that has been ready longest; of deliveries,
    /// to the receiver whose turn it is.
    pub(super) fn first_ready(&self, need: Need) -> Option<(u64, &Entry)> {
        let lane = match need.pool {
            pool if need.apart => *self.ready_apart.get(&pool)?.values().next()?,
            Pool::Run => *self.ready_run.values().next()?,
            Pool::Delivery => self.deliveries.first()?,
        };
        let seq = self.first_in_line(lane)?;
        self.jobs.get(&seq).map(|entry| (seq, entry))
    }

    /// Jobs of the same lane as `seq` that an earlier master may have assigned.
    /// Nothing of the lane may start before their attempts are raised.
    pub(super) fn suspects_beside(&self, seq: u64) -> Vec<(u64, JobId)> {
        let Some(lane) = self.jobs.get(&seq).map(|entry| entry.lane) else {
            return Vec::new();
        };
        self.suspects
            .range((lane, 0)..(lane + 1, 0))
            .filter_map(|(_, seq)| Some((*seq, self.jobs.get(seq)?.job.id())))
            .collect()
    }

    /// From now until [`Queue::end_adoption`] lanes with suspects are not ready.
    pub(super) fn begin_adoption(&mut self) {
        self.is_adopting = true;
        self.settle_suspects();
    }

    /// What is still suspected is not claimed by anybody.
    pub(super) fn end_adoption(&mut self) {
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

    pub(super) fn counts(&self) -> JobCounts {
        let apart: usize = self.ready_apart.values().map(BTreeMap::len).sum();
        let ready = self.ready_run.len() + self.deliveries.count() + apart;
        JobCounts {
            ready,
            waiting: self.counts.waiting - ready,
            ..self.counts
        }
    }

    /// Parked jobs with `seq > after`, oldest first.
    pub(super) fn parked(&self, after: u64) -> impl Iterator<Item = (u64, JobId)> {
        self.parked
            .range(after.saturating_add(1)..)
            .filter_map(|seq| Some((*seq, self.jobs.get(seq)?.job.id())))
    }

    /// The oldest job that is neither held nor parked.
    pub(super) fn oldest_active(&self) -> Option<&Job> {
        let entry = self.jobs.get(self.active.first()?)?;
        Some(&entry.job)
    }

    fn phase_by_itself(&self, job: &Job, now: Millis) -> Phase {
        let later = job.new.not_before.filter(|instant| *instant > now);
        // A job that has run before has seen its block.
        let never_ran = job.tries == 0;
        let of = |height| (job.new.era, height);
        let above = job
            .new
            .after_height
            .filter(|above| never_ran && of(*above) >= (self.era, self.height));
        let failed_before = job.tries > 0 && job.kind().class() == Class::Transactional;
        match (later, above) {
            _ if job.parked => Phase::Parked,
            (Some(instant), _) if failed_before => Phase::Blocked(instant),
            (Some(instant), _) => Phase::HeldUntil(instant),
            (None, Some(height)) => Phase::HeldAbove {
                era: job.new.era,
                height,
            },
            (None, None) => Phase::InLine,
        }
    }

    /// Whether an earlier master may have assigned a job that is being loaded:
    /// not if it stands behind another that never left the line.
    fn may_have_run(&self, job: &Job) -> bool {
        let behind = self.jobs.get(&job.prev);
        !behind.is_some_and(|prev| prev.phase == Phase::InLine && prev.job.tries == 0)
    }

    fn come_due(&mut self, seq: u64, now: Millis) {
        let Some(entry) = self.jobs.get(&seq) else {
            return;
        };
        if !matches!(entry.phase, Phase::Blocked(_)) {
            self.take_place_now(seq);
        }
        self.requeue(seq, now);
    }

    /// The place of a job that comes due now: behind all known ones. Only for
    /// jobs out of the line.
    fn take_place_now(&mut self, seq: u64) {
        self.turn += 1;
        let place = (self.horizon.top(), self.turn);
        if let Some(entry) = self.jobs.get_mut(&seq) {
            entry.place = place;
        }
    }

    fn lane_for(&mut self, key: &str) -> LaneNo {
        if let Some(no) = self.lane_by_key.get(key) {
            if let Some(lane) = self.lanes.get_mut(no) {
                lane.jobs += 1;
            }
            return *no;
        }
        self.turn += 1;
        let (no, key) = (self.turn, Arc::<str>::from(key));
        self.lane_by_key.insert(key.clone(), no);
        let lane = Lane {
            key,
            jobs: 1,
            running: 0,
            ready: None,
        };
        self.lanes.insert(no, lane);
        no
    }

    fn index(&mut self, seq: u64) {
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
    }

    fn unindex(&mut self, seq: u64) {
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
    }

    /// Whether a job is on a worker counts for the receiver of a delivery.
    fn on_worker(&mut self, seq: u64, is_on: bool) {
        let entry = self.jobs.get(&seq);
        match entry.and_then(|entry| entry.job.new.receiver()) {
            Some(receiver) if is_on => self.deliveries.started(receiver),
            Some(receiver) => self.deliveries.stopped(receiver),
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

    fn first_in_line(&self, lane: LaneNo) -> Option<u64> {
        let (_, seq) = self.line.range((lane, (0, 0))..(lane + 1, (0, 0))).next()?;
        Some(*seq)
    }

    /// Finds out whether a lane is ready, and drops it when it is empty.
    fn settle(&mut self, no: LaneNo) {
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

    fn is_ready(&mut self, need: Need, key: &str, turn: u64, no: LaneNo) {
        if need.apart {
            let lanes = self.ready_apart.entry(need.pool).or_default();
            lanes.insert(turn, no);
            return;
        }
        match need.pool {
            Pool::Run => drop(self.ready_run.insert(turn, no)),
            Pool::Delivery => self.deliveries.ready(receiver_of(key), turn, no),
        }
    }

    fn is_ready_no_more(&mut self, need: Need, key: &str, turn: u64) {
        if need.apart {
            if let Some(lanes) = self.ready_apart.get_mut(&need.pool) {
                lanes.remove(&turn);
            }
            return;
        }
        match need.pool {
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
        // A known predecessor that is in the line stands before this one, and
        // one that is not in the line holds up nobody.
        if prev == 0 || self.knows(prev) || mistake::made(Mistake::PredecessorIgnored) {
            return Some(Need::of(&entry.job));
        }
        self.awaiting.insert((prev, no));
        None
    }
}

fn is_active(phase: Phase) -> bool {
    !matches!(
        phase,
        Phase::HeldUntil(_) | Phase::HeldAbove { .. } | Phase::Parked
    )
}
