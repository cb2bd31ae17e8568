//! The engines, each with its real server or file.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use erawan::devnet::ports;
use erawan::devnet::redis_server::{self, Durability, RedisServer};
use erawan::job::{Attempt, Commit, Epoch, Job, JobId, NewJob, Write, noop};
use erawan::proto::cluster::cluster_server::{Cluster, ClusterServer};
use erawan::proto::cluster::{
    FromMaster, FromWorker, OperatorAnswer, OperatorQuestion, StoreFrame,
};
use erawan::store::embedded::{self, EmbeddedStore};
use erawan::store::redis::{self, RedisStore};
use erawan::store::remote::{RemoteStore, serve_stream};
use erawan::store::{
    Accept, Accepted, Committed, FailedJob, FailedLimits, Release, Released, SharedStore, Store,
    StoreError,
};
use futures_util::Stream;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

use crate::memory_store::MemoryStore;

/// An engine with a fresh, empty store.
#[async_trait]
pub trait Harness: Sized + Send {
    async fn start_with(limits: FailedLimits) -> Self;

    async fn start() -> Self {
        Self::start_with(FailedLimits::default()).await
    }

    /// The store as a worker has it.
    fn store(&self) -> SharedStore;

    /// The store as the master has it.
    fn master(&self) -> SharedStore;

    /// Stops and starts what keeps the data. Stores taken before are closed.
    async fn restart(self) -> Self;
}

pub struct Redis {
    pub server: RedisServer,
    store: SharedStore,
    limits: FailedLimits,
}

pub async fn connect_redis(server: &RedisServer) -> Result<RedisStore, StoreError> {
    erawan::node::kinds::give();
    RedisStore::connect(redis::Options {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        password: None,
        node_id: "node*[1]".to_owned(),
    })
    .await
}

impl Redis {
    async fn with_server(server: RedisServer, limits: FailedLimits) -> Self {
        let store = connect_redis(&server).await.expect("redis is up");
        Self {
            server,
            store: Arc::new(store.with_failed_limits(limits)),
            limits,
        }
    }
}

#[async_trait]
impl Harness for Redis {
    async fn start_with(limits: FailedLimits) -> Self {
        let options = redis_server::Options {
            durability: Durability::Always,
            ..Default::default()
        };
        let server = RedisServer::start(options).expect("redis-server starts");
        Self::with_server(server, limits).await
    }

    fn store(&self) -> SharedStore {
        Arc::clone(&self.store)
    }

    fn master(&self) -> SharedStore {
        Arc::clone(&self.store)
    }

    async fn restart(mut self) -> Self {
        self.server.restart().expect("redis-server starts again");
        Self::with_server(self.server, self.limits).await
    }
}

pub struct Embedded {
    directory: tempfile::TempDir,
    store: Arc<EmbeddedStore>,
    limits: FailedLimits,
}

impl Embedded {
    fn in_directory(directory: tempfile::TempDir, limits: FailedLimits) -> Self {
        erawan::node::kinds::give();
        let store = EmbeddedStore::open(embedded::Options {
            path: directory.path().join("store.redb"),
            node_id: "node".to_owned(),
        })
        .expect("the file opens");
        Self {
            directory,
            store: Arc::new(store.with_failed_limits(limits)),
            limits,
        }
    }
}

#[async_trait]
impl Harness for Embedded {
    async fn start_with(limits: FailedLimits) -> Self {
        Self::in_directory(tempfile::tempdir().expect("a directory"), limits)
    }

    fn store(&self) -> SharedStore {
        Arc::clone(&self.store) as SharedStore
    }

    fn master(&self) -> SharedStore {
        self.store()
    }

    async fn restart(self) -> Self {
        let alone = Arc::into_inner(self.store);
        drop(alone.expect("nobody else has the store"));
        Self::in_directory(self.directory, self.limits)
    }
}

/// The contract itself. It has nothing to be restarted.
pub struct Memory(Arc<MemoryStore>);

#[async_trait]
impl Harness for Memory {
    async fn start_with(limits: FailedLimits) -> Self {
        Self(Arc::new(MemoryStore {
            failed_limits: limits,
            ..MemoryStore::default()
        }))
    }

    fn store(&self) -> SharedStore {
        Arc::clone(&self.0) as SharedStore
    }

    fn master(&self) -> SharedStore {
        self.store()
    }

    async fn restart(self) -> Self {
        self
    }
}

/// The part of a master that serves its store, in a runtime of its own, so that
/// its connections end with it as they do with a process.
pub struct Master {
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Master {
    /// Listens on this address, or on a port that is given to nobody else while
    /// the master is away.
    pub fn start(store: SharedStore, address: Option<SocketAddr>) -> Self {
        let listener = match address {
            None => ports::reserve().expect("a port"),
            Some(address) => listen_again(address),
        };
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let service = ClusterServer::new(StoreService(store));
        let mut runtime = Builder::new_multi_thread();
        // However many cores there are: every test has masters of its own.
        let runtime = runtime.worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the server serves");
        });
        Self {
            address,
            runtime: Some(runtime),
        }
    }
}

/// As soon as the runtime of the previous master has released the address.
fn listen_again(address: SocketAddr) -> std::net::TcpListener {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match std::net::TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct StoreService(SharedStore);

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Cluster for StoreService {
    type SessionStream = Replies<FromMaster>;
    type StoreStream = Replies<StoreFrame>;

    async fn session(
        &self,
        _: Request<Streaming<FromWorker>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Err(Status::unimplemented("only the store is tested here"))
    }

    async fn operate(
        &self,
        _: Request<OperatorQuestion>,
    ) -> Result<Response<OperatorAnswer>, Status> {
        Err(Status::unimplemented("only the store is tested here"))
    }

    async fn store(
        &self,
        request: Request<Streaming<StoreFrame>>,
    ) -> Result<Response<Self::StoreStream>, Status> {
        let replies = serve_stream(Arc::clone(&self.0), request.into_inner());
        Ok(Response::new(Box::pin(replies)))
    }
}

pub struct Remote {
    embedded: Embedded,
    store: SharedStore,
    master: Master,
}

pub fn connect_remote(address: SocketAddr) -> RemoteStore {
    erawan::node::kinds::give();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URI");
    RemoteStore::connect(endpoint.connect_lazy(), "node")
}

impl Remote {
    async fn over(embedded: Embedded) -> Self {
        let master = Master::start(embedded.master(), None);
        Self {
            embedded,
            store: Arc::new(connect_remote(master.address)),
            master,
        }
    }
}

#[async_trait]
impl Harness for Remote {
    async fn start_with(limits: FailedLimits) -> Self {
        Self::over(Embedded::start_with(limits).await).await
    }

    fn store(&self) -> SharedStore {
        Arc::clone(&self.store)
    }

    fn master(&self) -> SharedStore {
        self.embedded.master()
    }

    async fn restart(self) -> Self {
        Self::over(self.without_master().await.restart().await).await
    }
}

/// Waits until something is so, for at most 20 s.
pub async fn eventually<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "it is not so after 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What happens to the record of a job.
#[derive(Debug, Clone, Copy)]
pub enum Spoil {
    /// Rubbish stands in its place.
    Rubbish,
    /// It is gone.
    Lost,
    /// Another release has written it.
    OtherLayout,
    /// Its key holds something that is no record of any kind.
    OtherType,
}

/// An engine whose records can be damaged.
#[async_trait]
pub trait Spoils: Harness {
    /// What can happen to a record there.
    const WAYS: &'static [Spoil] = &[Spoil::Rubbish, Spoil::Lost, Spoil::OtherLayout];

    /// Damages the record of an open job.
    async fn spoil(self, id: JobId, how: Spoil) -> Self;

    /// Puts rubbish in place of the record of a failed job.
    async fn spoil_failed(self, id: JobId) -> Self;
}

pub const RUBBISH: &[u8] = b"rubbish that is longer than the fixed head of any record";

impl Redis {
    /// Sets one of the node's keys to a string.
    pub async fn set_raw(&self, key: &str, value: &[u8]) {
        let mut command = ::redis::cmd("SET");
        command.arg(raw_name(key)).arg(value);
        self.run_raw(&command).await;
    }

    /// Deletes one of the node's keys.
    pub async fn delete_raw(&self, key: &str) {
        let mut command = ::redis::cmd("DEL");
        command.arg(raw_name(key));
        self.run_raw(&command).await;
    }

    async fn run_raw(&self, command: &::redis::Cmd) {
        let client = ::redis::Client::open(("127.0.0.1", self.server.port())).expect("a client");
        let connection = client.get_multiplexed_async_connection().await;
        let done = command.exec_async(&mut connection.expect("it is up")).await;
        done.expect("it is done");
    }

    async fn raw(&self, command: &str, key: &str, id: JobId, arguments: &[&[u8]]) {
        let mut name = raw_name(key).into_bytes();
        let mut command = ::redis::cmd(command);
        if key == "job:" {
            name.extend(id.as_bytes());
            command.arg(name);
        } else {
            command.arg(name).arg(&id.as_bytes()[..]);
        }
        for argument in arguments {
            command.arg(*argument);
        }
        self.run_raw(&command).await;
    }
}

pub fn raw_name(key: &str) -> String {
    format!("{{erawan:node*[1]}}:{key}")
}

#[async_trait]
impl Spoils for Redis {
    const WAYS: &'static [Spoil] = &[
        Spoil::Rubbish,
        Spoil::Lost,
        Spoil::OtherLayout,
        Spoil::OtherType,
    ];

    async fn spoil(self, id: JobId, how: Spoil) -> Self {
        match how {
            Spoil::OtherType => {
                self.raw("DEL", "job:", id, &[]).await;
                self.raw("SADD", "job:", id, &[RUBBISH]).await;
            }
            Spoil::Rubbish => self.raw("SET", "job:", id, &[RUBBISH]).await,
            Spoil::Lost => self.raw("DEL", "job:", id, &[]).await,
            Spoil::OtherLayout => self.raw("SETRANGE", "job:", id, &[b"0", b"\x09"]).await,
        }
        self
    }

    async fn spoil_failed(self, id: JobId) -> Self {
        self.raw("HSET", "failures", id, &[RUBBISH]).await;
        self
    }
}

impl Embedded {
    async fn changed(self, change: impl FnOnce(&redb::WriteTransaction)) -> Self {
        let alone = Arc::into_inner(self.store);
        drop(alone.expect("nobody else has the store"));
        let database = redb::Database::open(self.directory.path().join("store.redb"));
        let database = database.expect("it opens");
        let transaction = database.begin_write().expect("it can be written");
        change(&transaction);
        transaction.commit().expect("it is written");
        drop(database);
        Self::in_directory(self.directory, self.limits)
    }
}

#[async_trait]
impl Spoils for Embedded {
    async fn spoil(self, id: JobId, how: Spoil) -> Self {
        const JOBS: redb::TableDefinition<&[u8; 16], &[u8]> = redb::TableDefinition::new("jobs");
        self.changed(|transaction| {
            let mut jobs = transaction.open_table(JOBS).expect("a table");
            let record = jobs.remove(id.as_bytes()).expect("it is removed");
            let mut record = record.expect("it is there").value().to_vec();
            record[0] = 9;
            let record = match how {
                Spoil::Rubbish => RUBBISH,
                Spoil::Lost => return,
                Spoil::OtherLayout => &record[..],
                Spoil::OtherType => unreachable!("tables of redb have types"),
            };
            jobs.insert(id.as_bytes(), record).expect("it is written");
        })
        .await
    }

    async fn spoil_failed(self, id: JobId) -> Self {
        const FAILURES: redb::TableDefinition<&[u8; 16], (u64, &[u8])> =
            redb::TableDefinition::new("failures");
        self.changed(|transaction| {
            let mut failures = transaction.open_table(FAILURES).expect("a table");
            let written = failures.insert(id.as_bytes(), (1, RUBBISH));
            drop(written.expect("it is written"));
        })
        .await
    }
}

impl Remote {
    async fn without_master(self) -> Embedded {
        drop(self.master);
        drop(self.store);
        let embedded = self.embedded;
        // The tasks of the server release the store one by one.
        eventually(|| async { Arc::strong_count(&embedded.store) == 1 }).await;
        embedded
    }
}

#[async_trait]
impl Spoils for Remote {
    async fn spoil(self, id: JobId, how: Spoil) -> Self {
        Self::over(self.without_master().await.spoil(id, how).await).await
    }

    async fn spoil_failed(self, id: JobId) -> Self {
        Self::over(self.without_master().await.spoil_failed(id).await).await
    }
}

// What the tests say often.

/// Above which epoch a term is to begin, if that is no matter.
pub const ANY: Epoch = Epoch(0);

pub fn job(key: &str) -> NewJob {
    NewJob::new(noop::NOOP, key, &())
}

pub fn accept_of(jobs: Vec<NewJob>) -> Accept {
    Accept {
        jobs,
        ..Accept::default()
    }
}

pub async fn accept_all(store: &dyn Store, accept: Accept) -> (Vec<Job>, Vec<JobId>) {
    match store.accept(accept).await.expect("accept") {
        Accepted::Stored { jobs, duplicates } => (jobs, duplicates),
        refused => panic!("{refused:?}"),
    }
}

/// Accepts one job.
pub async fn accept_job(store: &dyn Store, new: NewJob) -> Job {
    let (mut jobs, _) = accept_all(store, accept_of(vec![new])).await;
    jobs.pop().expect("not a duplicate")
}

pub fn attempt(job: &Job) -> Attempt {
    Attempt {
        job: job.id(),
        number: job.attempt,
    }
}

/// Commits and expects it to be applied.
pub async fn apply(store: &dyn Store, attempt: Attempt, commit: Commit) -> (Vec<Job>, Vec<JobId>) {
    match store.commit(attempt, commit.into()).await.expect("commit") {
        Committed::Applied { jobs, cancelled } => (jobs, cancelled),
        Committed::Fenced => panic!("fenced"),
    }
}

/// Ends a job.
pub async fn end(store: &dyn Store, job: &Job) {
    apply(store, attempt(job), Commit::nothing()).await;
}

/// Raises the attempts of jobs, without a strike.
pub fn releases(ids: &[JobId]) -> Vec<Release> {
    let release = |id: &JobId| Release {
        job: *id,
        strike: None,
    };
    ids.iter().map(release).collect()
}

/// Raises the attempt of a job whose worker was lost; the job as it is then.
pub async fn lose_worker(master: &dyn Store, job: &Job, why: &str) -> Job {
    let release = Release {
        job: job.id(),
        strike: Some(why.to_owned()),
    };
    let epoch = Epoch(u64::MAX);
    let released = master.release(epoch, &[release]).await.expect("release");
    let attempt = job.attempt + 1;
    assert_eq!(released, [Released::Open { attempt }]);
    stored(master, job).await
}

/// An open job as it is stored.
pub async fn stored(store: &dyn Store, job: &Job) -> Job {
    let found = store.jobs(&[job.id()]).await.expect("jobs");
    found.into_iter().next().flatten().expect("it is open")
}

pub async fn last_error(store: &dyn Store, job: &Job) -> Option<String> {
    let errors = store.last_errors(&[job.id()]).await.expect("last_errors");
    let error = errors.into_iter().next().flatten()?;
    assert!(error.at >= job.accepted_at);
    Some(error.reason)
}

/// Another one that differs in its id only.
pub fn another(job: &NewJob) -> NewJob {
    NewJob {
        id: JobId::generate(),
        ..job.clone()
    }
}

/// All failed jobs, read this many at a time.
pub async fn failed_jobs(store: &dyn Store, at_a_time: usize) -> Vec<FailedJob> {
    let (mut failed, mut after) = (Vec::new(), 0);
    loop {
        let page = store.failed_jobs(after, at_a_time).await;
        let page = page.expect("failed_jobs");
        assert!(page.len() <= at_a_time);
        if page.is_empty() {
            return failed;
        }
        for (place, job) in page {
            assert!(place > after, "in order");
            after = place;
            failed.push(job);
        }
    }
}

pub async fn open_ids(store: &dyn Store) -> Vec<JobId> {
    let found = store.open_ids(0, 10_000).await.expect("open_ids");
    found.into_iter().map(|(_, id)| id).collect()
}

pub fn put(row: &str, value: &str) -> Write {
    Write::put(erawan::job::Table::RequestData, row, value.into())
}

pub async fn value(store: &dyn Store, row: &str) -> Option<String> {
    let value = store.get(erawan::job::Table::RequestData, row, "").await;
    let value = value.expect("get");
    value.map(|bytes| String::from_utf8(bytes).expect("text"))
}
