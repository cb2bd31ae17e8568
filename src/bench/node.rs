//! `bench-node`: a master or a worker of the cluster core alone, as a process,
//! with jobs that do nothing but take time.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::Arbiter;
use async_trait::async_trait;
use clap::{Args, ValueEnum};
use parking_lot::Mutex;

use super::cluster::{LOCAL, NODE, open};
use crate::actors::mastership::{self, Mastership, Term, core};
use crate::cluster::{Link, Master, MasterHandle, MasterOptions, Worker, WorkerOptions};
use crate::config::MasterAddress;
use crate::devnet::command::interrupted;
use crate::job::{Commit, Epoch, Job, NewJob, Run, Runner, noop};
use crate::store::{SharedStore, remote};
use crate::tls::LinkSecurity;
use crate::{dispatch, parent};

const RUN_CAPACITY: u32 = 256;

/// Options of a process.
#[derive(Debug, Clone, Args)]
pub struct NodeArguments {
    #[arg(long, value_enum)]
    mode: NodeMode,
    /// gRPC ports of the masters; for a master, its own.
    #[arg(long, value_delimiter = ',')]
    port: Vec<u16>,
    /// The embedded store's file.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Redis' port.
    #[arg(long)]
    redis_port: Option<u16>,
    /// How long a job takes.
    #[arg(long, default_value_t = 0)]
    hold_ms: u64,
    /// File to record each start of a job, one per line.
    #[arg(long)]
    starts: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NodeMode {
    Master,
    Worker,
}

/// A job began to run on a worker: a line of the file `--starts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobStart {
    /// Process id of the worker.
    pub pid: u32,
    /// Microseconds since 1970.
    pub at: u64,
    /// Key of the job.
    pub key: String,
}

impl JobStart {
    fn line(&self) -> String {
        format!("{} {} {}\n", self.pid, self.at, self.key)
    }

    /// Reads a line; `None` if it has another form.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, ' ');
        Some(Self {
            pid: fields.next()?.parse().ok()?,
            at: fields.next()?.parse().ok()?,
            key: fields.next()?.to_owned(),
        })
    }
}

/// Microseconds since 1970, the same in all processes of the machine.
pub(super) fn micros_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_micros() as u64
}

/// Runs the jobs of the benchmarks.
struct NodeRunner {
    hold: Duration,
    starts: Option<Mutex<File>>,
}

impl NodeRunner {
    fn open(hold: Duration, starts: Option<&Path>) -> io::Result<Self> {
        let open = |path: &Path| File::options().create(true).append(true).open(path);
        Ok(Self {
            hold,
            starts: starts.map(open).transpose()?.map(Mutex::new),
        })
    }

    fn note_start(&self, job: &Job) -> io::Result<()> {
        let Some(file) = &self.starts else {
            return Ok(());
        };
        let start = JobStart {
            pid: std::process::id(),
            at: micros_now(),
            key: job.key().to_owned(),
        };
        // One write per line, because several processes share the file.
        file.lock().write_all(start.line().as_bytes())
    }
}

#[async_trait]
impl Runner for NodeRunner {
    async fn run(&self, job: &Job) -> Run {
        if let Err(error) = self.note_start(job) {
            return Run::Commit(Commit::failed(error.to_string()));
        }
        // Poison, for tests of its effect.
        match job.key() {
            _ if job.kind() != noop::NOOP => {}
            key if key.starts_with("panic") => panic!("poison: {key}"),
            key if key.starts_with("kill") => std::process::abort(),
            _ => {}
        }
        if self.hold > Duration::ZERO {
            tokio::time::sleep(self.hold).await;
        }
        let mut commit = Commit::nothing();
        if job.kind() == noop::CHAIN {
            match job.payload::<u64>() {
                Ok(0) => {}
                Ok(left) => {
                    commit.job(NewJob::new(noop::CHAIN, job.key(), &(left - 1)));
                }
                Err(error) => {
                    let reason = error.to_string();
                    return Run::Park { reason };
                }
            }
        }
        Run::Commit(commit)
    }
}

/// Runs a master or a worker until it is stopped.
/// # Errors
/// When it cannot be started.
pub async fn run_node(arguments: NodeArguments) -> io::Result<ExitCode> {
    match arguments.mode {
        NodeMode::Master => run_master(&arguments).await?,
        NodeMode::Worker => run_worker(&arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn stop() {
    tokio::select! {
        _ = interrupted() => {}
        () = parent::parent_gone() => {}
    }
}

/// Stands by until it is the master; ends when it no longer is.
async fn run_master(arguments: &NodeArguments) -> io::Result<()> {
    let port = arguments.port.first().copied().unwrap_or_default();
    let store = open(arguments.redis_port, arguments.file.clone(), port).await?;
    let master_id = format!("bench-{}", uuid::Uuid::new_v4());
    let options = core::Options {
        exclusive: arguments.file.is_some(),
        ..mastership::OPTIONS
    };
    let mastership = Mastership::stand(store.clone(), master_id.clone(), options, Epoch::default());
    let term = tokio::select! {
        term = mastership.elected() => term,
        () = stop() => None,
    };
    if let Some(term) = term {
        let master = start_master(port, master_id, term, store).await?;
        tokio::select! {
            _ = mastership.lost() => {}
            () = stop() => {}
        }
        master.stop().await;
    }
    mastership.end().await;
    Ok(())
}

/// More workers than any benchmark has.
const MOST_LINKS: usize = 1024;

async fn start_master(
    port: u16,
    master_id: String,
    term: Term,
    store: SharedStore,
) -> io::Result<MasterHandle> {
    let served = store.clone();
    let master = Master::start(MasterOptions {
        node_id: NODE.to_owned(),
        master_id,
        term,
        listen: Some(vec![([127, 0, 0, 1], port).into()]),
        most_links: MOST_LINKS,
        security: LinkSecurity::Open,
        store,
        store_service: Some(Arc::new(move |calls| {
            Box::pin(remote::serve_stream(served.clone(), calls))
        })),
        place: None,
        dispatcher: dispatch::Options::default(),
        backlog: Arc::default(),
    });
    master.await.map_err(io::Error::other)
}

async fn run_worker(arguments: &NodeArguments) -> io::Result<()> {
    let port = arguments.port.first().copied().unwrap_or_default();
    let store = open(arguments.redis_port, None, port).await?;
    let hold = Duration::from_millis(arguments.hold_ms);
    let masters = arguments.port.iter();
    let masters = masters.map(|port| MasterAddress::new(LOCAL, *port));
    let worker = Worker::start(WorkerOptions {
        node_id: NODE.to_owned(),
        worker_id: uuid::Uuid::new_v4().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run_capacity: RUN_CAPACITY,
        delivery_capacity: 1,
        store,
        runner: Arc::new(NodeRunner::open(hold, arguments.starts.as_deref())?),
        link: Link::Grpc {
            masters: masters.collect(),
            security: LinkSecurity::Open,
            found: crate::protocol::client::FoundMaster::default(),
            thread: Some(Arbiter::current()),
        },
        chain_hook: Arc::new(()),
    });
    stop().await;
    worker.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_back_as_it_was_written() {
        let start = JobStart {
            pid: 7,
            at: 1_700_000_000_000_000,
            key: "bench:a b".to_owned(),
        };
        assert_eq!(JobStart::parse(start.line().trim_end()), Some(start));
        assert_eq!(JobStart::parse("7 torn"), None);
    }
}
