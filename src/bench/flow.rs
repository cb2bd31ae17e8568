//! `erawan bench flow`: full requests per second and CPU per request.

use std::io;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::cpu::Cpu;
use super::{print, set_ups, stores};
use crate::devnet::apps::{Apps, Targets};
use crate::devnet::command::{StoreArgument, interrupted};
use crate::devnet::demo;
use crate::devnet::keys::SigningKeys;
use crate::devnet::network::{Network, NetworkOptions, StoreOption};
use crate::output;

/// Requests before the measured ones, so that caches and connections are warm.
const WARM_UP: u64 = 20;

/// `erawan bench flow`
#[derive(Debug, Clone, Args)]
pub struct FlowArguments {
    /// Measured requests of each set-up.
    #[arg(long, default_value_t = 500)]
    pub n: u64,
    /// Concurrent requests.
    #[arg(long, default_value_t = 40)]
    pub concurrency: usize,
    /// Workers of each node, 0: standalone. Default: 0 and 2, one after the
    /// other.
    #[arg(long)]
    pub workers: Option<usize>,
    /// Where the nodes keep jobs and state. Default: both, one after the other.
    #[arg(long, value_enum)]
    pub store: Option<StoreArgument>,
    /// Mode of the requests; in modes 2 and 3 ten users make them, who are
    /// onboarded before it is measured.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub mode: u8,
    /// Keys that the nodes sign with.
    #[arg(long, value_enum, default_value = "rsa")]
    pub keys: SigningKeys,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// A measured set-up. Field names are stable (docs/bench.md).
#[derive(Debug, Clone, Serialize)]
struct FlowResult {
    bench: &'static str,
    store: &'static str,
    workers: usize,
    mode: u8,
    keys: &'static str,
    n: u64,
    concurrency: usize,
    verified: u64,
    seconds: f64,
    per_second: f64,
    accept_p50_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_ms_per_request: f64,
    cpu_ms_all_per_request: f64,
    cpu_ms: Cpu,
    errors: usize,
}

/// Runs the benchmark.
///
/// # Errors
/// When a network cannot be started.
pub async fn run(arguments: FlowArguments) -> io::Result<ExitCode> {
    let stores = stores(arguments.store);
    let mut code = ExitCode::SUCCESS;
    for store in &stores {
        for workers in set_ups(arguments.workers) {
            let result = tokio::select! {
                result = measure(&arguments, store.clone(), workers) => result?,
                signal = interrupted() => return Ok(ExitCode::from(128 + signal? as i32 as u8)),
            };
            if result.verified != result.n {
                code = ExitCode::FAILURE;
            }
            print(arguments.json, &result, || line(&result))?;
        }
    }
    Ok(code)
}

async fn measure(
    arguments: &FlowArguments,
    store: StoreOption,
    workers: usize,
) -> io::Result<FlowResult> {
    let store_name = store.name();
    let network = Network::start(NetworkOptions {
        workers,
        store,
        signing: arguments.keys,
        log_level: "warn".to_owned(),
        ..NetworkOptions::default()
    })
    .await?;
    let targets = Targets {
        mode: arguments.mode,
        ..demo::targets_of(&network, "bank_statement")?
    };
    let warm = Apps::start(targets.clone()).await?;
    demo::drive(&warm, WARM_UP, 4, true).await;
    warm.stop().await;
    let apps = Apps::start(targets).await?;
    apps.onboard_users().await.map_err(io::Error::other)?;
    let before = Cpu::now(&network);
    let took = demo::drive(&apps, arguments.n, arguments.concurrency, arguments.json).await;
    let after = Cpu::now(&network);
    let totals = apps.totals();
    apps.stop().await;
    network.stop().await;
    for error in totals.errors.iter().take(5) {
        output::note(error);
    }
    let cpu_ms = after.per_request(before, totals.verified);
    let seconds = took.as_secs_f64();
    Ok(FlowResult {
        bench: "flow",
        store: store_name,
        workers,
        mode: arguments.mode,
        keys: arguments.keys.algorithm(),
        n: arguments.n,
        concurrency: arguments.concurrency,
        verified: totals.verified,
        seconds,
        per_second: totals.verified as f64 / seconds.max(f64::MIN_POSITIVE),
        accept_p50_ms: totals.accept_ms.p50,
        p50_ms: totals.complete_ms.p50,
        p99_ms: totals.complete_ms.p99,
        cpu_ms_per_request: cpu_ms.nodes,
        cpu_ms_all_per_request: cpu_ms.total(),
        cpu_ms,
        errors: totals.errors.len(),
    })
}

fn line(result: &FlowResult) -> String {
    let set_up = match result.workers {
        0 => "standalone".to_owned(),
        workers => format!("master + {workers} workers"),
    };
    format!(
        "flow  {:<9} {set_up:<20} {:>7.1} requests/s  p50 {:>7.1} ms  p99 {:>7.1} ms  accept p50 {:>6.1} ms  {:>6.2} CPU-ms/request ({:.2} of all processes)  {} of {}",
        result.store,
        result.per_second,
        result.p50_ms,
        result.p99_ms,
        result.accept_p50_ms,
        result.cpu_ms_per_request,
        result.cpu_ms_all_per_request,
        result.verified,
        result.n
    )
}
