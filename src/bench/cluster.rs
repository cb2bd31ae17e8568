//! Masters and workers of the cluster core alone, each a process of its own, on
//! one store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::devnet::command::StoreArgument;
use crate::devnet::ports;
use crate::devnet::process::{Process, ProcessSpec};
use crate::devnet::redis_server::{self, RedisServer};
use crate::job::{NewJob, noop};
use crate::store::embedded::{self, EmbeddedStore};
use crate::store::redis::{self, RedisStore};
use crate::store::remote::RemoteStore;
use crate::store::{Accept, SharedStore};

pub(super) const NODE: &str = "bench1";
pub(super) const LOCAL: &str = "127.0.0.1";
/// Jobs in one accept while the queue is filled.
const BATCH: u64 = 100;
const START_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
pub(super) struct ClusterOptions {
    pub store: StoreArgument,
    /// More than one needs Redis.
    pub masters: usize,
    pub workers: usize,
    /// How long each job takes.
    pub hold: Duration,
    /// Whether workers record the starts of jobs.
    pub note_starts: bool,
}

/// A running cluster. Dropping it kills it.
pub(super) struct Cluster {
    /// The first to start is the master; the others are standbys.
    pub masters: Vec<Process>,
    pub workers: Vec<Process>,
    pub store: SharedStore,
    pub redis: Option<RedisServer>,
    /// The file in which workers record starts ([`super::node::JobStart`]), if
    /// they do.
    pub starts: PathBuf,
    note_starts: bool,
    directory: tempfile::TempDir,
    arguments: Vec<String>,
    master_ports: Vec<u16>,
    hold: Duration,
}

impl Cluster {
    /// Starts it and waits until the store answers.
    ///
    /// # Errors
    /// When something cannot be started.
    pub async fn start(options: ClusterOptions) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let master_ports: io::Result<Vec<u16>> = std::iter::repeat_with(ports::free)
            .take(options.masters.max(1))
            .collect();
        let master_ports = master_ports?;
        let redis = match options.store {
            StoreArgument::Embedded => None,
            StoreArgument::Redis => Some(RedisServer::start(redis_server::Options::default())?),
        };
        let mut arguments = vec!["bench-node".to_owned()];
        match &redis {
            Some(redis) => arguments.extend(["--redis-port".to_owned(), redis.port().to_string()]),
            None => {
                let file = directory.path().join("bench.redb").display().to_string();
                arguments.extend(["--file".to_owned(), file]);
            }
        }
        let first = master_ports.first().copied().unwrap_or_default();
        let mut cluster = Self {
            masters: Vec::new(),
            workers: Vec::new(),
            store: open(redis.as_ref().map(RedisServer::port), None, first).await?,
            redis,
            starts: directory.path().join("starts"),
            note_starts: options.note_starts,
            directory,
            arguments,
            master_ports,
            hold: options.hold,
        };
        for number in 0..cluster.master_ports.len() {
            let master = Process::start(cluster.master_plan(number))?;
            cluster.masters.push(master);
        }
        wait_until_available(&cluster.store).await?;
        for number in 0..options.workers {
            cluster.add_worker(&format!("worker{number}"))?;
        }
        Ok(cluster)
    }

    fn master_plan(&self, number: usize) -> ProcessSpec {
        let port = self.master_ports[number].to_string();
        let more = ["--mode", "master", "--port", &port];
        self.plan(format!("master{number}"), &more)
    }

    /// One more worker.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn add_worker(&mut self, name: &str) -> io::Result<()> {
        let ports: Vec<String> = self.master_ports.iter().map(u16::to_string).collect();
        let (ports, hold) = (ports.join(","), self.hold.as_millis().to_string());
        let starts = self.starts.display().to_string();
        let mut more = vec!["--mode", "worker", "--port", &ports, "--hold-ms", &hold];
        if self.note_starts {
            more.extend(["--starts", &starts]);
        }
        let plan = self.plan(name.to_owned(), &more);
        self.workers.push(Process::start(plan)?);
        Ok(())
    }

    fn plan(&self, name: String, more: &[&str]) -> ProcessSpec {
        let mut arguments = self.arguments.clone();
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        ProcessSpec {
            binary: None,
            log: self.directory.path().join(format!("{name}.log")),
            name,
            arguments,
            environment: Vec::new(),
        }
    }

    /// Stops everything.
    pub async fn stop(self) {
        let all = self.workers.into_iter().chain(self.masters);
        let stops = all.map(|process| process.stop(Duration::from_secs(5)));
        futures_util::future::join_all(stops).await;
    }
}

/// Accepts `n` jobs, each with a key of its own, a hundred per accept.
/// # Errors
/// When the store refuses one.
pub(super) async fn fill(store: &SharedStore, n: u64, concurrency: usize) -> io::Result<()> {
    let batches = (0..n.div_ceil(BATCH)).map(|batch| {
        let first = batch * BATCH;
        (first..n.min(first + BATCH)).map(noop).collect()
    });
    accept_all(store, batches, concurrency).await
}

/// Accepts jobs, one accept per batch.
/// # Errors
/// When the store refuses one.
pub(super) async fn accept_all(
    store: &SharedStore,
    batches: impl Iterator<Item = Vec<NewJob>>,
    concurrency: usize,
) -> io::Result<()> {
    use futures_util::{StreamExt, TryStreamExt};
    let accepts = batches.map(|jobs| {
        let store = store.clone();
        async move {
            let accept = Accept {
                jobs,
                ..Accept::default()
            };
            store.accept(accept).await
        }
    });
    futures_util::stream::iter(accepts)
        .buffer_unordered(concurrency.max(1))
        .try_for_each(async |_| Ok(()))
        .await
        .map_err(io::Error::other)
}

/// A job that does nothing.
pub(super) fn noop(number: u64) -> NewJob {
    NewJob::new(noop::NOOP, format!("bench:{number}"), &())
}

/// Waits until no job is open.
///
/// # Errors
/// When the store cannot be asked.
pub(super) async fn wait_until_empty(store: &SharedStore) -> io::Result<()> {
    while store.counts().await.map_err(io::Error::other)?.open > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Opens Redis, the file, or the store of the master at a port.
/// # Errors
/// When it cannot be opened or reached.
pub(super) async fn open(
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
            let store = RedisStore::connect(options).await;
            Ok(Arc::new(store.map_err(io::Error::other)?))
        }
        (None, Some(path)) => {
            let options = embedded::Options {
                path,
                node_id: NODE.to_owned(),
            };
            let store = EmbeddedStore::open(options);
            Ok(Arc::new(store.map_err(io::Error::other)?))
        }
        (None, None) => {
            let url = format!("http://{LOCAL}:{master_port}");
            let endpoint =
                tonic::transport::Endpoint::from_shared(url).map_err(io::Error::other)?;
            let channel = endpoint.tcp_nodelay(true).connect_lazy();
            Ok(Arc::new(RemoteStore::connect(channel, NODE)))
        }
    }
}

/// Waits until the store answers.
/// # Errors
/// When it does not answer for a long time.
pub(super) async fn wait_until_available(store: &SharedStore) -> io::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    while let Err(error) = store.counts().await {
        if Instant::now() > deadline {
            return Err(io::Error::other(error));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
