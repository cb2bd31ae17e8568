//! `erawan bench jobs`: no-op jobs accepted, dispatched, run and committed
//! durably through one master and its workers, each a process of its own.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::print;
use crate::actors::mastership::Term;
use crate::actors::{Run, Runner, dispatcher};
use crate::cluster::{self, Link, Master, MasterOptions, Worker, WorkerOptions};
use crate::config::MasterAddress;
use crate::devnet::command::{StoreArgument, interrupted};
use crate::devnet::process::{self, Plan, Process};
use crate::devnet::redis_server::{self, RedisServer};
use crate::devnet::report::Durations;
use crate::job::{Commit, Job, Kind, NewJob};
use crate::store::embedded::{self, EmbeddedStore};
use crate::store::redis::{self, RedisStore};
use crate::store::remote::{self, RemoteStore};
use crate::store::{Accept, Lease, SharedStore};

const NODE: &str = "bench1";
const LOCAL: &str = "127.0.0.1";
/// Jobs in one accept while the queue is filled.
const BATCH: u64 = 100;
const RUN_CAPACITY: u32 = 256;
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Single jobs timed from accept to end, after the queue has been worked off.
const PROBES: u64 = 200;
const LEASE: Duration = Duration::from_secs(24 * 60 * 60);

/// `erawan bench jobs`
#[derive(Debug, Clone, Args)]
pub struct JobsArguments {
    /// Jobs queued. Without it: 1,000, 10,000 and 100,000, one after the other.
    #[arg(long)]
    pub n: Option<u64>,
    /// Accepts at a time while the queue is filled.
    #[arg(long, default_value_t = 16)]
    pub concurrency: usize,
    /// Workers.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Where the jobs are kept. Without it: both, one after the other.
    #[arg(long, value_enum)]
    pub store: Option<StoreArgument>,
    /// One JSON object a line on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Options of a process of this benchmark.
#[derive(Debug, Clone, Args)]
pub struct NodeArguments {
    /// What it is.
    #[arg(long, value_enum)]
    mode: NodeMode,
    /// The master's gRPC port.
    #[arg(long)]
    port: u16,
    /// The embedded store's file.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Redis' port.
    #[arg(long)]
    redis_port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NodeMode {
    Master,
    Worker,
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
            print(arguments.json, &result, || line(&result));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A master and its workers on one store.
struct Cluster {
    master: Process,
    workers: Vec<Process>,
    store: SharedStore,
    _redis: Option<RedisServer>,
    _directory: tempfile::TempDir,
}

impl Cluster {
    async fn start(store: StoreArgument, workers: usize) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind((LOCAL, 0))?.local_addr()?.port();
        let redis = match store {
            StoreArgument::Embedded => None,
            StoreArgument::Redis => Some(RedisServer::start(redis_server::Options::default())?),
        };
        let mut arguments = vec![
            "bench-node".to_owned(),
            "--port".to_owned(),
            port.to_string(),
        ];
        match &redis {
            Some(redis) => arguments.extend(["--redis-port".to_owned(), redis.port().to_string()]),
            None => {
                let file = directory.path().join("bench.redb").display().to_string();
                arguments.extend(["--file".to_owned(), file]);
            }
        }
        let start = |mode: &str, name: String| {
            let mut arguments = arguments.clone();
            arguments.extend(["--mode".to_owned(), mode.to_owned()]);
            let log = directory.path().join(format!("{name}.log"));
            Process::start(Plan {
                binary: None,
                name,
                arguments,
                environment: Vec::new(),
                log,
            })
        };
        let master = start("master", "master".to_owned())?;
        let workers: io::Result<Vec<Process>> = (0..workers)
            .map(|index| start("worker", format!("worker{index}")))
            .collect();
        let store = open(redis.as_ref().map(RedisServer::port), None, port).await?;
        wait_until_available(&store).await?;
        Ok(Self {
            master,
            workers: workers?,
            store,
            _redis: redis,
            _directory: directory,
        })
    }

    async fn stop(self) {
        let all = self.workers.into_iter().chain([self.master]);
        let stops = all.map(|process| process.stop(Duration::from_secs(5)));
        futures_util::future::join_all(stops).await;
    }
}

async fn measure(
    arguments: &JobsArguments,
    store: StoreArgument,
    n: u64,
) -> io::Result<JobsResult> {
    let cluster = Cluster::start(store, arguments.workers).await?;
    let started = Instant::now();
    fill(&cluster.store, n, arguments.concurrency).await?;
    let enqueued = started.elapsed();
    let master_rss_mb = cluster.master.usage().rss_mb;
    wait_until_empty(&cluster.store).await?;
    let all = started.elapsed();
    let latency = probe(&cluster.store).await?;
    let master_rss_mb = master_rss_mb.max(cluster.master.usage().rss_mb);
    cluster.stop().await;
    Ok(JobsResult {
        bench: "jobs",
        store: match store {
            StoreArgument::Embedded => "embedded",
            StoreArgument::Redis => "redis",
        },
        workers: arguments.workers,
        n,
        enqueue_per_second: n as f64 / enqueued.as_secs_f64(),
        per_second: n as f64 / all.as_secs_f64(),
        p50_ms: latency.p50,
        p99_ms: latency.p99,
        master_rss_mb,
    })
}

/// Accepts `n` jobs, each with a key of its own.
async fn fill(store: &SharedStore, n: u64, concurrency: usize) -> io::Result<()> {
    use futures_util::{StreamExt, TryStreamExt};
    let batches = (0..n.div_ceil(BATCH)).map(|batch| {
        let first = batch * BATCH;
        let jobs = (first..n.min(first + BATCH)).map(noop).collect();
        let store = store.clone();
        async move {
            store
                .accept(Accept {
                    jobs,
                    ..Accept::default()
                })
                .await
        }
    });
    futures_util::stream::iter(batches)
        .buffer_unordered(concurrency.max(1))
        .try_for_each(async |_| Ok(()))
        .await
        .map_err(io::Error::other)
}

fn noop(number: u64) -> NewJob {
    NewJob::new(Kind::Noop, format!("bench:{number}"), &())
}

async fn wait_until_empty(store: &SharedStore) -> io::Result<()> {
    while store.counts().await.map_err(io::Error::other)?.open > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Time of a lone job from its accept to its end. It is not announced: the
/// dispatcher finds it by looking through the store, unless it is accepted in a
/// commit, so a chain is measured: each job is the follow-up of the one before.
async fn probe(store: &SharedStore) -> io::Result<crate::devnet::report::Percentiles> {
    let mut durations = Durations::default();
    let chain = NewJob::new(Kind::NoopChain, "bench:probe", &PROBES);
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

async fn open(
    redis_port: Option<u16>,
    file: Option<PathBuf>,
    master_port: u16,
) -> io::Result<SharedStore> {
    match (redis_port, file) {
        (Some(port), _) => {
            let options = redis::Options {
                host: LOCAL.to_owned(),
                port,
                password: None,
                node_id: NODE.to_owned(),
            };
            Ok(Arc::new(
                RedisStore::connect(options)
                    .await
                    .map_err(io::Error::other)?,
            ))
        }
        (None, Some(path)) => {
            let options = embedded::Options {
                path,
                node_id: NODE.to_owned(),
            };
            Ok(Arc::new(
                EmbeddedStore::open(options).map_err(io::Error::other)?,
            ))
        }
        (None, None) => {
            let url = format!("http://{LOCAL}:{master_port}");
            let endpoint =
                tonic::transport::Endpoint::from_shared(url).map_err(io::Error::other)?;
            Ok(Arc::new(RemoteStore::connect(
                endpoint.tcp_nodelay(true).connect_lazy(),
            )))
        }
    }
}

async fn wait_until_available(store: &SharedStore) -> io::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    while let Err(error) = store.counts().await {
        if Instant::now() > deadline {
            return Err(io::Error::other(error));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Runs no-op jobs.
struct NoopRunner;

#[async_trait]
impl Runner for NoopRunner {
    async fn run(&self, job: &Job) -> Run {
        let mut commit = Commit::nothing();
        if job.kind() == Kind::NoopChain {
            match job.payload::<u64>() {
                Ok(0) => {}
                Ok(left) => {
                    commit.job(NewJob::new(Kind::NoopChain, "bench:probe", &(left - 1)));
                }
                Err(error) => return Run::Commit(Commit::failed(error.to_string())),
            }
        }
        Run::Commit(commit)
    }
}

/// A master or a worker of this benchmark, until it is stopped.
///
/// # Errors
/// When it cannot be started.
pub async fn run_node(arguments: NodeArguments) -> io::Result<ExitCode> {
    let stop = async {
        tokio::select! {
            _ = interrupted() => {}
            () = process::parent_gone() => {}
        }
    };
    match arguments.mode {
        NodeMode::Master => {
            let store = open(arguments.redis_port, arguments.file, arguments.port).await?;
            let lease = store
                .acquire_lease("bench", LEASE)
                .await
                .map_err(io::Error::other)?;
            let Lease::Held { epoch } = lease else {
                return Err(io::Error::other("another benchmark uses this store"));
            };
            let served = store.clone();
            let master = Master::start(MasterOptions {
                node_id: NODE.to_owned(),
                master_id: "bench".to_owned(),
                term: Term::without_end(epoch),
                listen: Some(([127, 0, 0, 1], arguments.port).into()),
                tls: None,
                store,
                store_service: Some(Arc::new(move |calls| {
                    Box::pin(remote::serve_stream(served.clone(), calls))
                })),
                place: None,
                dispatcher: dispatcher::Options::default(),
            })
            .await
            .map_err(io::Error::other)?;
            stop.await;
            master.stop().await;
        }
        NodeMode::Worker => {
            let store = open(arguments.redis_port, None, arguments.port).await?;
            let worker = Worker::start(WorkerOptions {
                node_id: NODE.to_owned(),
                worker_id: uuid::Uuid::new_v4().to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                run_capacity: RUN_CAPACITY,
                delivery_capacity: 1,
                store,
                runner: Arc::new(NoopRunner),
                link: Link::Grpc {
                    masters: vec![MasterAddress::new(LOCAL, arguments.port)],
                    tls: None::<cluster::Tls>,
                },
                chain_hook: Arc::new(()),
            });
            stop.await;
            worker.stop().await;
        }
    }
    Ok(ExitCode::SUCCESS)
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
