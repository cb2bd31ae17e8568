//! A whole cluster as one value: masters, workers, the connections between
//! them, the store, and everything under way. Nothing happens by itself:
//! [`World::choices`] says what can, and [`World::apply`] does it. The
//! simulator chooses at random; the model checker tries everything.

use std::collections::{BTreeMap, VecDeque};

use crate::invariants::{Epochs, History, Violation};
use crate::job::{Job, JobId, Millis, NewJob};
use crate::store::semantics::StoreState;

use super::calls::{StoreCall, StoreClient};
use super::choice::{CallNo, Choice, Hold, JobPlan, LinkNo, Side, SimulatedProcess};
use super::fault::{Fault, Figures};
use super::master::MasterProcess;
use super::network::SimulatedNetwork;
use super::setting::Setting;
use super::trace::Trace;
use super::worker::WorkerProcess;

/// How many of the latest announcements can be repeated.
const ANNOUNCED_KEPT: usize = 4;

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub(super) setting: Setting,
    /// True time: the monotonic clock of each process and the clock of the
    /// store.
    pub(super) now: Millis,
    pub(super) height: u64,
    pub(super) store: StoreState,
    pub(super) store_down: bool,
    pub(super) calls: BTreeMap<CallNo, StoreCall>,
    pub(super) masters: Vec<MasterProcess>,
    pub(super) workers: Vec<WorkerProcess>,
    pub(super) network: SimulatedNetwork,
    /// The latest announcements, for repetitions.
    pub(super) announced: VecDeque<Job>,
    next_job: u64,
    pub(super) history: History,
    pub(super) terms: Epochs,
    violation: Option<Violation>,
    /// Whether the faults have stopped.
    pub(super) is_calm: bool,
    pub(super) figures: Figures,
    pub(super) trace: Trace,
}

impl World {
    /// A cluster whose processes are all down.
    pub fn new(setting: Setting) -> Self {
        let masters = (0..setting.masters).map(|_| MasterProcess::default());
        let workers = (0..setting.workers).map(|_| WorkerProcess::default());
        Self {
            setting,
            now: Millis(1_000_000),
            height: 10,
            store: StoreState::default(),
            store_down: false,
            calls: BTreeMap::new(),
            masters: masters.collect(),
            workers: workers.collect(),
            network: SimulatedNetwork::default(),
            announced: VecDeque::new(),
            next_job: 0,
            history: History::default(),
            terms: Epochs::default(),
            violation: None,
            is_calm: false,
            figures: Figures::default(),
            trace: Trace::default(),
        }
    }

    /// The first invariant that did not hold.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The figures so far.
    pub fn figures(&self) -> Figures {
        Figures {
            accepted: self.history.accepted_jobs(),
            committed: self.history.committed_jobs(),
            ..self.figures.clone()
        }
    }

    /// Begins to keep a trace of everything that happens.
    pub fn keep_trace(&mut self) {
        self.trace.begin();
    }

    /// The trace so far.
    pub fn trace(&self) -> &str {
        self.trace.text()
    }

    /// How many jobs are open.
    pub fn open_jobs(&self) -> usize {
        self.store.open().count()
    }

    /// Lets one thing happen.
    pub fn apply(&mut self, choice: Choice) {
        self.figures.steps += 1;
        self.trace.line(self.now, &choice);
        match choice {
            Choice::Start(process) => self.start(process),
            Choice::Resume(process) => self.resume(process),
            Choice::Tick(master) => self.tick(master),
            Choice::Wake(master) => self.wake(master),
            Choice::Connect { worker, master } => self.connect(worker, master),
            Choice::Up(link) => self.deliver_up(link),
            Choice::Down(link) => self.deliver_down(link),
            Choice::Notice(link, side) => self.notice(link, side),
            Choice::Work(call) => self.work(call),
            Choice::Answer(call) => self.answer(call),
            Choice::Finish {
                worker,
                job,
                number,
                plan,
            } => self.finish(worker, job, number, &plan),
            Choice::Announce(master) => self.announce(master),
            Choice::SeeBlock(master) => self.see_block(master),
            Choice::Exit(worker) => self.exit(worker),
            Choice::StoreUp => self.store_down = false,
            Choice::Accept { by, plan } => self.accept(by, &plan),
            Choice::Block => self.height += 1,
            Choice::Pass(millis) => self.pass(millis),
            Choice::Operate(job, action) => self.operator_acts(job, action),
            fault => self.strike(fault),
        }
    }

    fn strike(&mut self, fault: Choice) {
        match fault {
            Choice::Kill(process) => self.kill(process),
            Choice::Pause(process) => self.pause(process),
            Choice::Stop(master) => {
                self.figures.count(Fault::MasterStopped);
                self.stop_master(master);
            }
            Choice::Drain(worker) => {
                self.figures.count(Fault::WorkerDrained);
                self.drain(worker);
            }
            Choice::Cut(link) => {
                self.figures.count(Fault::LinkCut);
                let lost = self.network.cut(link);
                self.lost_messages(lost);
            }
            Choice::HalfOpen(link) => {
                self.figures.count(Fault::LinkHalfOpen);
                let lost = self.network.half_open(link);
                self.lost_messages(lost);
            }
            Choice::Silence(link, side) => {
                self.figures.count(Fault::LinkSilent);
                self.notice(link, side);
            }
            Choice::Fail(call) => self.fail(call),
            Choice::LoseAnswer(call) => self.lose_answer(call),
            Choice::StoreDown => {
                self.figures.count(Fault::StoreDown);
                self.store_down = true;
            }
            Choice::Jump(process, by) => self.jump(process, by),
            Choice::AnnounceAgain { which, master } => self.announce_again(which, master),
            Choice::LoseAnnouncement(master) => {
                self.figures.count(Fault::AnnouncementLost);
                self.masters[master].lose_announcement();
            }
            _ => {}
        }
    }

    /// Lets time pass, without any fault.
    pub fn pass(&mut self, millis: u64) {
        self.now.0 += millis;
    }

    /// Keeps the first violation.
    pub(super) fn found(&mut self, violation: Option<Violation>) {
        if let Some(violation) = violation
            && self.violation.is_none()
        {
            self.trace.note(&violation);
            self.violation = Some(violation);
        }
    }

    /// Reports a violation that only a whole run can show.
    pub fn report(&mut self, violation: Violation) {
        self.found(Some(violation));
    }

    fn lost_messages(&mut self, lost: usize) {
        if lost > 0 {
            self.figures.count(Fault::MessagesLost);
        }
    }

    // ---- processes

    /// The store's caller for this process.
    pub(super) fn caller(&self, process: SimulatedProcess) -> StoreClient {
        match process {
            SimulatedProcess::Master(index) => self.masters[index].caller(),
            SimulatedProcess::Worker(index) => StoreClient {
                life: self.workers[index].life,
                candidacy: 0,
                epoch: None,
            },
        }
    }

    /// Whether a process is up and not paused.
    pub fn is_running(&self, process: SimulatedProcess) -> bool {
        match process {
            SimulatedProcess::Master(index) => self.masters[index].is_running(),
            SimulatedProcess::Worker(index) => self.workers[index].is_running(),
        }
    }

    fn start(&mut self, process: SimulatedProcess) {
        match process {
            SimulatedProcess::Master(index) => self.start_master(index),
            SimulatedProcess::Worker(index) => self.workers[index].start(index, &self.setting),
        }
    }

    fn kill(&mut self, process: SimulatedProcess) {
        match process {
            SimulatedProcess::Master(index) => {
                self.figures.count(Fault::MasterKilled);
                self.kill_master(index);
            }
            SimulatedProcess::Worker(index) => {
                self.figures.count(Fault::WorkerKilled);
                if self.workers[index].has_runs() {
                    self.figures.count(Fault::RunsKilled);
                }
                self.kill_worker(index);
            }
        }
    }

    fn pause(&mut self, process: SimulatedProcess) {
        match process {
            SimulatedProcess::Master(index) => {
                self.figures.count(Fault::MasterPaused);
                self.masters[index].is_paused = true;
            }
            SimulatedProcess::Worker(index) => {
                self.figures.count(Fault::WorkerPaused);
                self.workers[index].is_paused = true;
            }
        }
    }

    fn resume(&mut self, process: SimulatedProcess) {
        match process {
            SimulatedProcess::Master(index) => {
                self.masters[index].is_paused = false;
                let latest = self.store.epoch();
                if (self.masters[index].epoch()).is_some_and(|epoch| epoch < latest) {
                    self.figures.count(Fault::DeposedMasterWakes);
                }
            }
            SimulatedProcess::Worker(index) => self.workers[index].is_paused = false,
        }
    }

    fn jump(&mut self, process: SimulatedProcess, by: i64) {
        self.figures.count(match by > 0 {
            true => Fault::ClockForward,
            false => Fault::ClockBack,
        });
        self.history.dues_forgotten();
        match process {
            SimulatedProcess::Master(index) => self.masters[index].ahead += by,
            SimulatedProcess::Worker(index) => self.workers[index].ahead += by,
        }
    }

    /// The wall clock of a process that is this far ahead of the true time.
    pub(super) fn wall(&self, ahead: i64) -> Millis {
        Millis(self.now.0.saturating_add_signed(ahead))
    }

    fn notice(&mut self, link: LinkNo, side: Side) {
        match side {
            Side::Worker => self.worker_notices(link),
            Side::Master => self.master_notices(link),
        }
    }

    // ---- jobs

    fn accept(&mut self, by: SimulatedProcess, plan: &JobPlan) {
        match by {
            SimulatedProcess::Master(index) => self.master_accepts(index, plan),
            SimulatedProcess::Worker(index) => self.worker_accepts(index, plan),
        }
    }

    /// A job as planned, with an id of its own.
    pub(super) fn new_job(&mut self, plan: &JobPlan, wall: Millis) -> NewJob {
        self.next_job += 1;
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&self.next_job.to_be_bytes());
        // 16 bytes are always an id.
        let id = JobId::from_slice(&bytes).unwrap_or_else(JobId::generate);
        let mut job = NewJob {
            id,
            kind: plan.kind,
            key: format!("key{}", plan.key % self.setting.keys).into(),
            // An empty payload would mean that it is in the store.
            payload: vec![0],
            source: plan.source.map(|source| format!("source{source}")),
            not_before: None,
            after_height: None,
            deadline: None,
            era: 0,
            trace: None,
        };
        match plan.hold {
            Hold::Nothing => {}
            Hold::Time(millis) => job.not_before = Some(Millis(wall.0 + millis)),
            Hold::Blocks(blocks) => job.after_height = Some(self.height + blocks),
        }
        job
    }

    /// Announces jobs, and keeps some to announce them again later.
    pub(super) fn keep_announced(&mut self, jobs: &[Job]) {
        let seen = self.history.told_of_acceptance(jobs);
        self.found(seen);
        self.announced.extend(jobs.iter().cloned());
        while self.announced.len() > ANNOUNCED_KEPT {
            self.announced.pop_front();
        }
    }
}
