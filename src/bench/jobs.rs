//! `erawan bench jobs`: no-op jobs accepted, dispatched, run and committed
//! durably through one master and its workers, each a process of its own.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::cluster::{Cluster, ClusterOptions, fill, wait_until_empty};
use super::print;
use crate::devnet::command::{StoreArgument, interrupted};
use crate::devnet::report::Durations;
use crate::job::{NewJob, noop};
use crate::store::{Accept, SharedStore};

/// Single jobs timed from accept to end, after the queue is empty.
const PROBES: u64 = 200;

/// `erawan bench jobs`
#[derive(Debug, Clone, Args)]
pub struct JobsArguments {
    /// Queued jobs. Default: 1,000, 10,000 and 100,000, one after the other.
    #[arg(long)]
    pub n: Option<u64>,
    /// Concurrent accepts while the queue is filled.
    #[arg(long, default_value_t = 16)]
    pub concurrency: usize,
    /// Workers.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Where the jobs are kept. Default: both, one after the other.
    #[arg(long, value_enum)]
    pub store: Option<StoreArgument>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// A measured set-up. Field names are stable (docs/bench.md).
#[derive(Debug, Clone, Serialize)]
struct JobsResult {
    bench: &'static str,
    store: &'static str,
    workers: usize,
    n: u64,
    enqueue_per_second: f64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    master_rss_mb: f64,
}

/// Runs the benchmark.
///
/// # Errors
/// When a process cannot be started.
pub async fn run(arguments: JobsArguments) -> io::Result<ExitCode> {
    let stores = match arguments.store {
        Some(store) => vec![store],
        None => vec![StoreArgument::Embedded, StoreArgument::Redis],
    };
    let sizes = arguments
        .n
        .map_or_else(|| vec![1_000, 10_000, 100_000], |n| vec![n]);
    for store in stores {
        for n in &sizes {
            let result = tokio::select! {
                result = measure(&arguments, store, *n) => result?,
                signal = interrupted() => return Ok(ExitCode::from(128 + signal? as i32 as u8)),
            };
            print(arguments.json, &result, || line(&result))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    arguments: &JobsArguments,
    store: StoreArgument,
    n: u64,
) -> io::Result<JobsResult> {
    let cluster = Cluster::start(ClusterOptions {
        store,
        masters: 1,
        workers: arguments.workers,
        hold: Duration::ZERO,
        note_starts: false,
    })
    .await?;
    let started = Instant::now();
    fill(&cluster.store, n, arguments.concurrency).await?;
    let enqueued = started.elapsed();
    let master_rss = || {
        cluster
            .masters
            .iter()
            .map(|master| master.usage().rss_mb)
            .fold(0.0, f64::max)
    };
    let master_rss_mb = master_rss();
    wait_until_empty(&cluster.store).await?;
    let all = started.elapsed();
    let latency = probe(&cluster.store).await?;
    let master_rss_mb = master_rss_mb.max(master_rss());
    cluster.stop().await;
    Ok(JobsResult {
        bench: "jobs",
        store: store.name(),
        workers: arguments.workers,
        n,
        enqueue_per_second: n as f64 / enqueued.as_secs_f64(),
        per_second: n as f64 / all.as_secs_f64(),
        p50_ms: latency.p50,
        p99_ms: latency.p99,
        master_rss_mb,
    })
}

/// Time of a lone job from its accept to its end. A job that is not announced
/// is found by the scan, unless it is accepted in a commit. So a chain is
/// measured: each job is the follow-up of the previous one.
async fn probe(store: &SharedStore) -> io::Result<crate::devnet::report::Percentiles> {
    let mut durations = Durations::default();
    let chain = NewJob::new(noop::CHAIN, "bench:probe", &PROBES);
    let accept = Accept {
        jobs: vec![chain],
        ..Accept::default()
    };
    store.accept(accept).await.map_err(io::Error::other)?;
    let mut last: Option<(crate::job::JobId, Instant)> = None;
    loop {
        let open = store.open_jobs(0, 1).await.map_err(io::Error::other)?;
        let now = Instant::now();
        match (open.first(), last) {
            (None, _) => return Ok(durations.percentiles()),
            (Some(job), Some((id, _))) if job.id() == id => {}
            (Some(job), before) => {
                if let Some((_, since)) = before {
                    durations.record(now - since);
                }
                last = Some((job.id(), now));
            }
        }
    }
}

fn line(result: &JobsResult) -> String {
    format!(
        "jobs  {:<9} master + {} workers  n {:>8}  enqueue {:>8.0}/s  done {:>8.0}/s  lone job p50 {:>6.2} ms  p99 {:>6.2} ms  master {:>6.1} MB",
        result.store,
        result.workers,
        result.n,
        result.enqueue_per_second,
        result.per_second,
        result.p50_ms,
        result.p99_ms,
        result.master_rss_mb
    )
}
