//! `erawan simulate`.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::thread;

use serde_json::{Map, Value, json};

use super::fault::{Fault, Figures};
use super::run::{SimulationRun, run};
use crate::output;

/// With fewer seeds, some kinds of faults may not occur.
const SEEDS_FOR_ALL_FAULTS: u64 = 100;

/// Options of `erawan simulate`.
#[derive(Debug, Clone, clap::Args)]
pub struct SimulateArguments {
    /// First seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Steps with faults in each run. As many steps without faults follow as it
    /// takes until every job has ended.
    #[arg(long, default_value_t = 500)]
    pub steps: u64,
    /// Number of seeds. From 100 on, a kind of fault that never occurred is an
    /// error.
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// Seeds simulated at the same time.
    #[arg(long, default_value_t = 2)]
    pub threads: u64,
    /// Print everything that happens in the first seed.
    #[arg(long)]
    pub trace: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
}

/// The results of many seeds.
#[derive(Debug, Clone)]
pub struct Summary {
    pub first: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Steps with faults in each run.
    pub steps: u64,
    /// Sums over all runs.
    pub figures: Figures,
    /// Runs that violated an invariant, lowest seed first.
    pub failed: Vec<SimulationRun>,
}

impl Summary {
    /// Why these runs prove nothing, if they do not.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for run in &self.failed {
            if let Some(violation) = &run.violation {
                let (seed, steps) = (run.seed, self.steps);
                complaints.push(format!("seed {seed} with {steps} steps: {violation}"));
            }
        }
        if self.seeds >= SEEDS_FOR_ALL_FAULTS {
            let missing = self.figures.missing();
            let missing = missing.into_iter().map(Fault::name);
            complaints.extend(missing.map(|name| format!("fault {name} never fired")));
        }
        // Some are cancelled, or dropped by an operator.
        if self.figures.committed * 10 < self.figures.accepted * 8 || self.figures.committed == 0 {
            complaints.push("fewer than 80 % of the accepted jobs were committed".to_owned());
        }
        complaints
    }

    fn json(&self) -> Value {
        let figures = &self.figures;
        let faults = Fault::ALL.iter().map(|fault| {
            let times = figures.faults.get(fault).copied().unwrap_or_default();
            (fault.name().to_owned(), json!(times))
        });
        json!({
            "seed": self.first,
            "seeds": self.seeds,
            "steps_with_faults": self.steps,
            "steps": figures.steps,
            "accepted": figures.accepted,
            "committed": figures.committed,
            "parked": figures.parked,
            "rerun": figures.rerun,
            "terms": figures.terms,
            "operations": figures.operations,
            "faults": faults.collect::<Map<String, Value>>(),
            "complaints": self.complaints(),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        writeln!(
            f,
            "{} seeds from {}, {} steps with faults each, {} in all",
            self.seeds, self.first, self.steps, figures.steps
        )?;
        writeln!(
            f,
            "jobs: {} accepted, {} committed, {} times parked, {} times run again",
            figures.accepted, figures.committed, figures.parked, figures.rerun
        )?;
        writeln!(
            f,
            "masters that began: {}; operations: {}",
            figures.terms, figures.operations
        )?;
        for fault in Fault::ALL {
            let times = figures.faults.get(fault).copied().unwrap_or_default();
            writeln!(f, "  {:<24}{times:>10}", fault.name())?;
        }
        match self.complaints().as_slice() {
            [] => write!(f, "every invariant held and every job ended"),
            complaints => write!(f, "FAILED: {}", complaints.join("\n        ")),
        }
    }
}

/// Runs the seeds `first..first + seeds`, `threads` at a time.
pub fn sweep(first: u64, seeds: u64, steps: u64, threads: u64) -> Summary {
    let threads = threads.clamp(1, 64);
    let mut summary = Summary {
        first,
        seeds,
        steps,
        figures: Figures::default(),
        failed: Vec::new(),
    };
    let parts: Vec<(Figures, Vec<SimulationRun>)> = thread::scope(|scope| {
        let part = |thread: u64| {
            let of_thread = (first + thread..first + seeds).step_by(threads as usize);
            scope.spawn(move || {
                let (mut figures, mut failed) = (Figures::default(), Vec::new());
                for seed in of_thread {
                    let run = run(seed, steps, false);
                    figures.add(&run.figures);
                    if run.violation.is_some() {
                        failed.push(run);
                    }
                }
                (figures, failed)
            })
        };
        let running: Vec<_> = (0..threads).map(part).collect();
        let ended = running.into_iter().map(|thread| thread.join());
        // A panic in a core is a defect like any other; its message has the
        // place.
        ended
            .map(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    for (figures, failed) in parts {
        summary.figures.add(&figures);
        summary.failed.extend(failed);
    }
    summary.failed.sort_by_key(|run| run.seed);
    summary
}

/// Runs the command. Exit code 0 only if everything held and enough happened.
/// # Errors
/// When the result cannot be written.
pub fn simulate(arguments: &SimulateArguments) -> io::Result<ExitCode> {
    if arguments.trace {
        output::say(run(arguments.seed, arguments.steps, true).trace)?;
    }
    let summary = sweep(
        arguments.seed,
        arguments.seeds,
        arguments.steps,
        arguments.threads,
    );
    match arguments.json {
        true => output::say(format_args!("{:#}", summary.json()))?,
        false => output::say(&summary)?,
    }
    Ok(match summary.complaints().is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
