//! What the dispatcher decides. A pure state machine: events in, actions out;
//! no clock, no I/O, no chance, so that it can be model-checked and simulated.
//!
//! What it keeps to:
//! - A job is assigned only when nothing of its key runs and its predecessor
//!   has ended.
//! - An attempt is assigned once. Before a job can run anywhere else, its
//!   attempt is raised in the store (`Release`), which fences the old one. That
//!   includes jobs that were open when the master started: another master may
//!   have assigned them, so each is either claimed by a worker that reconnects
//!   (adopted) or raised before it is assigned.
//! - Only the loss of a worker's session counts against the jobs it was running
//!   (a strike): the loss of a master says nothing about them, nor does the
//!   reconnection of a worker that lives.
//! - What the store says is true; announcements and outcomes only make it known
//!   sooner. Where they may be missing something, the store is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::message::{End, Outcome, Running};
use crate::job::{Job, JobId, Millis, Pool};
use crate::mistake::{self, Mistake};
use crate::store::{Release, Released};

use super::ended::Ended;
use super::event::{Action, Event, Options, SessionId};
use super::parked::ParkedLook;
use super::queue::{Phase, Queue};
use super::scan::{self, Scan};
use super::sessions::{Need, Sessions};
use super::snapshot::{SessionSnapshot, Snapshot};

/// How long to wait before asking a store again that did not answer.
const LOAD_RETRY: Duration = Duration::from_millis(200);

/// How many parked jobs a snapshot names.
const PARKED_SHOWN: usize = 100;

/// What jobs may need, in the order in which they are looked after.
const NEEDS: [Need; 4] = [
    Need {
        pool: Pool::Run,
        apart: true,
    },
    Need {
        pool: Pool::Run,
        apart: false,
    },
    Need {
        pool: Pool::Delivery,
        apart: true,
    },
    Need {
        pool: Pool::Delivery,
        apart: false,
    },
];

/// How far the start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// Before `Start`.
    Created,
    /// Reading open jobs from the store.
    Loading,
    /// The store did not answer; ask again then.
    LoadingAgain(Millis),
    /// Waiting, until then if a worker is there, for workers to claim what they
    /// run. What nobody can be running is assigned meanwhile.
    Adopting(Option<Millis>),
    /// Everything is assigned.
    Running,
}

/// What is being asked about a job that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    /// Its attempt is being raised.
    Releasing,
    /// It has this attempt now and is being read.
    Reading(u32),
    /// It was given up, has ended as failed, and was accepted again: the answer
    /// that is on its way is about what it was.
    Overtaken,
}

/// The dispatcher's state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Core {
    options: Options,
    stage: Stage,
    draining: bool,
    queue: Queue,
    sessions: Sessions,
    /// Attempts that workers say they run, of jobs not known yet.
    claims: BTreeMap<JobId, (SessionId, u32)>,
    /// Given-up jobs the store is being asked about, known or not.
    unsettled: BTreeMap<JobId, Asked>,
    scan: Scan,
    parked_look: ParkedLook,
    wake_at: Option<Millis>,
    stale_outcomes: u64,
    ended: Ended,
}

impl Core {
    /// A dispatcher that knows nothing yet; give it [`Event::Start`] first.
    pub fn new(options: Options) -> Self {
        Self {
            stage: Stage::Created,
            draining: false,
            queue: Queue::default(),
            sessions: Sessions::default(),
            claims: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            scan: Scan::default(),
            parked_look: ParkedLook::default(),
            wake_at: None,
            stale_outcomes: 0,
            ended: Ended::default(),
            options,
        }
    }

    /// Takes what happened; says what to do. `now` never runs backwards by more
    /// than a clock correction; a job may then come due late, nothing else.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Action> {
        let mut step = Step {
            now,
            actions: Vec::new(),
            release: Vec::new(),
        };
        self.take(&mut step, event);
        self.queue.pass_time(now);
        self.move_on(&mut step);
        self.dispatch(&mut step);
        self.start_scan(&mut step);
        self.look_at_parked(&mut step);
        self.release(&mut step);
        self.set_wake(&mut step);
        step.actions
    }

    /// What operators and metrics see.
    pub fn snapshot(&self, now: Millis) -> Snapshot {
        Snapshot {
            running: self.stage == Stage::Running,
            jobs: self.queue.counts(),
            oldest: self
                .queue
                .oldest_active()
                .map(|job| job.accepted_at.until(now)),
            sessions: self
                .sessions
                .iter()
                .map(|(id, session)| SessionSnapshot {
                    session: id,
                    worker: session.worker.clone(),
                    run: session.load(Pool::Run),
                    delivery: session.load(Pool::Delivery),
                    draining: session.draining,
                })
                .collect(),
            parked: self
                .queue
                .parked(0)
                .map(|(_, id)| id)
                .take(PARKED_SHOWN)
                .collect(),
            stale_outcomes: self.stale_outcomes,
            complete_seq: self.queue.horizon().complete(),
            height: self.queue.height(),
        }
    }

    /// Whether a job is known to be parked.
    pub fn is_parked(&self, id: JobId) -> bool {
        let found = self.queue.find(id);
        found.is_some_and(|(_, entry)| entry.phase() == Phase::Parked)
    }

    fn take(&mut self, step: &mut Step, event: Event) {
        match event {
            Event::Start => self.load(step),
            Event::Loaded { jobs, full } => self.loaded(step, jobs, full),
            Event::LoadFailed => self.stage = Stage::LoadingAgain(step.now.after(LOAD_RETRY)),
            Event::Announced(jobs) => {
                for job in jobs {
                    self.learn(step, job);
                }
            }
            Event::Height(height) => self.queue.pass_height(height, step.now),
            Event::Era(era) => self.queue.enter_era(era, step.now),
            Event::SessionUp {
                session,
                worker,
                run_capacity,
                delivery_capacity,
                running,
            } => {
                let capacities = [run_capacity, delivery_capacity];
                self.session_up(step, session, worker, capacities, running);
            }
            Event::SessionDraining(session) => {
                self.sessions.drain(session);
                self.share_credit();
            }
            Event::SessionDown(session) => self.session_down(step, session, true),
            Event::Outcomes { session, outcomes } => {
                for outcome in outcomes {
                    self.outcome(step, session, outcome);
                }
            }
            Event::Scanned { ids, full } => self.scanned(step, ids, full),
            Event::ScanFailed => {
                if let scan::Stage::Asked { .. } = self.scan.stage {
                    self.scan.stage = scan::Stage::Idle;
                }
            }
            Event::Fetched(found) => {
                for (id, job) in found {
                    self.fetched(step, id, job);
                }
            }
            Event::Released(released) => self.released(step, released),
            Event::Changed(job) => self.changed(step, job),
            Event::Gone(id) => self.gone(step, id),
            Event::Wake => self.wake_at = None,
            Event::Drain => self.draining = true,
        }
    }

    // ---- start

    fn load(&mut self, step: &mut Step) {
        self.stage = Stage::Loading;
        step.actions.push(Action::Load {
            after: self.queue.horizon().complete(),
            limit: self.options.page,
        });
    }

    fn loaded(&mut self, step: &mut Step, jobs: Vec<Job>, full: bool) {
        if self.stage != Stage::Loading {
            return;
        }
        let through = jobs.last().map(|job| job.seq);
        for job in jobs {
            self.learn(step, job);
        }
        if let Some(through) = through {
            self.queue.advance(through);
        }
        if full && through.is_some() {
            self.load(step);
            return;
        }
        if self.queue.is_empty() {
            self.begin(step);
            return;
        }
        self.stage = Stage::Adopting(None);
        self.scan.no_later_than(step.now);
        self.queue.begin_adoption();
        self.count_down(step);
    }

    /// Workers that look for this master find it at about the same time: when
    /// the first is there, the others have a moment.
    fn count_down(&mut self, step: &Step) {
        if self.stage == Stage::Adopting(None) && !self.sessions.is_empty() {
            self.stage = Stage::Adopting(Some(step.now.after(self.options.adoption_window)));
        }
    }

    fn begin(&mut self, step: &mut Step) {
        self.stage = Stage::Running;
        self.queue.end_adoption();
        self.scan.no_later_than(step.now);
    }

    fn move_on(&mut self, step: &mut Step) {
        match self.stage {
            Stage::LoadingAgain(instant) if instant <= step.now => self.load(step),
            // Later than ever planned: the clock has been set back.
            Stage::Adopting(Some(until))
                if until <= step.now || until > step.now.after(self.options.adoption_window) =>
            {
                self.begin(step);
            }
            _ => {}
        }
    }

    /// An open job, from wherever. Known and ended ones change nothing.
    fn learn(&mut self, step: &mut Step, job: Job) {
        let (id, seq, attempt) = (job.id(), job.seq, job.attempt);
        if self.ended.has(id, attempt) {
            self.queue.has_ended(seq);
            return;
        }
        self.replace_earlier(step, id, seq);
        let loaded = !self.is_open();
        if !self.queue.insert(job, loaded, step.now) {
            return;
        }
        if self.unsettled.contains_key(&id) {
            self.queue.enter(seq, Phase::Unsettled);
        } else if let Some((session, claimed)) = self.claims.remove(&id)
            && claimed >= attempt
        {
            self.queue.enter(seq, Phase::Assigned(session));
        }
    }

    /// A job that is known at an earlier place has ended as failed, which its
    /// worker is about to say, and was accepted again.
    fn replace_earlier(&mut self, step: &mut Step, id: JobId, seq: u64) {
        let known = self.queue.find(id).map(|(seq, _)| seq);
        if let Some(earlier) = known.filter(|earlier| *earlier < seq) {
            if let Some(asked) = self.unsettled.get_mut(&id) {
                *asked = Asked::Overtaken;
            }
            self.queue.remove(earlier);
            self.scan.no_later_than(step.now);
        }
    }

    // ---- sessions

    fn session_up(
        &mut self,
        step: &mut Step,
        session: SessionId,
        worker: String,
        capacities: [u32; 2],
        running: Vec<Running>,
    ) {
        let earlier = self.sessions.of_worker(&worker);
        self.sessions.add(session, worker, capacities);
        self.share_credit();
        for run in running {
            let (id, attempt) = (run.attempt.job, run.attempt.number);
            let known = self.queue.find(id).map(|(_, entry)| entry.job());
            let need = Need {
                pool: run.pool,
                apart: known.is_some_and(|job| job.runs_apart()),
            };
            self.sessions.occupy(session, id, attempt, need);
            self.claim(session, earlier, id, attempt);
        }
        if let Some(earlier) = earlier {
            // What the worker did not claim never reached it, or has ended; the
            // worker lives.
            self.session_down(step, earlier, false);
            step.actions.push(Action::Close(earlier));
        }
        self.count_down(step);
    }

    /// A worker says that it still runs this attempt.
    fn claim(&mut self, session: SessionId, earlier: Option<SessionId>, id: JobId, attempt: u32) {
        let Some((seq, entry)) = self.queue.find(id) else {
            let better = |(_, claimed): &(SessionId, u32)| *claimed >= attempt;
            let taken = self
                .claims
                .get(&id)
                .filter(|claim| Some(claim.0) != earlier)
                .is_some_and(better);
            if !taken && !self.unsettled.contains_key(&id) {
                self.claims.insert(id, (session, attempt));
            }
            return;
        };
        let is_free = match entry.phase() {
            Phase::Assigned(holder) => Some(holder) == earlier,
            Phase::Unsettled => false,
            _ => true,
        };
        if is_free && attempt >= entry.job().attempt {
            self.queue.enter(seq, Phase::Assigned(session));
        }
    }

    fn session_down(&mut self, step: &mut Step, session: SessionId, is_lost: bool) {
        let Some((worker, running)) = self.sessions.remove(session) else {
            return;
        };
        let strike = is_lost.then(|| format!("its worker {worker} was lost while it had the job"));
        for (id, attempt) in running {
            match self.queue.find(id) {
                Some((seq, entry)) => {
                    if entry.phase() == Phase::Assigned(session)
                        && attempt >= entry.job().attempt
                        && !mistake::made(Mistake::LostSessionForgotten)
                    {
                        self.give_up(step, seq, id, strike.clone());
                    }
                }
                None => {
                    if self.claims.get(&id) == Some(&(session, attempt)) {
                        self.claims.remove(&id);
                        self.ask(step, id, strike.clone());
                    }
                }
            }
        }
        self.share_credit();
        // Its last outcomes and announcements may be lost.
        self.scan.no_later_than(step.now);
    }

    /// Receivers of deliveries have shares of what all workers grant.
    fn share_credit(&mut self) {
        let credit = self.sessions.capacity(Pool::Delivery);
        self.queue.set_delivery_credit(credit);
    }

    fn give_up(&mut self, step: &mut Step, seq: u64, id: JobId, strike: Option<String>) {
        self.queue.enter(seq, Phase::Unsettled);
        self.ask(step, id, strike);
    }

    fn ask(&mut self, step: &mut Step, id: JobId, strike: Option<String>) {
        if self.unsettled.insert(id, Asked::Releasing).is_none() {
            step.release.push(Release { job: id, strike });
        }
    }

    // ---- outcomes

    fn outcome(&mut self, step: &mut Step, session: SessionId, outcome: Outcome) {
        let (id, attempt) = (outcome.attempt.job, outcome.attempt.number);
        self.sessions.vacate(session, id, attempt);
        if self.claims.get(&id) == Some(&(session, attempt)) {
            self.claims.remove(&id);
        }
        let Some((seq, entry)) = self.queue.find(id) else {
            if let End::Committed {
                jobs, cancelled, ..
            } = outcome.end
            {
                self.ended.note(id, attempt);
                self.follow_up(step, jobs, cancelled);
            }
            return;
        };
        if attempt < entry.job().attempt {
            self.stale_outcomes += 1;
            return;
        }
        let holder = match entry.phase() {
            Phase::Assigned(holder) => Some(holder),
            _ => None,
        };
        match &outcome.end {
            End::Committed { failed, .. } => self.queue.judge(seq, *failed),
            End::Rescheduled { .. } | End::Parked => self.queue.judge(seq, true),
            End::Fenced | End::HandedBack => {}
        }
        match outcome.end {
            End::Committed {
                jobs, cancelled, ..
            } => {
                if let Some(holder) = holder {
                    self.sessions.vacate(holder, id, attempt);
                }
                self.queue.remove(seq);
                self.follow_up(step, jobs, cancelled);
            }
            // The store is being asked already, or will be when the other
            // session of this worker is lost.
            _ if holder != Some(session) => self.stale_outcomes += 1,
            End::Rescheduled { not_before, tries } => {
                self.queue.reschedule(seq, not_before, tries, step.now);
            }
            // Not asked for: an answer that is on its way may be older. What an
            // operator decides meanwhile is told, or looked up with the others.
            End::Parked => self.queue.park(seq, step.now),
            End::Fenced => self.give_up(step, seq, id, None),
            End::HandedBack => self.queue.requeue(seq, step.now),
        }
    }

    fn follow_up(&mut self, step: &mut Step, jobs: Vec<Job>, cancelled: Vec<JobId>) {
        for job in jobs {
            self.learn(step, job);
        }
        for id in cancelled {
            // One that runs keeps its key until its worker finds itself fenced.
            if let Some((seq, entry)) = self.queue.find(id)
                && !matches!(entry.phase(), Phase::Assigned(_) | Phase::Unsettled)
            {
                self.queue.remove(seq);
            }
        }
    }

    // ---- operators

    fn changed(&mut self, step: &mut Step, job: Job) {
        let id = job.id();
        let Some((seq, entry)) = self.queue.find(id) else {
            return self.learn(step, job);
        };
        if seq != job.seq {
            return self.learn(step, job);
        }
        let is_news = match (entry.phase(), self.unsettled.get(&id)) {
            // The answer will tell.
            (Phase::Unsettled, Some(Asked::Releasing | Asked::Overtaken) | None) => false,
            (Phase::Unsettled, Some(Asked::Reading(attempt))) => job.attempt > *attempt,
            _ => job.attempt > entry.job().attempt,
        };
        if is_news {
            self.unsettled.remove(&id);
            self.queue.refresh(job, step.now);
        }
    }

    fn gone(&mut self, step: &mut Step, id: JobId) {
        let phase = self.queue.find(id).map(|(_, entry)| entry.phase());
        match (phase, self.unsettled.get(&id)) {
            // Its worker, or the store, is about to tell.
            (Some(Phase::Assigned(_)), _) | (_, Some(Asked::Releasing | Asked::Overtaken)) => {}
            _ => self.found_ended(step, id),
        }
    }

    /// Operators may have decided when nobody could tell.
    fn look_at_parked(&mut self, step: &mut Step) {
        if !self.is_open() || !self.parked_look.is_due(step.now) {
            return;
        }
        let next = step.now.after(self.options.parked_interval);
        let page = self.queue.parked(self.parked_look.after());
        let page: Vec<_> = page.take(self.options.page).collect();
        self.parked_look.start(&page, next);
        if !page.is_empty() {
            let ids = page.into_iter().map(|(_, id)| id).collect();
            step.actions.push(Action::Fetch(ids));
        }
    }

    // ---- answers of the store

    fn released(&mut self, step: &mut Step, released: Vec<(JobId, Released)>) {
        let mut read = Vec::new();
        for (id, fate) in released {
            if self.unsettled.get(&id) == Some(&Asked::Overtaken) {
                self.unsettled.remove(&id);
                self.ask(step, id, None);
                continue;
            }
            match fate {
                Released::Open { attempt } => {
                    self.unsettled.insert(id, Asked::Reading(attempt));
                    read.push(id);
                }
                Released::Ended => self.found_ended(step, id),
            }
        }
        if !read.is_empty() {
            step.actions.push(Action::Fetch(read));
        }
    }

    fn found_ended(&mut self, step: &mut Step, id: JobId) {
        self.unsettled.remove(&id);
        if let Some((seq, _)) = self.queue.find(id) {
            self.queue.remove(seq);
        }
        // Whoever ended it may have left follow-up jobs nobody announced.
        self.scan.no_later_than(step.now);
    }

    fn fetched(&mut self, step: &mut Step, id: JobId, job: Option<Job>) {
        let looked_at = self.parked_look.answered(id);
        if self.is_parked(id) && !self.unsettled.contains_key(&id) {
            return self.looked_at(step, id, looked_at, job);
        }
        match (self.unsettled.get(&id), job) {
            (Some(Asked::Overtaken), _) => {
                self.unsettled.remove(&id);
                self.ask(step, id, None);
            }
            (Some(Asked::Reading(_)), None) => self.found_ended(step, id),
            (Some(Asked::Reading(attempt)), Some(job)) if job.attempt >= *attempt => {
                self.unsettled.remove(&id);
                match self.queue.find(id) {
                    Some((seq, entry)) if seq == job.seq => {
                        if entry.phase() == Phase::Unsettled {
                            self.queue.refresh(job, step.now);
                        }
                    }
                    _ => self.learn(step, job),
                }
            }
            // An older answer: read before the attempt was raised, for a scan.
            (_, Some(job)) => self.learn(step, job),
            (_, None) => {}
        }
        if let Some((through, full)) = self.scan.found(id) {
            self.complete(step, through, full);
        }
    }

    /// The store told of a job that is parked here; it was asked for the one
    /// accepted at `seq`.
    fn looked_at(&mut self, step: &mut Step, id: JobId, seq: Option<u64>, job: Option<Job>) {
        let known = self.queue.find(id).map(|(seq, _)| seq);
        match job {
            Some(job) if Some(job.seq) == known => self.changed(step, job),
            None if seq.is_some() && seq == known => self.found_ended(step, id),
            _ => {}
        }
    }

    fn scanned(&mut self, step: &mut Step, ids: Vec<(u64, JobId)>, full: bool) {
        let scan::Stage::Asked { top } = self.scan.stage else {
            return;
        };
        let last = ids.last().map_or(0, |(seq, _)| *seq);
        // A page that is not full shows every open job that was accepted before
        // it was asked for; those below `top` that it does not show have ended.
        let through = if full { last } else { last.max(top) };
        let missing: Vec<JobId> = ids
            .into_iter()
            .filter(|(seq, _)| !self.queue.knows(*seq))
            .map(|(_, id)| id)
            .collect();
        if missing.is_empty() {
            self.scan.stage = scan::Stage::Idle;
            self.complete(step, through, full);
            return;
        }
        self.scan.stage = scan::Stage::Missing {
            through,
            ids: missing.iter().copied().collect(),
            full,
        };
        step.actions.push(Action::Fetch(missing));
    }

    fn complete(&mut self, step: &mut Step, through: u64, full: bool) {
        self.queue.advance(through);
        if full {
            self.scan.no_later_than(step.now);
        }
    }

    // ---- what follows from it

    /// Whether all jobs that were open at the start are known.
    fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Adopting(_) | Stage::Running)
    }

    fn dispatch(&mut self, step: &mut Step) {
        if !self.is_open() || self.draining {
            return;
        }
        let mut batches: BTreeMap<SessionId, Vec<Arc<Job>>> = BTreeMap::new();
        for need in NEEDS {
            while let Some(session) = self.sessions.freest(need)
                && let Some((seq, entry)) = self.queue.first_ready(need)
            {
                let job = entry.job().clone();
                let suspects = self.queue.suspects_beside(seq);
                if !suspects.is_empty() {
                    if self.unsettled.len() >= self.options.release_batch {
                        break;
                    }
                    for (seq, id) in suspects {
                        self.give_up(step, seq, id, None);
                    }
                    continue;
                }
                self.queue.enter(seq, Phase::Assigned(session));
                self.sessions.occupy(session, job.id(), job.attempt, need);
                batches.entry(session).or_default().push(job);
            }
        }
        for (session, jobs) in batches {
            step.actions.push(Action::Assign { session, jobs });
        }
    }

    fn start_scan(&mut self, step: &mut Step) {
        if !self.is_open() {
            return;
        }
        if self.queue.has_gap() {
            let soon = step.now.after(self.options.gap_delay);
            self.scan.no_later_than(soon);
        }
        if self.scan.is_due(step.now, self.options.scan_interval)
            && !mistake::made(Mistake::ScanForgotten)
        {
            let next = step.now.after(self.options.scan_interval);
            self.scan.start(self.queue.horizon().top(), next);
            step.actions.push(Action::Scan {
                after: self.queue.horizon().complete(),
                limit: self.options.page,
            });
        }
    }

    fn release(&mut self, step: &mut Step) {
        if !step.release.is_empty() {
            let jobs = std::mem::take(&mut step.release);
            step.actions.push(Action::Release(jobs));
        }
    }

    fn set_wake(&mut self, step: &mut Step) {
        let stage = match self.stage {
            Stage::LoadingAgain(instant) => Some(instant),
            Stage::Adopting(until) => until,
            Stage::Running | Stage::Created | Stage::Loading => None,
        };
        let look = match self.queue.parked(0).next() {
            Some(_) if self.is_open() => Some(self.parked_look.due()),
            _ => None,
        };
        let scan = self.is_open().then(|| self.scan.next_instant()).flatten();
        let next = [stage, scan, look, self.queue.next_instant()]
            .into_iter()
            .flatten()
            .min();
        if let Some(instant) = next
            && self.wake_at != Some(instant)
        {
            self.wake_at = Some(instant);
            step.actions.push(Action::WakeAt(instant));
        }
    }
}

/// What one event leads to.
struct Step {
    now: Millis,
    actions: Vec<Action>,
    release: Vec<Release>,
}
