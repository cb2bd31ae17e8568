//! All open jobs, in one line per key.
//!
//! A job is in exactly one [`Phase`]. Only [`Queue::put`] changes it, so that
//! all indexes agree. Each key has a *lane*. The jobs in its line are ordered
//! by place: the store's `seq` or, for jobs that were held, the highest `seq`
//! known when they came due. A lane is ready when nothing of it runs and its
//! first job may start.

mod indexes;
mod lanes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::job::{Job, JobId, Kind, Millis};
use crate::protocol::message::light;

use crate::mistake::{self, Mistake};

use super::amount::Amount;
use super::event::SessionId;
use super::holds::Holds;
use super::horizon::Horizon;
use super::kinds::KindCounts;
use super::receivers::Receivers;
use super::sessions::Need;
use super::snapshot::{JobCounts, KindSnapshot, ReceiverSnapshot};
use super::tally::Tally;

/// Jobs that are looked at for the oldest of each kind.
const LOOKED_AT: usize = 10_000;

/// Where an open job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// In the line of its key.
    InLine,
    /// In the line of its key, which it blocks until the instant.
    Blocked(Millis),
    /// Out of the line until the instant.
    HeldUntil(Millis),
    /// Out of the line until a block above the height, in this era of the ledger.
    HeldAbove { era: u64, height: u64 },
    /// On a worker.
    Assigned(SessionId),
    /// Given up. The store is being asked for its fate.
    Unsettled,
    /// In the line of its key, which it blocks until an operator has decided.
    Parked,
}

type LaneNo = u64;

/// Place in a line: a `seq`, then a counter for jobs that came due later.
type QueuePosition = (u64, u64);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct QueueEntry {
    job: Arc<Job>,
    lane: LaneNo,
    place: QueuePosition,
    phase: Phase,
}

impl QueueEntry {
    pub(crate) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Lane {
    key: Arc<str>,
    /// In any phase.
    jobs: u32,
    /// Jobs that are assigned or unsettled. Nothing else may start.
    running: u32,
    /// For the lane of a request: its jobs that are in line, assigned or
    /// unsettled.
    of_request: u32,
    /// What its first job needs, and its turn in `ready`.
    ready: Option<(Need, u64)>,
    /// Jobs in line that only their place keeps from starting.
    in_line: Amount,
    waits_for: WaitsFor,
}

/// What the jobs in line wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum WaitsFor {
    Worker,
    /// The receiver of a delivery, if it has its full share; then a worker.
    Receiver,
    /// The first job, which waits for an instant or an operator.
    First,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Queue {
    jobs: BTreeMap<u64, QueueEntry>,
    seqs: BTreeMap<JobId, u64>,
    lanes: BTreeMap<LaneNo, Lane>,
    lane_by_key: BTreeMap<Arc<str>, LaneNo>,
    line: BTreeMap<(LaneNo, QueuePosition), u64>,
    /// Lanes whose first job is the node's own work and may start, in the order
    /// they became ready.
    ready_run: BTreeMap<u64, LaneNo>,
    /// The same, for jobs that run apart because of their strikes.
    ready_run_apart: BTreeMap<u64, LaneNo>,
    /// Lanes whose first job is a delivery and may start, by receiver.
    deliveries: Receivers,
    /// Lanes whose first job is a message of another node and may start, by sender.
    messages: Receivers,
    /// Credit of all workers for the node's own work, messages included.
    run_credit: u32,
    /// Lanes whose first job waits for an unknown predecessor, by that
    /// predecessor.
    awaiting: BTreeSet<(u64, LaneNo)>,
    /// Jobs that an earlier master may have assigned and that nobody has
    /// claimed.
    suspects: BTreeSet<(LaneNo, u64)>,
    /// Whether lanes with suspects wait for workers to claim them.
    is_adopting: bool,
    holds: Holds,
    parked: BTreeSet<u64>,
    /// Jobs that are neither held nor parked.
    active: BTreeSet<u64>,
    horizon: Horizon,
    /// Which era of the ledger is followed.
    era: u64,
    height: u64,
    turn: u64,
    counts: JobCounts,
    tally: Tally,
    kinds: KindCounts,
    all: Amount,
    /// Jobs that wait for an instant, a block or an operator.
    held: Amount,
    /// Jobs in line behind one that waits for an instant or an operator.
    behind: Amount,
}

impl Queue {
    pub(crate) fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    pub(crate) fn height(&self) -> u64 {
        self.height
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(crate) fn next_instant(&self) -> Option<Millis> {
        self.holds.next_instant()
    }

    /// Whether a job waits for a predecessor that nobody announced.
    pub(crate) fn has_gap(&self) -> bool {
        !self.awaiting.is_empty()
    }

    pub(crate) fn find(&self, id: JobId) -> Option<(u64, &QueueEntry)> {
        let seq = *self.seqs.get(&id)?;
        self.jobs.get(&seq).map(|entry| (seq, entry))
    }

    /// Whether this job is known to be open or to have ended.
    pub(crate) fn knows(&self, seq: u64) -> bool {
        self.jobs.contains_key(&seq) || self.horizon.is_past(seq)
    }

    /// Adds an open job. False if it is known or has ended. `loaded`: it was
    /// open before this master started.
    pub(crate) fn insert(&mut self, job: Job, loaded: bool, now: Millis) -> bool {
        let (id, seq) = (job.id(), job.seq);
        if self.seqs.contains_key(&id) || self.knows(seq) {
            return false;
        }
        self.horizon.saw(seq);
        let lane = self.lane_for(&job.new.key);
        let job = Arc::new(light(job));
        let phase = self.phase_by_itself(&job, now);
        // The earlier master's height and clock are not known.
        if loaded
            && phase != Phase::Parked
            && self.may_have_run(&job)
            && !mistake::made(Mistake::SuspectsTrusted)
        {
            self.suspects.insert((lane, seq));
        }
        if let Some((receivers, name)) = self.receivers_of(&job) {
            receivers.add(name);
        }
        self.all.step(Amount::of(&job), true);
        self.seqs.insert(id, seq);
        self.jobs.insert(
            seq,
            QueueEntry {
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

    /// Removes a job that has ended.
    pub(crate) fn remove(&mut self, seq: u64) {
        self.unindex(seq);
        let Some(entry) = self.jobs.remove(&seq) else {
            return;
        };
        self.all.step(Amount::of(&entry.job), false);
        self.seqs.remove(&entry.job.id());
        self.suspects.remove(&(entry.lane, seq));
        self.horizon.has_ended(seq);
        if let Some(lane) = self.lanes.get_mut(&entry.lane) {
            lane.jobs -= 1;
        }
        if let Some((receivers, name)) = self.receivers_of(&entry.job) {
            receivers.remove(name);
        }
        self.settle(entry.lane);
    }

    /// Notes whether a delivery or a message has failed.
    pub(crate) fn judge(&mut self, seq: u64, failed: bool) {
        let job = self.jobs.get(&seq).map(|entry| entry.job.clone());
        if let Some(job) = job
            && let Some((receivers, name)) = self.receivers_of(&job)
        {
            receivers.judge(name, failed);
        }
    }

    /// The counts for the receiver of a delivery or the sender of a message.
    pub(crate) fn receivers_of<'a>(&mut self, job: &'a Job) -> Option<(&mut Receivers, &'a str)> {
        match (job.new.receiver(), job.new.sender()) {
            (Some(receiver), _) => Some((&mut self.deliveries, receiver)),
            (None, Some(sender)) => Some((&mut self.messages, sender)),
            (None, None) => None,
        }
    }

    /// Sets the credit of all workers together.
    pub(crate) fn set_credit(&mut self, run: u32, delivery: u32) {
        self.run_credit = run;
        self.messages.set_credit(run);
        self.deliveries.set_credit(delivery);
    }

    /// Notes that a job that is not known here has ended.
    pub(crate) fn has_ended(&mut self, seq: u64) {
        self.horizon.saw(seq);
        self.horizon.has_ended(seq);
        let waiting = self.awaiting.range((seq, 0)..(seq + 1, 0));
        let waiting: Vec<(u64, LaneNo)> = waiting.copied().collect();
        for wait in waiting {
            self.awaiting.remove(&wait);
            self.settle(wait.1);
        }
    }

    /// Notes that the store has parked a job.
    pub(crate) fn park(&mut self, seq: u64, now: Millis) {
        self.change(seq, now, |job| job.parked = true);
    }

    pub(crate) fn enter(&mut self, seq: u64, phase: Phase) {
        self.unindex(seq);
        self.put(seq, phase);
    }

    /// Adds a job that is in no index to those of its phase.
    fn put(&mut self, seq: u64, phase: Phase) {
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

    /// Takes the store's version of a known job.
    pub(crate) fn refresh(&mut self, job: Job, now: Millis) {
        self.change(job.seq, now, |known| *known = light(job));
    }

    /// Changes a known job and puts it into the phase that follows. A
    /// rescheduled job keeps its place and blocks its key, or leaves the line,
    /// as its kind says.
    pub(crate) fn change(&mut self, seq: u64, now: Millis, how: impl FnOnce(&mut Job)) {
        // Some indexes use the job itself, so it must be in none while it
        // changes.
        self.unindex(seq);
        let Some(entry) = self.jobs.get_mut(&seq) else {
            return;
        };
        let before = entry.job.clone();
        how(Arc::make_mut(&mut entry.job));
        let job = entry.job.clone();
        self.all.step(Amount::of(&before), false);
        self.all.step(Amount::of(&job), true);
        // A record that has become unreadable may have lost its kind and key.
        let counted = |job: &Job| (job.kind(), job.new.key.clone());
        if counted(&before) != counted(&job) {
            if let Some((receivers, name)) = self.receivers_of(&before) {
                receivers.remove(name);
            }
            if let Some((receivers, name)) = self.receivers_of(&job) {
                receivers.add(name);
            }
        }
        self.put(seq, self.phase_by_itself(&job, now));
    }

    /// Puts a job back into its natural phase, at its old place.
    pub(crate) fn requeue(&mut self, seq: u64, now: Millis) {
        if let Some(entry) = self.jobs.get(&seq) {
            let phase = self.phase_by_itself(&entry.job, now);
            self.enter(seq, phase);
        }
    }

    /// Lets jobs come due whose instant has come.
    pub(crate) fn pass_time(&mut self, now: Millis) {
        while let Some(seq) = self.holds.due(now) {
            self.come_due(seq, now);
        }
    }

    /// Lets jobs come due that waited for a block below `height`.
    pub(crate) fn pass_height(&mut self, height: u64, now: Millis) {
        self.height = height;
        while let Some(seq) = self.holds.above(self.era, height) {
            self.come_due(seq, now);
        }
    }

    /// Enters an era of the ledger: lets jobs come due that wait for a block of
    /// an earlier one, which will never come.
    pub(crate) fn enter_era(&mut self, era: u64, now: Millis) {
        if era > self.era {
            self.era = era;
            self.pass_height(0, now);
        }
    }

    /// Notes that everything open up to `through` is known.
    pub(crate) fn advance(&mut self, through: u64) {
        self.horizon.advance(through);
        let later = self.awaiting.split_off(&(through + 1, 0));
        for (_, lane) in std::mem::replace(&mut self.awaiting, later) {
            self.settle(lane);
        }
    }

    pub(crate) fn counts(&self) -> JobCounts {
        let run = self.ready_run.len() + self.ready_run_apart.len();
        let ready = run + self.messages.count() + self.deliveries.count();
        JobCounts {
            ready,
            waiting: self.counts.waiting - ready,
            dormant: self.dormant().jobs as usize,
            ..self.counts
        }
    }

    pub(crate) fn all(&self) -> Amount {
        self.all
    }

    /// Jobs that no worker can end now, however many there are: they wait for
    /// an instant, a block, an operator or a receiver with a full share, or
    /// behind such a job.
    pub(crate) fn dormant(&self) -> Amount {
        self.held.plus(self.behind).plus(self.deliveries.held_up())
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Open jobs by kind.
    pub(crate) fn kinds(&self) -> Vec<KindSnapshot> {
        self.kinds.shown()
    }

    /// The receivers of deliveries that operators should see first.
    pub(crate) fn receivers(&self, limit: usize) -> Vec<ReceiverSnapshot> {
        self.deliveries.shown(limit)
    }

    /// Sets which receivers get nothing. All others do.
    pub(crate) fn pause(&mut self, receivers: BTreeSet<Arc<str>>) {
        self.deliveries.set_paused(receivers);
    }

    /// Parked jobs with `seq > after`, oldest first.
    pub(crate) fn parked(&self, after: u64) -> impl Iterator<Item = (u64, JobId)> {
        self.parked
            .range(after.saturating_add(1)..)
            .filter_map(|seq| Some((*seq, self.jobs.get(seq)?.job.id())))
    }

    /// When the oldest job of each kind was accepted, of the oldest jobs that
    /// are neither held nor parked.
    pub(crate) fn oldest_by_kind(&self) -> HashMap<Kind, Millis> {
        let mut oldest = HashMap::new();
        for seq in self.active.iter().take(LOOKED_AT) {
            if let Some(entry) = self.jobs.get(seq) {
                let accepted = entry.job.accepted_at;
                oldest.entry(entry.job.kind()).or_insert(accepted);
            }
        }
        oldest
    }

    /// The oldest job that is neither held nor parked.
    pub(crate) fn oldest_active(&self) -> Option<&Job> {
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
        let keeps_its_place =
            job.tries > 0 && job.kind().keeps_its_place() && !mistake::made(Mistake::RetryFreesKey);
        match (later, above) {
            _ if job.parked => Phase::Parked,
            (Some(instant), _) if keeps_its_place => Phase::Blocked(instant),
            (Some(instant), _) => Phase::HeldUntil(instant),
            (None, Some(height)) => Phase::HeldAbove {
                era: job.new.era,
                height,
            },
            (None, None) => Phase::InLine,
        }
    }

    /// Whether an earlier master may have assigned a job that is being loaded.
    /// It did not if the job stands behind another that never left the line.
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

    /// Gives a job that comes due now a place behind all known ones. Only for
    /// jobs out of the line.
    fn take_place_now(&mut self, seq: u64) {
        self.turn += 1;
        let place = (self.horizon.top(), self.turn);
        if let Some(entry) = self.jobs.get_mut(&seq) {
            entry.place = place;
        }
    }
}
