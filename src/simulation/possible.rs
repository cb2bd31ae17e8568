//! What can happen next.

use crate::job::{Job, JobId, Kind, noop};
use crate::store;

use super::calls::StoreCall;
use super::choice::{CallNo, Choice, LinkNo, RunPlan, Side, SimulatedProcess};
use super::world::World;

impl World {
    /// Everything that can happen by itself, in a fixed order. Handlers end
    /// well here; an explorer may let them end otherwise.
    pub fn progress(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        self.processes_go_on(&mut choices);
        self.timers_fire(&mut choices);
        self.messages_arrive(&mut choices);
        self.store_answers(&mut choices);
        self.workers_work(&mut choices);
        choices
    }

    /// Every process, masters first.
    pub fn processes(&self) -> impl Iterator<Item = SimulatedProcess> + use<> {
        let masters = (0..self.masters.len()).map(SimulatedProcess::Master);
        masters.chain((0..self.workers.len()).map(SimulatedProcess::Worker))
    }

    fn processes_go_on(&self, choices: &mut Vec<Choice>) {
        for process in self.processes() {
            if !self.is_up(process) {
                choices.push(Choice::Start(process));
            } else if self.is_paused(process) {
                choices.push(Choice::Resume(process));
            }
        }
        if self.store_down {
            choices.push(Choice::StoreUp);
        }
    }

    fn timers_fire(&self, choices: &mut Vec<Choice>) {
        for (index, master) in self.masters.iter().enumerate() {
            if !master.is_running() {
                continue;
            }
            if master.tick_at().is_some_and(|at| at <= self.now) {
                choices.push(Choice::Tick(index));
            }
            if master.wake_at().is_some_and(|at| at <= self.now) {
                choices.push(Choice::Wake(index));
            }
            if master.unannounced() > 0 {
                choices.push(Choice::Announce(index));
            }
            if master.height().is_some_and(|height| height < self.height) {
                choices.push(Choice::SeeBlock(index));
            }
        }
    }

    fn messages_arrive(&self, choices: &mut Vec<Choice>) {
        for (no, link) in &self.network.links {
            let master_runs = self.masters[link.master].is_running();
            let worker_runs = self.workers[link.worker].is_running();
            if master_runs && link.master_open && !link.up.is_empty() {
                choices.push(Choice::Up(*no));
            }
            if worker_runs && link.worker_open && !link.down.is_empty() {
                choices.push(Choice::Down(*no));
            }
            if master_runs && link.can_notice(Side::Master) {
                choices.push(Choice::Notice(*no, Side::Master));
            }
            if worker_runs && link.can_notice(Side::Worker) {
                choices.push(Choice::Notice(*no, Side::Worker));
            }
        }
    }

    fn store_answers(&self, choices: &mut Vec<Choice>) {
        for (no, call) in &self.calls {
            if !call.is_answered() {
                if !self.store_down {
                    choices.push(Choice::Work(*no));
                }
            } else if self.is_running(no.0) {
                choices.push(Choice::Answer(*no));
            }
        }
    }

    fn workers_work(&self, choices: &mut Vec<Choice>) {
        for (index, worker) in self.workers.iter().enumerate() {
            if !worker.is_running() {
                continue;
            }
            if worker.may_exit() {
                choices.push(Choice::Exit(index));
            }
            if !worker.is_linked() && worker.call_at <= self.now {
                let up = |master: &usize| self.masters[*master].is_up;
                let masters = (0..self.masters.len()).filter(up);
                choices.extend(masters.map(|master| Choice::Connect {
                    worker: index,
                    master,
                }));
            }
            choices.extend(worker.working().map(|(job, number)| Choice::Finish {
                worker: index,
                job,
                number,
                plan: RunPlan::done(),
            }));
        }
    }

    /// Every fault that can happen now, in a fixed order.
    pub fn faults(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        for process in self.processes().filter(|process| self.is_running(*process)) {
            choices.push(Choice::Kill(process));
            choices.push(Choice::Pause(process));
        }
        for (index, master) in self.masters.iter().enumerate() {
            if master.is_running() {
                choices.push(Choice::Stop(index));
            }
            if master.unannounced() > 0 {
                choices.push(Choice::LoseAnnouncement(index));
            }
            if master.is_running() && master.epoch().is_some() {
                let again = (0..self.announced.len()).map(|which| Choice::AnnounceAgain {
                    which,
                    master: index,
                });
                choices.extend(again);
            }
        }
        for (index, worker) in self.workers.iter().enumerate() {
            if worker.is_running() && !worker.is_draining {
                choices.push(Choice::Drain(index));
            }
        }
        for (no, link) in &self.network.links {
            choices.push(Choice::Cut(*no));
            choices.push(Choice::HalfOpen(*no));
            choices.extend(self.silences(*no, link.worker, link.master));
        }
        for (no, call) in &self.calls {
            choices.push(match call.is_answered() {
                true => Choice::LoseAnswer(*no),
                false => Choice::Fail(*no),
            });
        }
        if !self.store_down {
            choices.push(Choice::StoreDown);
        }
        choices
    }

    fn silences(&self, no: LinkNo, worker: usize, master: usize) -> Vec<Choice> {
        let Some(link) = self.network.links.get(&no) else {
            return Vec::new();
        };
        let mut choices = Vec::new();
        if link.is_open(Side::Worker) && self.workers[worker].is_running() {
            choices.push(Choice::Silence(no, Side::Worker));
        }
        if link.is_open(Side::Master) && self.masters[master].is_running() {
            choices.push(Choice::Silence(no, Side::Master));
        }
        choices
    }

    /// Silence that both ends must notice in the end, because the connection is
    /// dead.
    pub(super) fn true_silences(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        for (no, link) in &self.network.links {
            for side in [Side::Worker, Side::Master] {
                if link.is_dead(side) {
                    choices.push(Choice::Silence(*no, side));
                }
            }
        }
        choices
    }

    /// The possible decisions of an operator: about each job that waits for
    /// one, and about jobs that wait for their next try.
    pub fn operations(&self) -> Vec<Choice> {
        let parked = self.store.open().filter(|job| job.parked);
        let parked: Vec<JobId> = parked.map(|job| job.id()).collect();
        let failed = self.store.failed_jobs(0, 2);
        let failed = failed.into_iter().map(|(_, failed)| failed.job.id());
        let actions = [
            store::OperatorAction::Retry,
            store::OperatorAction::Resolve,
            store::OperatorAction::Drop,
        ];
        let all = parked.into_iter().chain(failed);
        let decided = all.flat_map(|job| actions.map(|action| Choice::Operate(job, action)));
        let waits = |job: &&Job| {
            let later = job.new.not_before.is_some_and(|instant| instant > self.now);
            later && job.tries > 0 && !job.parked
        };
        let waiting = self.store.open().filter(waits);
        let hurried = waiting.map(|job| Choice::Operate(job.id(), store::OperatorAction::Retry));
        decided.chain(hurried).collect()
    }

    /// Open jobs of this kind that wait for a time or a block.
    pub(super) fn held(&self) -> Vec<JobId> {
        let held = self.store.open().map(|job| job.id());
        held.filter(|id| self.store.is_held(*id)).collect()
    }

    /// Whether the instant of this choice does not matter, so that a model need
    /// not try every instant: a standby asks and is refused, a master renews
    /// its lease or sees a block. Not for a master whose lease has ended.
    pub fn is_routine(&self, choice: &Choice) -> bool {
        match choice {
            Choice::SeeBlock(_) => true,
            Choice::Tick(master) => !self.is_overdue(*master),
            Choice::Work(call) | Choice::Answer(call) => {
                let CallNo(SimulatedProcess::Master(master), _) = call else {
                    return false;
                };
                let of_lease = self.calls.get(call).is_some_and(StoreCall::is_about_lease);
                of_lease && !self.is_overdue(*master)
            }
            _ => false,
        }
    }

    /// Whether a master has outlived its lease and does not know it yet.
    fn is_overdue(&self, master: usize) -> bool {
        self.masters[master].epoch().is_some() && !self.leads(master)
    }

    /// When the next timer fires, if any does.
    pub fn next_timer(&self) -> Option<u64> {
        let masters = self.masters.iter().filter(|master| master.is_running());
        let timers = masters.flat_map(|master| [master.tick_at(), master.wake_at()]);
        let workers = self.workers.iter().filter(|worker| worker.is_running());
        let calls = workers
            .filter(|worker| !worker.is_linked())
            .map(|worker| Some(worker.call_at));
        let all = timers.chain(calls).flatten();
        all.filter(|at| *at > self.now)
            .map(|at| at.0 - self.now.0)
            .min()
    }

    fn is_up(&self, process: SimulatedProcess) -> bool {
        match process {
            SimulatedProcess::Master(index) => self.masters[index].is_up,
            SimulatedProcess::Worker(index) => self.workers[index].is_up,
        }
    }

    fn is_paused(&self, process: SimulatedProcess) -> bool {
        match process {
            SimulatedProcess::Master(index) => self.masters[index].is_paused,
            SimulatedProcess::Worker(index) => self.workers[index].is_paused,
        }
    }

    /// A process can accept jobs: any worker, and a master that leads.
    pub fn can_accept(&self, process: SimulatedProcess) -> bool {
        self.is_running(process)
            && match process {
                SimulatedProcess::Master(index) => self.masters[index].epoch().is_some(),
                SimulatedProcess::Worker(index) => !self.workers[index].is_draining,
            }
    }

    /// Kinds of jobs worth simulating: one of each class, and two deliveries,
    /// one that leaves its line when it fails and one that keeps its place.
    pub const KINDS: [Kind; 4] = [
        noop::NOOP,
        noop::DELIVERY,
        noop::ORDERED_DELIVERY,
        noop::ONCE,
    ];
}
