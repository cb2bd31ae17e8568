//! `erawan bench exam`: what strangers and a stuck handler can do to a node.
//! Each attack hits the RP's node while its API is called steadily and requests
//! run through it. Nothing that holds a node together may suffer.

mod attack;
mod probe;
mod signs;

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::Serialize;

use self::probe::Probes;
use self::signs::TroubleCounts;
use super::{print, set_ups};
use crate::context::Role;
use crate::devnet::apps::Apps;
use crate::devnet::command::{StoreArgument, interrupted};
use crate::devnet::demo;
use crate::devnet::network::{Network, NetworkNode, NetworkOptions, StoreOption};
use crate::output;

/// Requests before the first measurement, so that caches and connections are warm.
const WARM_UP: u64 = 20;
/// Concurrent requests meanwhile, and requests per second.
const FLOWS: usize = 2;
const FLOW_PACE: f64 = 4.0;
/// Longer than any process waits before it gives up a silent one.
const AFTERWARDS: Duration = Duration::from_secs(4);
/// Shorter times count as this: they depend on the scheduler's whim.
const FLOOR_MS: f64 = 5.0;

/// `erawan bench exam`
#[derive(Debug, Clone, Args)]
pub struct ExamArguments {
    /// Workers of each node, 0: standalone. Default: 0 and 2, one after the
    /// other.
    #[arg(long)]
    pub workers: Option<usize>,
    /// Where the nodes keep jobs and state.
    #[arg(long, value_enum, default_value = "redis")]
    pub store: StoreArgument,
    /// Only these attacks.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Attack>,
    /// Shortest duration of each measurement, in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// What hits the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attack {
    /// Nothing: the baseline for the others.
    Calm,
    /// 64 messages of some 46 KB with an invalid signature, which inflate to 23 MB each.
    Messages,
    /// 200 API calls of 3 MB at once.
    Bodies,
    /// A handler that does not yield for 10 s.
    Handler,
}

/// The result. Field names are stable (docs/bench.md).
#[derive(Debug, Clone, Serialize)]
pub struct ExamResult {
    bench: &'static str,
    store: &'static str,
    workers: usize,
    pub attack: Attack,
    /// Until the node had dealt with it.
    pub seconds: f64,
    /// Measured calls of the API.
    pub calls: usize,
    /// Refused, failed or answered wrongly.
    pub failed_calls: usize,
    /// Median of the calls.
    pub p50_ms: f64,
    /// 99 of 100 were faster.
    pub p99_ms: f64,
    pub worst_ms: f64,
    /// `p99_ms` divided by that of the baseline.
    pub times_calm: f64,
    /// Requests that began meanwhile.
    pub flows: u64,
    /// How many of them did not complete.
    pub flows_lost: u64,
    /// From the call to the data read back.
    pub complete_p99_ms: f64,
    #[serde(flatten)]
    pub signs: TroubleCounts,
    /// Most resident memory of a process of the node (10^6 bytes).
    pub most_mb: f64,
}

impl ExamResult {
    /// Whether nothing that holds a node together has suffered.
    pub fn is_whole(&self) -> bool {
        self.signs.is_nothing() && self.flows_lost == 0 && self.failed_calls == 0
    }

    fn is_passed(&self) -> bool {
        self.is_whole() && self.times_calm <= 2.0
    }
}

/// Runs the benchmark. It fails if the node suffered.
/// # Errors
/// When a network cannot be started.
pub async fn run(arguments: ExamArguments) -> io::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for workers in set_ups(arguments.workers) {
        let results = tokio::select! {
            results = in_network(&arguments, workers) => results?,
            signal = interrupted() => return Ok(ExitCode::from(128 + signal? as i32 as u8)),
        };
        for result in &results {
            if !result.is_passed() {
                code = ExitCode::FAILURE;
            }
            print(arguments.json, result, || line(result))?;
        }
    }
    Ok(code)
}

async fn in_network(arguments: &ExamArguments, workers: usize) -> io::Result<Vec<ExamResult>> {
    let network = Network::start(NetworkOptions {
        workers,
        store: match arguments.store {
            StoreArgument::Embedded => StoreOption::Embedded,
            StoreArgument::Redis => StoreOption::Redis,
        },
        ..NetworkOptions::default()
    })
    .await?;
    let attacks = match arguments.only.as_slice() {
        [] => vec![Attack::Messages, Attack::Bodies, Attack::Handler],
        only => only.to_vec(),
    };
    let least = Duration::from_secs(arguments.seconds);
    let results = sit(&network, workers, &attacks, least).await;
    network.stop().await;
    results
}

/// Measures the baseline and then each attack, for at least this long.
/// # Errors
/// When an attack fails to start.
pub async fn sit(
    network: &Network,
    workers: usize,
    attacks: &[Attack],
    least: Duration,
) -> io::Result<Vec<ExamResult>> {
    let warm = Apps::start(demo::targets_of(network, "bank_statement")?).await?;
    demo::drive(&warm, WARM_UP, 4, true).await;
    warm.stop().await;
    let mut results: Vec<ExamResult> = Vec::new();
    let rest = attacks.iter().filter(|attack| **attack != Attack::Calm);
    for attack in std::iter::once(&Attack::Calm).chain(rest) {
        let calm_ms = results.first().map(|calm| calm.p99_ms);
        if let Some(result) = examine(network, workers, *attack, least, calm_ms).await? {
            results.push(result);
        }
    }
    Ok(results)
}

/// `None` if this network does not allow the attack.
async fn examine(
    network: &Network,
    workers: usize,
    attack: Attack,
    least: Duration,
    calm_ms: Option<f64>,
) -> io::Result<Option<ExamResult>> {
    let missing = || io::Error::other("the network has no RP");
    let node = network.node(Role::Rp).ok_or_else(missing)?;
    let Some(prepared) = attack::prepare(network, node, attack).await? else {
        output::note(format_args!(
            "{attack:?}: nobody but the node itself can reach its store; left out"
        ));
        return Ok(None);
    };
    let apps = Apps::start(demo::targets_of(network, "bank_statement")?).await?;
    let before = TroubleCounts::of(node).await?;
    let is_over = AtomicBool::new(false);
    let probes = Probes::start(node.api_urls())?;
    let started = Instant::now();
    let attacking = async {
        let made = prepared.make(node).await;
        let took = started.elapsed();
        tokio::time::sleep(least.saturating_sub(took)).await;
        is_over.store(true, Ordering::Relaxed);
        made.map(|()| took)
    };
    let flowing = apps.drive_while(
        FLOWS,
        FLOW_PACE,
        |_| is_over.load(Ordering::Relaxed),
        |_| {},
    );
    let measuring = async {
        let (took, most_mb) = tokio::join!(attacking, most_memory(node, &is_over));
        (
            took,
            most_mb,
            tokio::task::spawn_blocking(|| probes.stop()).await,
        )
    };
    let ((took, most_mb, calls), _) = tokio::join!(measuring, flowing);
    tokio::time::sleep(AFTERWARDS).await;
    let signs = TroubleCounts::of(node).await?.since(&before);
    let totals = apps.totals();
    for error in totals.errors.iter().take(5) {
        output::note(format_args!("{attack:?}: {error}"));
    }
    let flows = apps.begun();
    apps.stop().await;
    let calls = calls.map_err(io::Error::other)??;
    let calm = calm_ms.unwrap_or(calls.p99_ms).max(FLOOR_MS);
    Ok(Some(ExamResult {
        bench: "exam",
        store: network.store_name(),
        workers,
        attack,
        seconds: took?.as_secs_f64(),
        calls: calls.count,
        failed_calls: calls.failed,
        p50_ms: calls.p50_ms,
        p99_ms: calls.p99_ms,
        worst_ms: calls.worst_ms,
        times_calm: (calls.p99_ms.max(FLOOR_MS) / calm * 100.0).round() / 100.0,
        flows,
        flows_lost: flows - totals.verified,
        complete_p99_ms: totals.complete_ms.p99,
        signs,
        most_mb,
    }))
}

async fn most_memory(node: &NetworkNode, is_over: &AtomicBool) -> f64 {
    let mut most: f64 = 0.0;
    while !is_over.load(Ordering::Relaxed) {
        let used = node
            .processes
            .iter()
            .map(|part| part.process.usage().rss_mb);
        most = used.fold(most, f64::max);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    most
}

fn line(result: &ExamResult) -> String {
    let set_up = match result.workers {
        0 => "standalone".to_owned(),
        workers => format!("master + {workers} workers"),
    };
    format!(
        "exam  {:<8} {set_up:<18} {:<9} {:>5.1} s  calls p50 {:>6.1} p99 {:>7.1} worst {:>7.1} ms ({:.2} x calm), {} of {} failed  requests {} lost {} p99 {:>6.0} ms  {}  {:.0} MB  {}",
        result.store,
        format!("{:?}", result.attack).to_lowercase(),
        result.seconds,
        result.p50_ms,
        result.p99_ms,
        result.worst_ms,
        result.times_calm,
        result.failed_calls,
        result.calls,
        result.flows,
        result.flows_lost,
        result.complete_p99_ms,
        result.signs,
        result.most_mb,
        if result.is_passed() {
            "passed"
        } else {
            "FAILED"
        },
    )
}
