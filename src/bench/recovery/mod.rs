//! `erawan bench recovery`: time to recover from a death, cost of a rolling
//! restart, and cost of durability. It judges nothing: the goal stands beside
//! the figure.

mod deaths;
mod master_restart;
mod memory;
mod rolling;
mod starts;
mod writes;

use std::io;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::print;
use crate::devnet::command::{StoreArgument, interrupted};

/// `erawan bench recovery`
#[derive(Debug, Clone, Args)]
pub struct RecoveryArguments {
    /// Repetitions of each measurement.
    #[arg(long, default_value_t = 20)]
    pub n: usize,
    /// What to measure. Default: everything.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Figure>,
    /// Where the jobs are kept. Default: both, one after the other.
    #[arg(long, value_enum)]
    pub store: Option<StoreArgument>,
    /// Open jobs when a master is restarted.
    #[arg(long, default_value_t = 100_000)]
    pub open: u64,
    /// Queued jobs when memory is measured.
    #[arg(long, default_value_t = 1_000_000)]
    pub queued: u64,
    /// Transactional jobs per measurement of writes.
    #[arg(long, default_value_t = 1_000)]
    pub jobs: u64,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Figure {
    /// A worker is killed: time until its job starts elsewhere.
    WorkerKilled,
    /// A worker falls silent: time until its job starts elsewhere.
    WorkerSilent,
    /// A master is killed beside a standby: time until a job starts.
    StandbyTakesOver,
    /// The only master is killed and restarted with many open jobs: time until
    /// one starts.
    MasterRestarted,
    /// Every process of a network is restarted in turn under half load: failed
    /// calls.
    RollingRestart,
    /// Many jobs are queued: memory of the master.
    QueuedMemory,
    /// Writes of a job from its accept to its end, by Redis' own statistics.
    WritesPerJob,
}

impl Figure {
    fn is_of(self, store: StoreArgument) -> bool {
        match self {
            Figure::StandbyTakesOver | Figure::WritesPerJob => store == StoreArgument::Redis,
            _ => true,
        }
    }
}

/// A measured figure. Field names are stable (docs/bench.md).
#[derive(Debug, Clone, Serialize)]
struct Recovery {
    bench: &'static str,
    figure: Figure,
    /// What exactly was counted, for people.
    what: &'static str,
    store: &'static str,
    /// Number of measurements.
    n: usize,
    unit: &'static str,
    median: f64,
    worst: f64,
    /// The goal: at most this; `None`: no goal.
    want: Option<f64>,
}

/// The measurements of one figure.
struct Series {
    figure: Figure,
    what: &'static str,
    unit: &'static str,
    want: Option<f64>,
    values: Vec<f64>,
}

impl Series {
    fn summary(mut self, store: StoreArgument) -> Recovery {
        self.values.sort_by(f64::total_cmp);
        let at = |index: usize| self.values.get(index).copied().unwrap_or_default();
        let round = |value: f64| (value * 100.0).round() / 100.0;
        Recovery {
            bench: "recovery",
            figure: self.figure,
            what: self.what,
            store: store.name(),
            n: self.values.len(),
            unit: self.unit,
            median: round(at(self.values.len() / 2)),
            worst: round(at(self.values.len().saturating_sub(1))),
            want: self.want,
        }
    }
}

/// Runs the benchmark.
///
/// # Errors
/// When a process cannot be started, or something never comes back.
pub async fn run(arguments: RecoveryArguments) -> io::Result<ExitCode> {
    let stores = match arguments.store {
        Some(store) => vec![store],
        None => vec![StoreArgument::Embedded, StoreArgument::Redis],
    };
    let figures = match arguments.only.as_slice() {
        [] => Figure::value_variants().to_vec(),
        some => some.to_vec(),
    };
    for store in stores {
        for figure in figures.iter().filter(|figure| figure.is_of(store)) {
            let measured = tokio::select! {
                measured = measure(&arguments, *figure, store) => measured?,
                signal = interrupted() => return Ok(ExitCode::from(128 + signal? as i32 as u8)),
            };
            for series in measured {
                let result = series.summary(store);
                print(arguments.json, &result, || line(&result))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    arguments: &RecoveryArguments,
    figure: Figure,
    store: StoreArgument,
) -> io::Result<Vec<Series>> {
    let n = arguments.n;
    match figure {
        Figure::WorkerKilled => Ok(vec![deaths::worker_killed(store, n).await?]),
        Figure::WorkerSilent => Ok(vec![deaths::worker_silent(store, n).await?]),
        Figure::StandbyTakesOver => Ok(vec![deaths::standby_takes_over(n).await?]),
        Figure::MasterRestarted => {
            let series = master_restart::measure(store, arguments.open, n).await?;
            Ok(vec![series])
        }
        Figure::RollingRestart => rolling::measure(store, n).await,
        Figure::QueuedMemory => memory::measure(store, arguments.queued).await,
        Figure::WritesPerJob => writes::measure(arguments.jobs, n).await,
    }
}

fn line(result: &Recovery) -> String {
    let want = result.want.map(|want| format!("want <= {want}"));
    format!(
        "recovery  {:<9} {:<62} n {:>3}  median {:>9.2}  worst {:>9.2} {:<6}  {}",
        result.store,
        result.what,
        result.n,
        result.median,
        result.worst,
        result.unit,
        want.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_chosen_by_the_names_they_are_reported_under() {
        for figure in Figure::value_variants() {
            let chosen = figure.to_possible_value().unwrap();
            assert_eq!(json!(figure), chosen.get_name());
        }
    }

    #[test]
    fn median_and_worst_are_of_the_sorted_values() {
        let series = Series {
            figure: Figure::WorkerKilled,
            what: "test",
            unit: "ms",
            want: Some(1.0),
            values: vec![3.0, 1.0, 2.0, 9.0, 4.0],
        };
        let summary = series.summary(StoreArgument::Redis);
        assert_eq!((summary.median, summary.worst), (3.0, 9.0));
        assert_eq!(summary.n, 5);
    }
}
