//! `erawan bench idle`: CPU per second of idle nodes.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::{print, stores};
use crate::devnet::command::{StoreArgument, interrupted};
use crate::devnet::network::{Network, NetworkOptions, NodeProcess, StoreOption};
use crate::devnet::process::{sleeps_of, usage_of};

/// Pause before the measurement: work that is done once is over by then.
const SETTLE: Duration = Duration::from_secs(15);
/// Goal for each process, in CPU milliseconds per second.
const WANT: f64 = 2.0;

/// `erawan bench idle`
#[derive(Debug, Clone, Args)]
pub struct IdleArguments {
    /// Seconds that each set-up is measured.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Workers of each node, 0: standalone. Default: 0 and 1, one after the
    /// other.
    #[arg(long)]
    pub workers: Option<usize>,
    /// Where the nodes keep jobs and state. Default: both, one after the other.
    #[arg(long, value_enum)]
    pub store: Option<StoreArgument>,
    /// Milliseconds between empty blocks of the ledger, 0: none. Default: 1,000
    /// and 0, one after the other.
    #[arg(long)]
    pub block_every_ms: Option<u64>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// A measured process. Field names are stable (docs/bench.md).
#[derive(Debug, Clone, PartialEq, Serialize)]
struct IdleResult {
    bench: &'static str,
    store: &'static str,
    workers: usize,
    block_every_ms: u64,
    process: String,
    seconds: f64,
    cpu_ms_per_second: f64,
    wakes_per_second: f64,
    want: f64,
}

/// Runs the benchmark. It judges nothing: `want` stands beside the result.
/// # Errors
/// When a network cannot be started, or a process ends.
pub async fn run(arguments: IdleArguments) -> io::Result<ExitCode> {
    let stores = stores(arguments.store);
    let workers = arguments
        .workers
        .map_or_else(|| vec![0, 1], |workers| vec![workers]);
    let blocks = arguments
        .block_every_ms
        .map_or_else(|| vec![1000, 0], |every| vec![every]);
    for store in &stores {
        for &workers in &workers {
            for &every in &blocks {
                let length = Duration::from_secs(arguments.seconds.max(1));
                let measured = tokio::select! {
                    measured = measure(store.clone(), workers, every, length) => measured?,
                    signal = interrupted() => return Ok(ExitCode::from(128 + signal? as i32 as u8)),
                };
                for result in &measured {
                    print(arguments.json, result, || line(result))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The use of a process so far.
#[derive(Debug, Clone, Copy)]
struct Used {
    cpu_ms: u64,
    sleeps: u64,
}

fn used(process: &NodeProcess) -> io::Result<Used> {
    let pid = process.process.pid();
    let both = pid.and_then(|pid| Some((usage_of(pid)?, sleeps_of(pid)?)));
    let ended = || io::Error::other(format!("{} has ended", process.process.name()));
    let (usage, sleeps) = both.ok_or_else(ended)?;
    Ok(Used {
        cpu_ms: usage.cpu_ms,
        sleeps,
    })
}

async fn measure(
    store: StoreOption,
    workers: usize,
    block_every_ms: u64,
    length: Duration,
) -> io::Result<Vec<IdleResult>> {
    let store_name = store.name();
    let network = Network::start(NetworkOptions {
        workers,
        store,
        log_level: "info".to_owned(),
        empty_blocks_every: (block_every_ms > 0).then(|| Duration::from_millis(block_every_ms)),
        ..NetworkOptions::default()
    })
    .await?;
    tokio::time::sleep(SETTLE).await;
    let processes = || network.nodes.iter().flat_map(|node| &node.processes);
    let before: Vec<Used> = processes().map(used).collect::<io::Result<_>>()?;
    let began = Instant::now();
    tokio::time::sleep(length).await;
    let seconds = began.elapsed().as_secs_f64();
    let after: Vec<Used> = processes().map(used).collect::<io::Result<_>>()?;
    let names = processes().map(|process| process.process.name().to_owned());
    let each = names.zip(before.into_iter().zip(after));
    let results = each.map(|(process, (before, after))| {
        let a_second = |after: u64, before: u64| {
            let each = after.saturating_sub(before) as f64 / seconds;
            (each * 100.0).round() / 100.0
        };
        IdleResult {
            bench: "idle",
            store: store_name,
            workers,
            block_every_ms,
            process,
            seconds,
            cpu_ms_per_second: a_second(after.cpu_ms, before.cpu_ms),
            wakes_per_second: a_second(after.sleeps, before.sleeps),
            want: WANT,
        }
    });
    let results = results.collect();
    network.stop().await;
    Ok(results)
}

fn line(result: &IdleResult) -> String {
    let blocks = match result.block_every_ms {
        0 => "no blocks".to_owned(),
        every => format!("a block every {every} ms"),
    };
    format!(
        "idle  {:<9} {:<16} {blocks:<22} {:>6.2} CPU-ms/s (want {:.0})  {:>6.1} wakes/s",
        result.store,
        result.process,
        result.cpu_ms_per_second,
        result.want,
        result.wakes_per_second
    )
}
