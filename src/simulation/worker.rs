//! A worker process: the real link core, and the runs of handlers. A run uses
//! the store as `actors::request_handler` does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::master_link::core::{Action, Core, Event, WorkerIdentity};
use crate::invariants::{Epochs, Invariant, RunId, Violation};
use crate::job::{Attempt, Class, Commit, Job, JobId, Millis, Pool};
use crate::mistake::{self, Mistake};
use crate::protocol::message::{AttemptOutcome, End, FromMaster, FromWorker};
use crate::store::{Accept, Accepted, Committed, Struck};

use super::calls::{Ask, StoreAnswer};
use super::choice::{JobPlan, LinkNo, RunPlan, Side, SimulatedProcess};
use super::fault::Fault;
use super::setting::{RECONNECT, Setting};
use super::world::World;

/// The stage of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stage {
    /// Its claim is being written.
    Claiming,
    /// The handler is working.
    Working,
    /// Its end is being written.
    Writing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SimulatedRun {
    job: Arc<Job>,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct WorkerProcess {
    pub(super) life: u64,
    pub(super) is_up: bool,
    pub(super) is_paused: bool,
    /// How far its wall clock is ahead.
    pub(super) ahead: i64,
    pub(super) is_draining: bool,
    core: Option<Core>,
    link: Option<LinkNo>,
    /// When it may call a master.
    pub(super) call_at: Millis,
    seen: Epochs,
    runs: BTreeMap<(JobId, u32), SimulatedRun>,
}

impl WorkerProcess {
    pub(super) fn is_running(&self) -> bool {
        self.is_up && !self.is_paused
    }

    pub(super) fn start(&mut self, index: usize, setting: &Setting) {
        let life = self.life + 1;
        let identity = WorkerIdentity {
            node_id: String::new(),
            worker_id: format!("worker{index}.{life}"),
            version: String::new(),
            run_capacity: setting.run_capacity,
            delivery_capacity: setting.delivery_capacity,
        };
        *self = Self {
            life,
            is_up: true,
            ahead: self.ahead,
            core: Some(Core::new(identity)),
            ..Self::default()
        };
    }

    pub(super) fn has_runs(&self) -> bool {
        !self.runs.is_empty()
    }

    pub(super) fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.core.as_ref().is_some_and(Core::is_connected)
    }

    /// Whether a drained worker has nothing left to do.
    pub(super) fn may_exit(&self) -> bool {
        let idle = |core: &Core| core.running() == 0 && core.unsent() == 0;
        self.is_draining && self.core.as_ref().is_some_and(idle)
    }

    /// Attempts whose handlers are working.
    pub(super) fn working(&self) -> impl Iterator<Item = (JobId, u32)> {
        let working = self.runs.iter();
        let working = working.filter(|(_, run)| run.stage == Stage::Working);
        working.map(|(attempt, _)| *attempt)
    }

    fn run_id(&self, index: usize, job: JobId, number: u32) -> RunId {
        // There are few lives, and fewer workers.
        let worker = self.life * 100 + index as u64;
        RunId {
            worker,
            job,
            number,
        }
    }

    fn runs_of(&self, pool: Pool) -> u32 {
        let runs = self.runs.values();
        runs.filter(|run| run.job.kind().pool() == pool).count() as u32
    }
}

// The process.
impl World {
    pub(super) fn kill_worker(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let runs: Vec<(JobId, u32)> = worker.runs.keys().copied().collect();
        for (job, number) in runs {
            let run = self.workers[index].run_id(index, job, number);
            self.history.stops(run);
        }
        let worker = &mut self.workers[index];
        worker.runs.clear();
        worker.core = None;
        worker.is_up = false;
        worker.is_paused = false;
        worker.is_draining = false;
        worker.life += 1;
        if let Some(link) = worker.link.take() {
            self.network.close(link, Side::Worker);
        }
    }

    pub(super) fn drain(&mut self, index: usize) {
        self.workers[index].is_draining = true;
        self.happens(index, Event::Drain);
    }

    /// A drained worker exits by itself.
    pub(super) fn exit(&mut self, index: usize) {
        self.kill_worker(index);
    }
}

// The link.
impl World {
    pub(super) fn connect(&mut self, index: usize, master: usize) {
        let Some(core) = &self.workers[index].core else {
            return;
        };
        let hello = FromWorker::Hello(core.greet());
        let link = self.network.connect(index, master, hello);
        self.workers[index].link = Some(link);
    }

    pub(super) fn deliver_down(&mut self, no: LinkNo) {
        let Some(link) = self.network.links.get_mut(&no) else {
            return;
        };
        let Some((sent, message)) = link.down.pop_front() else {
            return;
        };
        let index = link.worker;
        if self.network.overtakes(sent) {
            self.figures.count(Fault::MessagesReordered);
        }
        match message {
            FromMaster::Welcome { epoch, .. } => {
                self.happens(index, Event::Connected { epoch });
                if self.workers[index].is_connected() {
                    let seen = self.workers[index].seen.follows(epoch);
                    self.found(seen);
                }
            }
            message => self.happens(index, Event::Received(message)),
        }
    }

    pub(super) fn worker_notices(&mut self, no: LinkNo) {
        let Some(link) = self.network.links.get(&no) else {
            return;
        };
        let index = link.worker;
        self.leave(index);
    }

    fn leave(&mut self, index: usize) {
        let now = self.now;
        let worker = &mut self.workers[index];
        worker.call_at = now.after(RECONNECT);
        if let Some(link) = worker.link.take() {
            self.network.close(link, Side::Worker);
            self.happens(index, Event::Disconnected);
        }
    }

    fn happens(&mut self, index: usize, event: Event) {
        let Some(core) = &mut self.workers[index].core else {
            return;
        };
        for action in core.handle(event) {
            match action {
                Action::Run(job) => self.begin(index, job),
                Action::News(_) => {}
                Action::Refuse { .. } => self.leave(index),
            }
        }
        self.flush(index);
    }

    fn flush(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let (Some(core), Some(link)) = (&mut worker.core, worker.link) else {
            return;
        };
        let mut messages = Vec::new();
        while let Some(message) = core.next_message() {
            messages.push(message);
        }
        for message in messages {
            self.trace.effect(&message);
            self.check_ends(&message);
            self.network.send_up(link, message);
        }
    }

    /// Checks that a master hears of an end only when the store knows it.
    fn check_ends(&mut self, message: &FromWorker) {
        let FromWorker::Outcomes(outcomes) = message else {
            return;
        };
        for outcome in outcomes {
            if let End::Committed { .. } = outcome.end {
                let seen = self.history.told_of_end(outcome.attempt.job);
                self.found(seen);
            }
        }
    }
}

// Runs.
impl World {
    fn begin(&mut self, index: usize, job: Arc<Job>) {
        let (id, number, pool) = (job.id(), job.attempt, job.kind().pool());
        let worker = &self.workers[index];
        let run = worker.run_id(index, id, number);
        let has = worker.runs_of(pool);
        let capacity = match pool {
            Pool::Run => self.setting.run_capacity,
            Pool::Delivery => self.setting.delivery_capacity,
        };
        if has >= capacity {
            let detail = format!("worker {index} runs {has} of {capacity} and gets {id}");
            self.found(Some(Violation::new(Invariant::CreditKept, detail)));
        }
        let seen = self.history.starts(run, &job, &self.store);
        self.found(seen);
        let is_once = job.kind().class() == Class::Once;
        let stage = match is_once {
            true => Stage::Claiming,
            false => Stage::Working,
        };
        let runs = &mut self.workers[index].runs;
        runs.insert((id, number), SimulatedRun { job, stage });
        if is_once {
            let attempt = Attempt { job: id, number };
            self.ask(SimulatedProcess::Worker(index), Ask::Claim(attempt));
        }
    }

    /// A handler ends, and its result is written.
    pub(super) fn finish(&mut self, index: usize, id: JobId, number: u32, plan: &RunPlan) {
        let wall = self.wall(self.workers[index].ahead);
        let attempt = Attempt { job: id, number };
        let ask = match plan {
            RunPlan::Commit {
                follow_ups,
                cancel,
                failed,
            } => {
                let mut commit = match failed {
                    true => Commit::failed("simulated"),
                    false => Commit::nothing(),
                };
                for plan in follow_ups {
                    commit.job(self.new_job(plan, wall));
                }
                if let Some(id) = cancel {
                    commit.cancel(*id);
                }
                Ask::Commit(attempt, commit)
            }
            RunPlan::Retry(millis) => {
                self.figures.count(Fault::Retry);
                Ask::Reschedule(attempt, wall.after(Duration::from_millis(*millis)))
            }
            RunPlan::Panic => {
                self.figures.count(Fault::Panic);
                Ask::Strike(attempt, wall.after(Duration::from_millis(100)))
            }
        };
        let Some(run) = self.workers[index].runs.get_mut(&(id, number)) else {
            return;
        };
        run.stage = Stage::Writing;
        self.ask(SimulatedProcess::Worker(index), ask);
        if mistake::made(Mistake::ToldBeforeWritten) {
            let end = End::Committed {
                failed: false,
                jobs: Vec::new(),
                cancelled: Vec::new(),
                callers: Vec::new(),
            };
            self.ends(index, attempt, end);
        }
    }

    fn ends(&mut self, index: usize, attempt: Attempt, end: End) {
        let (id, number) = (attempt.job, attempt.number);
        let run = self.workers[index].run_id(index, id, number);
        if self.workers[index].runs.remove(&(id, number)).is_some() {
            self.history.stops(run);
            self.happens(index, Event::Finished(AttemptOutcome { attempt, end }));
        }
    }

    /// A client's call, accepted by the worker that got it.
    pub(super) fn worker_accepts(&mut self, index: usize, plan: &JobPlan) {
        let wall = self.wall(self.workers[index].ahead);
        let accept = Accept {
            jobs: vec![self.new_job(plan, wall)],
            ..Accept::default()
        };
        self.ask(
            SimulatedProcess::Worker(index),
            Ask::Accept(accept, plan.clone()),
        );
    }
}

// Answers of the store.
impl World {
    pub(super) fn worker_answered(&mut self, index: usize, ask: Ask, answer: StoreAnswer) {
        match (ask, answer) {
            (Ask::Accept(_, plan), StoreAnswer::Failed) => self.client_repeats(index, &plan),
            (ask, StoreAnswer::Failed) => self.ask(SimulatedProcess::Worker(index), ask),
            (Ask::Accept(..), StoreAnswer::Accepted(Accepted::Stored { jobs, .. })) => {
                self.submit(index, jobs);
            }
            (Ask::Claim(attempt), StoreAnswer::Claimed(true)) => {
                let run = (attempt.job, attempt.number);
                if let Some(run) = self.workers[index].runs.get_mut(&run) {
                    run.stage = Stage::Working;
                }
            }
            (Ask::Claim(attempt), StoreAnswer::Claimed(false)) => {
                self.ends(index, attempt, End::Fenced);
            }
            (Ask::Commit(attempt, _), StoreAnswer::Committed(committed)) => {
                let end = match committed {
                    Committed::Applied { jobs, cancelled } => End::Committed {
                        failed: false,
                        jobs,
                        cancelled,
                        callers: Vec::new(),
                    },
                    Committed::Fenced => End::Fenced,
                };
                self.ends(index, attempt, end);
            }
            (Ask::Reschedule(attempt, _), StoreAnswer::Rescheduled(kept)) => {
                let end = match kept {
                    Some((not_before, tries)) => End::Rescheduled {
                        not_before,
                        tries,
                        strikes: 0,
                    },
                    None => End::Fenced,
                };
                self.ends(index, attempt, end);
            }
            (Ask::Strike(attempt, _), StoreAnswer::Struck(struck, not_before)) => {
                let end = match struck {
                    Struck::Rescheduled { tries, strikes } => End::Rescheduled {
                        not_before,
                        tries,
                        strikes,
                    },
                    Struck::Parked => End::Parked,
                    Struck::Fenced => End::Fenced,
                };
                self.ends(index, attempt, end);
            }
            _ => {}
        }
    }

    /// A client that got no answer sends its call again, if we recognise that
    /// (it has a source).
    fn client_repeats(&mut self, index: usize, plan: &JobPlan) {
        if plan.source.is_some() && !self.is_calm {
            self.figures.count(Fault::AcceptRepeated);
            self.worker_accepts(index, plan);
        }
    }

    fn submit(&mut self, index: usize, jobs: Vec<Job>) {
        let worker = &self.workers[index];
        let link = worker.link.filter(|_| worker.is_connected());
        let is_sent =
            link.is_some_and(|link| self.network.send_up(link, FromWorker::Submitted(jobs)));
        if !is_sent {
            self.figures.count(Fault::AnnouncementLost);
        }
    }
}
