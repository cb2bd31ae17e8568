//! `erawan bench look-ups`: whether a node with many identities and many open
//! identity operations starts and answers as one with few.

use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;

use super::{print, set_ups, stores};
use crate::devnet::apps::{Accessor, ApiClient, citizen_id};
use crate::devnet::command::{StoreArgument, interrupted};
use crate::devnet::ledger::app::given::accessor_id;
use crate::devnet::network::{Network, NetworkOptions, StoreOption};
use crate::devnet::report::{Durations, Percentiles};
use crate::devnet::story::NAMESPACE;
use crate::devnet::story::actors::Actors;

const IDP: &str = "idp1";
/// Identities and open operations of the small node.
const FEW: u64 = 10;
/// For a node with a large store, in a debug build.
const READY_PATIENCE: Duration = Duration::from_secs(300);

/// `erawan bench look-ups`
#[derive(Debug, Clone, Args)]
pub struct LookUpsArguments {
    /// Identities on the ledger of the large node.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub identities: u64,
    /// Open identity operations of the large node.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub open: u64,
    /// Look-ups of each kind.
    #[arg(long, default_value_t = 1000)]
    pub n: u64,
    /// How many at a time.
    #[arg(long, default_value_t = 20)]
    pub concurrency: usize,
    /// Workers of each node, 0: standalone. Without it: 0 and 2, one after the other.
    #[arg(long)]
    pub workers: Option<usize>,
    /// Where the nodes keep jobs and state. Without it: both, one after the other.
    #[arg(long, value_enum)]
    pub store: Option<StoreArgument>,
    /// One JSON object a line on standard output.
    #[arg(long)]
    pub json: bool,
}

/// What was measured of one node. Field names are stable (docs/bench.md).
#[derive(Debug, Clone, Serialize)]
struct LookUpsResult {
    bench: &'static str,
    store: &'static str,
    workers: usize,
    identities: u64,
    open_operations: u64,
    /// From the start of its processes, after a kill, until all are ready.
    start_ms: u64,
    look_ups: Vec<LookUp>,
}

/// One kind of look-up.
#[derive(Debug, Clone, Serialize)]
struct LookUp {
    look_up: &'static str,
    n: u64,
    per_second: f64,
    #[serde(flatten)]
    took: Took,
}

/// How long one took.
#[derive(Debug, Clone, Copy, Serialize)]
struct Took {
    p50_ms: f64,
    p99_ms: f64,
}

impl From<Percentiles> for Took {
    fn from(percentiles: Percentiles) -> Self {
        Self {
            p50_ms: percentiles.p50,
            p99_ms: percentiles.p99,
        }
    }
}

/// How large a node is.
#[derive(Debug, Clone, Copy)]
struct Size {
    identities: u64,
    open: u64,
}

/// Runs the benchmark: a small node, then a large one, of each set-up.
///
/// # Errors
/// When a network cannot be started, or a look-up finds nothing.
pub async fn run(arguments: LookUpsArguments) -> io::Result<ExitCode> {
    let few = Size {
        identities: FEW,
        open: FEW,
    };
    let many = Size {
        identities: arguments.identities,
        open: arguments.open,
    };
    for store in stores(arguments.store) {
        for workers in set_ups(arguments.workers) {
            for size in [few, many] {
                let result = tokio::select! {
                    result = measure(&arguments, store.clone(), workers, size) => result?,
                    signal = interrupted() => return Ok(ExitCode::from(128 + signal? as i32 as u8)),
                };
                print(arguments.json, &result, || line(&result))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    arguments: &LookUpsArguments,
    store: StoreOption,
    workers: usize,
    size: Size,
) -> io::Result<LookUpsResult> {
    let store_name = store.name();
    let mut network = Network::start(NetworkOptions {
        nodes: vec![IDP.to_owned()],
        workers,
        store,
        identities: size.identities,
        log_level: "warn".to_owned(),
        ..NetworkOptions::default()
    })
    .await?;
    let actors = Actors::start(&network, "bank_statement").await?;
    let open = open_operations(&actors, size, arguments.concurrency);
    let open = open.await.map_err(io::Error::other)?;
    let start_ms = start_again(&mut network).await?;
    let client = actors.client(IDP).map_err(io::Error::other)?;
    let looking = Looking {
        client,
        n: arguments.n,
        concurrency: arguments.concurrency,
    };
    let identities = size.identities;
    let reference = |number: u64| open[(number % size.open) as usize].as_str();
    let mut look_ups = Vec::new();
    let person = |number: u64| citizen_id(scattered(number, identities));
    for (name, path) in [
        ("reference_group", "/v6/identity"),
        ("idps", "/v6/utility/idp"),
    ] {
        let path = |number| format!("{path}/{NAMESPACE}/{}", person(number));
        look_ups.push(looking.measure(name, path).await?);
    }
    let path = |number| format!("/v6/identity/{NAMESPACE}/{}/ial", person(number));
    look_ups.push(looking.measure("ial", path).await?);
    let accessor = |number| accessor_id(scattered(number, identities));
    let path = |number| format!("/v6/utility/accessors/{}", accessor(number));
    look_ups.push(looking.measure("accessor", path).await?);
    let references = "/v6/identity_request/request_references";
    let path = |number| format!("{references}/{}", reference(number));
    look_ups.push(looking.measure("open_operation", path).await?);
    actors.stop().await;
    network.stop().await;
    Ok(LookUpsResult {
        bench: "look_ups",
        store: store_name,
        workers,
        identities: size.identities,
        open_operations: size.open,
        start_ms,
        look_ups,
    })
}

/// Begins operations that wait for consent which nobody gives; their reference
/// ids.
async fn open_operations(
    actors: &Actors,
    size: Size,
    concurrency: usize,
) -> Result<Vec<String>, String> {
    let key = Accessor::generate("key".to_owned()).await?;
    let begin = |number: u64| {
        let added = key.sharing_its_key(format!("added-{number}"));
        async move {
            let mut call = added.registration()?;
            call["request_message"] = json!("please confirm the new accessor");
            let person = citizen_id(number % size.identities);
            let path = format!("/v6/identity/{NAMESPACE}/{person}/accessors");
            let asked = actors.ask(IDP, &path, call).await?;
            let kind = "add_accessor_request_result";
            actors.result(&asked, kind).await?;
            Ok::<String, String>(asked.reference_id)
        }
    };
    let all = all_of(concurrency, (0..size.open).map(begin)).await;
    all.into_iter().collect()
}

async fn all_of<F: Future>(concurrency: usize, each: impl Iterator<Item = F>) -> Vec<F::Output> {
    let stream = futures_util::stream::iter(each);
    stream.buffer_unordered(concurrency.max(1)).collect().await
}

/// Kills the node's processes and starts them again; how long that took.
async fn start_again(network: &mut Network) -> io::Result<u64> {
    let mut parts = network
        .nodes
        .iter_mut()
        .flat_map(|node| &mut node.processes);
    for part in &mut parts {
        part.process.kill().await;
    }
    let began = Instant::now();
    for part in network
        .nodes
        .iter_mut()
        .flat_map(|node| &mut node.processes)
    {
        part.process.start_again()?;
    }
    for node in &network.nodes {
        let client = ApiClient::new(node.api_urls())?;
        client.wait_until_ready(READY_PATIENCE).await?;
    }
    Ok(began.elapsed().as_millis() as u64)
}

/// Numbers below a limit in an order without a pattern that caches would like.
fn scattered(number: u64, limit: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % limit.max(1)
}

struct Looking<'a> {
    client: &'a ApiClient,
    n: u64,
    concurrency: usize,
}

impl Looking<'_> {
    async fn measure(
        &self,
        look_up: &'static str,
        path: impl Fn(u64) -> String,
    ) -> io::Result<LookUp> {
        let began = Instant::now();
        let each = (0..self.n).map(|number| {
            let path = path(number);
            async move {
                let began = Instant::now();
                self.client.get_json(&path).await.map(|_| began.elapsed())
            }
        });
        let ended = all_of(self.concurrency, each).await;
        let seconds = began.elapsed().as_secs_f64();
        let mut durations = Durations::default();
        for end in ended {
            durations.record(end.map_err(io::Error::other)?);
        }
        Ok(LookUp {
            look_up,
            n: self.n,
            per_second: self.n as f64 / seconds.max(f64::MIN_POSITIVE),
            took: durations.percentiles().into(),
        })
    }
}

fn line(result: &LookUpsResult) -> String {
    let set_up = match result.workers {
        0 => "standalone".to_owned(),
        workers => format!("{workers} workers"),
    };
    let mut text = format!(
        "{:<9} {set_up:<11} {:>8} identities {:>6} open operations  start {:>6} ms",
        result.store, result.identities, result.open_operations, result.start_ms,
    );
    for look_up in &result.look_ups {
        text.push_str(&format!(
            "\n    {:<16} {:>8.1}/s  p50 {:>6.1} ms  p99 {:>6.1} ms",
            look_up.look_up, look_up.per_second, look_up.took.p50_ms, look_up.took.p99_ms,
        ));
    }
    text
}
