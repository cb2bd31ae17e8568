//! `erawan bench identity`: identity operations per second, direct and with the
//! user's consent at another IdP.

use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;

use super::cpu::Cpu;
use super::{print, set_ups, stores};
use crate::devnet::apps::{Accessor, citizen_id};
use crate::devnet::command::{StoreArgument, interrupted};
use crate::devnet::network::{Network, NetworkOptions, StoreOption};
use crate::devnet::report::Durations;
use crate::devnet::story::actors::{Actors, field};
use crate::devnet::story::{NAMESPACE, identity};

/// `erawan bench identity`
#[derive(Debug, Clone, Args)]
pub struct IdentityArguments {
    /// Users: each operation is measured once for each of them.
    #[arg(long, default_value_t = 100)]
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

/// A measured operation. Field names are stable (docs/bench.md).
#[derive(Debug, Clone, Serialize)]
struct IdentityResult {
    bench: &'static str,
    store: &'static str,
    workers: usize,
    operation: &'static str,
    n: u64,
    concurrency: usize,
    done: u64,
    seconds: f64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_ms_per_operation: f64,
    problem: Option<String>,
}

/// Runs the benchmark. Fails when an operation does not end as it should.
///
/// # Errors
/// When a network cannot be started.
pub async fn run(arguments: IdentityArguments) -> io::Result<ExitCode> {
    let stores = stores(arguments.store);
    let mut code = ExitCode::SUCCESS;
    for store in &stores {
        for workers in set_ups(arguments.workers) {
            let results = tokio::select! {
                results = measure(&arguments, store.clone(), workers) => results?,
                signal = interrupted() => return Ok(ExitCode::from(128 + signal? as i32 as u8)),
            };
            for result in &results {
                if result.done != result.n {
                    code = ExitCode::FAILURE;
                }
                print(arguments.json, result, || line(result))?;
            }
        }
    }
    Ok(code)
}

/// A user with an accessor at each IdP.
struct Person {
    identifier: String,
    first: Accessor,
    second: Accessor,
    third: Accessor,
}

async fn measure(
    arguments: &IdentityArguments,
    store: StoreOption,
    workers: usize,
) -> io::Result<Vec<IdentityResult>> {
    let store_name = store.name();
    let network = Network::start(NetworkOptions {
        nodes: ["idp1", "idp2"].map(str::to_owned).to_vec(),
        workers,
        store,
        log_level: "warn".to_owned(),
        ..NetworkOptions::default()
    })
    .await?;
    let actors = Actors::start(&network, "bank_statement").await?;
    let key = Accessor::generate("key".to_owned()).await;
    let key = key.map_err(io::Error::other)?;
    let people: Vec<Person> = (0..arguments.n)
        .map(|number| person(number, &key))
        .collect();
    let set_up = SetUp {
        arguments,
        network: &network,
        store: store_name,
        workers,
    };
    let (actors_of, people) = (&actors, &people);
    let results = vec![
        set_up
            .measure("create", |number| create(actors_of, &people[number]))
            .await,
        set_up
            .measure("create_with_consent", |number| {
                create_with_consent(actors_of, &people[number])
            })
            .await,
        set_up
            .measure("add_accessor", |number| {
                add_accessor(actors_of, &people[number])
            })
            .await,
    ];
    actors.stop().await;
    network.stop().await;
    Ok(results)
}

fn person(number: u64, key: &Accessor) -> Person {
    let accessor = |name: &str| key.sharing_its_key(format!("bench-{number}-{name}"));
    Person {
        identifier: citizen_id(number),
        first: accessor("first"),
        second: accessor("second"),
        third: accessor("third"),
    }
}

/// The network that is measured.
struct SetUp<'a> {
    arguments: &'a IdentityArguments,
    network: &'a Network,
    store: &'static str,
    workers: usize,
}

impl SetUp<'_> {
    /// Runs an operation for everybody.
    async fn measure<F>(&self, operation: &'static str, run: impl Fn(usize) -> F) -> IdentityResult
    where
        F: Future<Output = Result<(), String>>,
    {
        let IdentityArguments { n, concurrency, .. } = *self.arguments;
        let before = Cpu::now(self.network);
        let began = Instant::now();
        let operations = (0..n as usize).map(|number| {
            let operation = run(number);
            async move {
                let began = Instant::now();
                operation.await.map(|()| began.elapsed())
            }
        });
        let ended: Vec<Result<Duration, String>> = futures_util::stream::iter(operations)
            .buffer_unordered(concurrency.max(1))
            .collect()
            .await;
        let seconds = began.elapsed().as_secs_f64();
        let (mut done, mut each, mut problem) = (0, Durations::default(), None);
        for end in ended {
            match end {
                Ok(took) => {
                    done += 1;
                    each.record(took);
                }
                Err(told) => problem = Some(told),
            }
        }
        let percentiles = each.percentiles();
        IdentityResult {
            bench: "identity",
            store: self.store,
            workers: self.workers,
            operation,
            n,
            concurrency,
            done,
            seconds,
            per_second: done as f64 / seconds.max(f64::MIN_POSITIVE),
            p50_ms: percentiles.p50,
            p99_ms: percentiles.p99,
            cpu_ms_per_operation: Cpu::now(self.network).per_request(before, done).nodes,
            problem,
        }
    }
}

/// Nobody has the identity yet: nobody is asked.
async fn create(actors: &Actors, person: &Person) -> Result<(), String> {
    let call = identity(&person.identifier, &person.first, 3)?;
    let asked = actors.ask("idp1", "/v6/identity", call).await?;
    actors.result(&asked, "create_identity_result").await?;
    Ok(())
}

/// The user is asked at the first IdP.
async fn create_with_consent(actors: &Actors, person: &Person) -> Result<(), String> {
    let call = identity(&person.identifier, &person.second, 3)?;
    let asked = actors.ask("idp2", "/v6/identity", call).await?;
    let request_id = field(&asked.answer, "request_id")?;
    actors.consent("idp1", &request_id, &person.first).await?;
    actors.result(&asked, "create_identity_result").await?;
    Ok(())
}

/// The user is asked at the other IdP.
async fn add_accessor(actors: &Actors, person: &Person) -> Result<(), String> {
    let mut call = person.third.registration()?;
    call["request_message"] = json!("please confirm the new accessor");
    let path = format!("/v6/identity/{NAMESPACE}/{}/accessors", person.identifier);
    let asked = actors.ask("idp1", &path, call).await?;
    let request_id = field(&asked.answer, "request_id")?;
    actors.consent("idp2", &request_id, &person.second).await?;
    actors.result(&asked, "add_accessor_result").await?;
    Ok(())
}

fn line(result: &IdentityResult) -> String {
    let set_up = match result.workers {
        0 => "standalone".to_owned(),
        workers => format!("{workers} workers"),
    };
    let problem = result.problem.as_ref();
    let problem = problem.map_or_else(String::new, |problem| format!("  {problem}"));
    format!(
        "{:<9} {set_up:<11} {:<20} {:>7.1}/s  p50 {:>7.1} ms  p99 {:>7.1} ms  CPU {:>6.1} ms  {}/{}{problem}",
        result.store,
        result.operation,
        result.per_second,
        result.p50_ms,
        result.p99_ms,
        result.cpu_ms_per_operation,
        result.done,
        result.n,
    )
}
