//! A cluster to be tested: a store, a runner that records and can be held, and
//! short ways to start masters and workers.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use erawan::actors::mastership::Term;
use erawan::cluster::{
    Link, Master, MasterHandle, MasterOptions, Worker, WorkerHandle, WorkerOptions,
};
use erawan::config::MasterAddress;
use erawan::devnet::ports;
use erawan::dispatch::{Options, Snapshot};
use erawan::job::{Attempt, Commit, Epoch, Job, JobId, NewJob, Run, Runner, noop};
use erawan::protocol::client::FoundMaster;
use erawan::store::{Accept, Accepted, Store};
use erawan::tls::LinkSecurity;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::memory_store::MemoryStore;

pub const NODE: &str = "node1";

/// Waits until something is true; fails after 20 seconds.
pub async fn until<F, Fut>(what: &str, mut is_so: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    for _ in 0..2000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 20 s: {what}");
}

/// Runs jobs and remembers which attempts; holds them while the gate is closed.
pub struct Recorder {
    pub started: Mutex<Vec<(String, Attempt)>>,
    pub running: Mutex<BTreeMap<String, usize>>,
    pub most_at_once: Mutex<usize>,
    open: watch::Sender<bool>,
}

impl Recorder {
    pub fn new(is_open: bool) -> Arc<Self> {
        Arc::new(Self {
            started: Mutex::default(),
            running: Mutex::default(),
            most_at_once: Mutex::default(),
            open: watch::channel(is_open).0,
        })
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    pub fn attempts(&self, id: JobId) -> Vec<u32> {
        let started = self.started.lock();
        let of_job = started.iter().filter(|(_, attempt)| attempt.job == id);
        of_job.map(|(_, attempt)| attempt.number).collect()
    }

    pub fn count(&self) -> usize {
        self.started.lock().len()
    }
}

#[async_trait]
impl Runner for Recorder {
    async fn run(&self, job: &Job) -> Run {
        let attempt = Attempt {
            job: job.id(),
            number: job.attempt,
        };
        self.started.lock().push((job.key().to_owned(), attempt));
        {
            let mut running = self.running.lock();
            *running.entry(job.key().to_owned()).or_default() += 1;
            assert_eq!(running[job.key()], 1, "two jobs of {} at once", job.key());
            let total: usize = running.values().sum();
            let mut most = self.most_at_once.lock();
            *most = (*most).max(total);
        }
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open)
            .await
            .expect("we hold the sender");
        *self.running.lock().get_mut(job.key()).expect("counted") -= 1;
        Run::Commit(Commit::nothing())
    }
}

/// Connections at a master's port.
pub const MOST_LINKS: usize = 32;

pub fn master_options(store: &Arc<MemoryStore>, listen: Option<SocketAddr>) -> MasterOptions {
    erawan::node::kinds::give();
    MasterOptions {
        node_id: NODE.to_owned(),
        master_id: uuid::Uuid::new_v4().to_string(),
        term: Term::without_end(Epoch(1)),
        listen: listen.map(|address| vec![address]),
        most_links: MOST_LINKS,
        security: LinkSecurity::Open,
        store: store.clone(),
        store_service: None,
        place: None,
        backlog: Arc::default(),
        dispatcher: Options {
            adoption_window: Duration::from_millis(1500),
            scan_interval: Duration::from_millis(200),
            ..Options::default()
        },
    }
}

/// A master whose port is given to nobody else while it is away.
pub async fn master(store: &Arc<MemoryStore>) -> MasterHandle {
    let port = ports::free().expect("a port");
    let own = SocketAddr::from(([127, 0, 0, 1], port));
    Master::start(master_options(store, Some(own)))
        .await
        .expect("the port is free")
}

pub fn worker_options(
    name: &str,
    store: &Arc<MemoryStore>,
    runner: Arc<dyn Runner>,
    link: Link,
) -> WorkerOptions {
    erawan::node::kinds::give();
    WorkerOptions {
        node_id: NODE.to_owned(),
        worker_id: name.to_owned(),
        version: "test".to_owned(),
        run_capacity: 4,
        delivery_capacity: 8,
        store: store.clone(),
        runner,
        link,
        chain_hook: Arc::new(()),
    }
}

pub fn grpc(port: u16) -> Link {
    Link::Grpc {
        masters: vec![MasterAddress::new("127.0.0.1", port)],
        security: LinkSecurity::Open,
        found: FoundMaster::default(),
        thread: None,
    }
}

pub fn worker(
    name: &str,
    store: &Arc<MemoryStore>,
    runner: Arc<dyn Runner>,
    link: Link,
) -> WorkerHandle {
    Worker::start(worker_options(name, store, runner, link))
}

pub async fn connected(worker: &WorkerHandle) {
    let mut state = worker.link_state();
    let waiting = state.wait_for(|state| state.connected);
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .expect("connects")
        .expect("the worker lives");
}

pub async fn snapshot(master: &MasterHandle) -> Snapshot {
    master.snapshot().await.expect("the master lives")
}

/// Accepts jobs into the store, as an API call does.
pub async fn accept(store: &MemoryStore, jobs: Vec<NewJob>) -> Vec<Job> {
    let accept = Accept {
        jobs,
        ..Accept::default()
    };
    match store.accept(accept).await.expect("the store is up") {
        Accepted::Stored { jobs, .. } => jobs,
        Accepted::Refused { .. } => panic!("nothing refuses it"),
    }
}

pub fn noops(count: usize, keys: usize) -> Vec<NewJob> {
    (0..count)
        .map(|n| NewJob::new(noop::NOOP, format!("key{}", n % keys), &n))
        .collect()
}

pub async fn all_ended(store: &MemoryStore) {
    until("every job ends", || async {
        store.counts().await.is_ok_and(|counts| counts.open == 0)
    })
    .await;
}
