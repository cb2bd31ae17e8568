//! One simulated life of a cluster: random faults and work, then calm, in which
//! everything must come to an end.

use crate::invariants::{Invariant, Violation};
use crate::job::JobId;
use crate::store;

use super::chance::Chance;
use super::choice::{Choice, Hold, JobPlan, RunPlan, SimulatedProcess};
use super::fault::Figures;
use super::setting::Setting;
use super::world::World;

/// Most jobs in progress.
const OPEN_JOBS: usize = 16;

/// Most steps after the faults have stopped.
const CALM_STEPS: u32 = 20_000;

/// The result of a run.
#[derive(Debug, Clone)]
pub struct SimulationRun {
    pub seed: u64,
    /// Counts of what happened.
    pub figures: Figures,
    /// The first invariant that did not hold, if any.
    pub violation: Option<Violation>,
    /// What happened, line by line, if it was wanted.
    pub trace: String,
}

/// Simulates `steps` steps with faults, and then as many without as it takes.
/// The same seed and steps always give the same run.
pub fn run(seed: u64, steps: u64, keep_trace: bool) -> SimulationRun {
    let mut world = World::new(Setting::default());
    if keep_trace {
        world.keep_trace();
    }
    let mut explorer = Explorer::new(seed);
    for _ in 0..steps {
        if world.violation().is_some() {
            break;
        }
        let choice = explorer.choose(&world);
        world.pass(explorer.chance.below(3));
        world.apply(choice);
    }
    calm_down(&mut world);
    SimulationRun {
        seed,
        figures: world.figures(),
        violation: world.violation().cloned(),
        trace: world.trace().to_owned(),
    }
}

/// Chooses at random what happens.
struct Explorer {
    chance: Chance,
    /// Faults per 256 steps. It differs by seed, so that long calm stretches
    /// occur as well as storms.
    fault_rate: u64,
    next_source: u64,
}

impl Explorer {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let fault_rate = [2, 6, 12, 24][chance.below(4) as usize];
        Self {
            chance,
            fault_rate,
            next_source: 0,
        }
    }

    fn choose(&mut self, world: &World) -> Choice {
        let lot = self.chance.below(256);
        let wanted = match lot {
            _ if lot < self.fault_rate => self.fault(world),
            24..44 => self.work(world),
            44..60 => Some(self.time()),
            60..64 => Some(Choice::Block),
            64..68 => self.pick(world.operations()),
            _ => None,
        };
        wanted
            .or_else(|| self.progress(world))
            .unwrap_or_else(|| self.time())
    }

    fn pick(&mut self, mut choices: Vec<Choice>) -> Option<Choice> {
        if choices.is_empty() {
            return None;
        }
        let chosen = self.chance.below(choices.len() as u64) as usize;
        Some(choices.swap_remove(chosen))
    }

    fn time(&mut self) -> Choice {
        let longest = match self.chance.below(8) {
            0 => 3000,
            1..4 => 400,
            _ => 60,
        };
        Choice::Pass(1 + self.chance.below(longest))
    }

    fn progress(&mut self, world: &World) -> Option<Choice> {
        let mut choices = world.progress();
        // Stopped processes stay down for a while.
        if !self.chance.one_in(8) {
            let comes_back = |choice: &Choice| {
                matches!(
                    choice,
                    Choice::Start(_) | Choice::Resume(_) | Choice::StoreUp
                )
            };
            if !choices.iter().all(comes_back) {
                choices.retain(|choice| !comes_back(choice));
            }
        }
        let mut chosen = self.pick(choices)?;
        if let Choice::Finish { job, plan, .. } = &mut chosen {
            *plan = self.end_of_run(world, *job);
        }
        Some(chosen)
    }

    /// A fault. First its kind is drawn, so that no kind is rare because others
    /// have more occasions.
    fn fault(&mut self, world: &World) -> Option<Choice> {
        let mut choices = world.faults();
        choices.extend(self.jump(world));
        let mut kinds: Vec<_> = choices.iter().map(std::mem::discriminant).collect();
        kinds.dedup();
        let mut different = Vec::new();
        for kind in kinds {
            if !different.contains(&kind) {
                different.push(kind);
            }
        }
        let chosen = self.chance.below(different.len() as u64) as usize;
        let kind = different.get(chosen).copied()?;
        choices.retain(|choice| std::mem::discriminant(choice) == kind);
        self.pick(choices)
    }

    fn jump(&mut self, world: &World) -> Option<Choice> {
        let processes: Vec<SimulatedProcess> = world.processes().collect();
        let chosen = self.chance.below(processes.len() as u64) as usize;
        let millis = 1 + self.chance.below(10_000) as i64;
        let by = match self.chance.one_in(2) {
            true => millis,
            false => -millis,
        };
        Some(Choice::Jump(*processes.get(chosen)?, by))
    }

    fn work(&mut self, world: &World) -> Option<Choice> {
        if world.open_jobs() >= OPEN_JOBS {
            return None;
        }
        let able = world.processes().filter(|by| world.can_accept(*by));
        let able: Vec<SimulatedProcess> = able.collect();
        let chosen = self.chance.below(able.len() as u64) as usize;
        let by = *able.get(chosen)?;
        let plan = self.job();
        Some(Choice::Accept { by, plan })
    }

    fn job(&mut self) -> JobPlan {
        let kind = match self.chance.below(8) {
            0..5 => World::KINDS[0],
            5 => World::KINDS[1],
            6 => World::KINDS[2],
            _ => World::KINDS[3],
        };
        let hold = match self.chance.below(8) {
            0 => Hold::Time(self.chance.below(3000)),
            1 => Hold::Blocks(self.chance.below(3)),
            _ => Hold::Nothing,
        };
        let source = match self.chance.below(8) {
            0..4 => {
                self.next_source += 1;
                Some(self.next_source)
            }
            // A client sends something again.
            4 => Some(self.chance.below(self.next_source + 1)),
            _ => None,
        };
        JobPlan {
            key: self.chance.draw(),
            kind,
            hold,
            source,
        }
    }

    fn end_of_run(&mut self, world: &World, job: JobId) -> RunPlan {
        let is_poison = job.as_bytes()[15].is_multiple_of(16);
        if is_poison && !self.chance.one_in(8) || self.chance.one_in(48) {
            return RunPlan::Panic;
        }
        if self.chance.one_in(8) {
            return RunPlan::Retry(self.chance.below(700));
        }
        let follow_ups = match self.chance.below(8) {
            0..5 => 0,
            5..7 => 1,
            _ => 2,
        };
        let follow_ups = match world.open_jobs() < OPEN_JOBS {
            true => follow_ups,
            false => 0,
        };
        let held = world.held();
        let cancel = match self.chance.one_in(7) {
            true => held.get(self.chance.below(held.len() as u64) as usize),
            false => None,
        };
        RunPlan::Commit {
            follow_ups: (0..follow_ups).map(|_| self.job()).collect(),
            cancel: cancel.copied(),
            failed: self.chance.one_in(20),
        }
    }
}

/// Stops the faults and lets everything happen that can, until every job has
/// ended that needs no decision; then an operator decides about the rest.
pub fn calm_down(world: &mut World) {
    world.begin_calm();
    let mut turn = 0;
    for step in 0..CALM_STEPS {
        if world.violation().is_some() {
            return;
        }
        if world.open_jobs() == 0 {
            world.check_end();
            return;
        }
        if world.all_wait_for_operator() && step.is_multiple_of(50) {
            decide(world, step);
        }
        let mut choices = world.true_silences();
        choices.extend(world.progress());
        if choices.is_empty() {
            let pause = world.next_timer().unwrap_or(100).clamp(1, 100);
            world.pass(pause);
            if step.is_multiple_of(4) {
                world.apply(Choice::Block);
            }
            continue;
        }
        // In turn, so that nothing is left out for ever.
        turn += 1;
        let chosen = turn % choices.len();
        world.apply(choices.swap_remove(chosen));
    }
    let detail = world.stuck();
    world.report(Violation::new(Invariant::EveryJobEnds, detail));
}

fn decide(world: &mut World, step: u32) {
    let wanted = match step.is_multiple_of(100) {
        true => store::OperatorAction::Retry,
        false => store::OperatorAction::Resolve,
    };
    let mut operations = world.operations();
    operations.retain(|choice| matches!(choice, Choice::Operate(_, action) if *action == wanted));
    if let Some(operation) = operations.into_iter().next() {
        world.apply(operation);
    }
}
