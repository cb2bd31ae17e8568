//! `erawan bench soak`: twice the measured load, for as long as wanted. Calls
//! beyond the queue limit must be refused, memory must stay flat, and
//! everything that was accepted must complete.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::print;
use crate::devnet::apps::{Apps, Attempted};
use crate::devnet::command::{StoreArgument, interrupted};
use crate::devnet::demo;
use crate::devnet::network::{Network, NetworkOptions, StoreOption};
use crate::output;

const WARM_UP: u64 = 20;
/// Requests that measure the capacity, and how many run at once.
const MEASURED: u64 = 200;
const CONCURRENCY: usize = 40;
/// Pause between memory samples.
const SAMPLE: Duration = Duration::from_secs(2);
/// Growth that counts as flat, from the second quarter to the last: allocators
/// and caches settle by about this much.
const FLAT_MB: f64 = 10.0;
const FLAT_PART: f64 = 0.15;

/// `erawan bench soak`
#[derive(Debug, Clone, Args)]
pub struct SoakArguments {
    /// Duration of the load.
    #[arg(long, default_value_t = 5.0)]
    pub minutes: f64,
    /// Load as a multiple of the measured capacity.
    #[arg(long, default_value_t = 2.0)]
    pub times: f64,
    /// Workers of each node, 0: standalone.
    #[arg(long, default_value_t = 0)]
    pub workers: usize,
    /// Where the nodes keep jobs and state.
    #[arg(long, value_enum, default_value = "redis")]
    pub store: StoreArgument,
    /// `QUEUE_LIMIT_JOBS` of the nodes.
    #[arg(long, default_value_t = 2000)]
    pub queue_limit: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The findings. Field names are stable (docs/bounds.md).
#[derive(Debug, Clone, Serialize)]
struct SoakResult {
    bench: &'static str,
    store: &'static str,
    workers: usize,
    minutes: f64,
    queue_limit: u64,
    capacity_per_second: f64,
    offered_per_second: f64,
    offered: u64,
    refused: u64,
    accepted: u64,
    verified: u64,
    errors: usize,
    accept_p99_ms: f64,
    complete_p99_ms: f64,
    drained_seconds: f64,
    processes: Vec<Memory>,
    flat: bool,
}

/// Resident memory of a process in MB (10^6 bytes) under load.
#[derive(Debug, Clone, Serialize)]
struct Memory {
    process: String,
    start_mb: f64,
    second_quarter_mb: f64,
    last_quarter_mb: f64,
    most_mb: f64,
}

impl Memory {
    fn of(process: String, samples: &[f64]) -> Self {
        let quarter = samples.len() / 4;
        let median = |samples: &[f64]| {
            let mut sorted = samples.to_vec();
            sorted.sort_by(f64::total_cmp);
            sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
        };
        Self {
            process,
            start_mb: samples.first().copied().unwrap_or(0.0),
            second_quarter_mb: median(&samples[quarter..2 * quarter]),
            last_quarter_mb: median(&samples[samples.len() - quarter..]),
            most_mb: samples.iter().copied().fold(0.0, f64::max),
        }
    }

    fn is_flat(&self) -> bool {
        let allowed = FLAT_MB.max(self.second_quarter_mb * FLAT_PART);
        self.last_quarter_mb - self.second_quarter_mb <= allowed
    }
}

/// Runs the benchmark. It fails if memory grew or an accepted request was lost.
/// # Errors
/// When a network cannot be started.
pub async fn run(arguments: SoakArguments) -> io::Result<ExitCode> {
    let result = tokio::select! {
        result = measure(&arguments) => result?,
        signal = interrupted() => return Ok(ExitCode::from(128 + signal? as i32 as u8)),
    };
    print(arguments.json, &result, || text(&result))?;
    let kept = result.verified == result.accepted && result.flat;
    Ok(if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(arguments: &SoakArguments) -> io::Result<SoakResult> {
    let store = match arguments.store {
        StoreArgument::Embedded => StoreOption::Embedded,
        StoreArgument::Redis => StoreOption::Redis,
    };
    let limit = arguments.queue_limit.to_string();
    let network = Network::start(NetworkOptions {
        workers: arguments.workers,
        store: store.clone(),
        log_level: "warn".to_owned(),
        settings: vec![("QUEUE_LIMIT_JOBS".to_owned(), limit)],
        ..NetworkOptions::default()
    })
    .await?;
    let targets = demo::targets_of(&network, "bank_statement")?;
    let capacity = capacity(&targets).await?;
    let apps = Arc::new(Apps::start(targets).await?);
    let pace = capacity * arguments.times;
    let load = Load::default();
    let length = Duration::from_secs_f64(arguments.minutes * 60.0);
    let mut under_way = JoinSet::new();
    let (_, samples) = tokio::join!(
        offer(&apps, pace, length, &load, &mut under_way),
        sample(&network, length),
    );
    let ended = Instant::now();
    while let Some(one) = under_way.join_next().await {
        load.count(one.map_err(io::Error::other)?);
    }
    let drained = ended.elapsed();
    let totals = apps.totals();
    for error in totals.errors.iter().take(5) {
        output::note(error);
    }
    if let Ok(apps) = Arc::try_unwrap(apps) {
        apps.stop().await;
    }
    network.stop().await;
    let processes: Vec<Memory> = samples
        .into_iter()
        .map(|(process, samples)| Memory::of(process, &samples))
        .collect();
    Ok(SoakResult {
        bench: "soak",
        store: store.name(),
        workers: arguments.workers,
        minutes: arguments.minutes,
        queue_limit: arguments.queue_limit,
        capacity_per_second: capacity,
        offered_per_second: pace,
        offered: load.offered.load(Ordering::Relaxed),
        refused: load.refused.load(Ordering::Relaxed),
        accepted: totals.accepted,
        verified: totals.verified,
        errors: totals.errors.len(),
        accept_p99_ms: totals.accept_ms.p99,
        complete_p99_ms: totals.complete_ms.p99,
        drained_seconds: drained.as_secs_f64(),
        flat: processes.iter().all(Memory::is_flat),
        processes,
    })
}

/// Requests per second that the nodes complete at full load.
async fn capacity(targets: &crate::devnet::apps::Targets) -> io::Result<f64> {
    let apps = Apps::start(targets.clone()).await?;
    demo::drive(&apps, WARM_UP, 4, true).await;
    let before = apps.totals().verified;
    let took = demo::drive(&apps, MEASURED, CONCURRENCY, true).await;
    let verified = apps.totals().verified - before;
    apps.stop().await;
    Ok(verified as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE))
}

#[derive(Debug, Default)]
struct Load {
    offered: AtomicU64,
    refused: AtomicU64,
}

impl Load {
    fn count(&self, attempted: Attempted) {
        if attempted == Attempted::Refused {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Begins requests at this pace, however many are under way.
async fn offer(
    apps: &Arc<Apps>,
    pace: f64,
    length: Duration,
    load: &Load,
    under_way: &mut JoinSet<Attempted>,
) {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / pace.max(0.1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let started = Instant::now();
    while started.elapsed() < length {
        ticks.tick().await;
        load.offered.fetch_add(1, Ordering::Relaxed);
        let apps = apps.clone();
        under_way.spawn(async move { apps.request_once().await });
        while let Some(Ok(one)) = under_way.try_join_next() {
            load.count(one);
        }
    }
}

/// Samples the memory of every process of every node.
async fn sample(network: &Network, length: Duration) -> BTreeMap<String, Vec<f64>> {
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let started = Instant::now();
    while started.elapsed() < length {
        for (process, usage) in demo::usage(network) {
            samples.entry(process).or_default().push(usage.rss_mb);
        }
        tokio::time::sleep(SAMPLE).await;
    }
    samples
}

fn text(result: &SoakResult) -> String {
    let mut lines = vec![format!(
        "soak  {} workers {}  {} min at {:.1}/s (capacity {:.1}/s)  offered {}  refused {}  accepted {}  verified {}  errors {}",
        result.store,
        result.workers,
        result.minutes,
        result.offered_per_second,
        result.capacity_per_second,
        result.offered,
        result.refused,
        result.accepted,
        result.verified,
        result.errors,
    )];
    lines.extend(result.processes.iter().map(|memory| {
        format!(
            "      {:<16} {:>7.1} MB at the start, {:>7.1} in the second quarter, {:>7.1} in the last, {:>7.1} at most",
            memory.process,
            memory.start_mb,
            memory.second_quarter_mb,
            memory.last_quarter_mb,
            memory.most_mb,
        )
    }));
    lines.push(format!("      memory flat: {}", result.flat));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_steadily_is_not_flat_and_a_step_at_the_start_is() {
        let growing: Vec<f64> = (0..100).map(|n| 50.0 + f64::from(n)).collect();
        assert!(!Memory::of("p".to_owned(), &growing).is_flat());
        let step: Vec<f64> = (0..100).map(|n| if n < 20 { 20.0 } else { 90.0 }).collect();
        let memory = Memory::of("p".to_owned(), &step);
        assert!(memory.is_flat());
        assert_eq!((memory.start_mb, memory.most_mb), (20.0, 90.0));
    }
}
