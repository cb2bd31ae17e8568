//! A ledger watcher between a fake ledger and a store in memory.

mod blocks;
mod histories;
mod transactions;

use super::*;
use std::sync::Arc;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;

use crate::delivery::transaction::{self, Continuation, Expected, Transact};
use crate::error::Error;
use crate::flows::{replaced, rp};
use crate::job::{
    Attempt, Column, Commit, Epoch, Guard, JobId, Kind, Millis, NewJob, Row, Table, Write, codec,
    noop,
};
use crate::ledger::follow::Progress;
use crate::ledger::rpc::RpcOptions;
use crate::ledger::rpc::fake::{FakeLedger, FakeTransaction, PATIENCE, until};
use crate::ledger::{Block, Ledger};
use crate::store::*;

/// The part of a store that the watcher uses.
#[derive(Default)]
struct MemoryStore {
    rows: Mutex<BTreeMap<(Table, Row), Vec<u8>>>,
    jobs: Mutex<Vec<Job>>,
    sources: Mutex<HashSet<String>>,
    unavailable: AtomicBool,
    /// Accepts are stored, but reported as failed.
    forgets_to_answer: AtomicBool,
    deposed: AtomicBool,
    /// This transaction is settled elsewhere just before the next accept.
    settled_elsewhere: Mutex<Option<Row>>,
}

impl MemoryStore {
    fn put(&self, table: Table, row: &str, value: Vec<u8>) {
        self.rows.lock().insert((table, row.to_owned()), value);
    }

    fn value(&self, table: Table, row: &str) -> Option<Vec<u8>> {
        self.rows.lock().get(&(table, row.to_owned())).cloned()
    }

    fn progress(&self) -> Option<Progress> {
        let bytes = self.value(Table::Progress, Progress::ROW)?;
        Some(codec::decode(&bytes).unwrap())
    }

    fn settled(&self) -> u64 {
        self.progress().map_or(0, |progress| progress.settled)
    }

    fn payloads(&self, kind: Kind) -> Vec<Vec<u8>> {
        let jobs = self.jobs.lock();
        let of_kind = jobs.iter().filter(|job| job.kind() == kind);
        of_kind.map(|job| job.new.payload.clone()).collect()
    }

    /// Heights of blocks acted on, in the order of acceptance.
    fn acted(&self) -> Vec<u64> {
        let payloads = self.payloads(noop::NOOP);
        let heights = payloads.iter().map(|bytes| codec::decode(bytes).unwrap());
        heights.collect()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("test".to_owned()));
        }
        Ok(())
    }
}

fn not_used<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("not part of this test".to_owned()))
}

#[async_trait]
impl State for MemoryStore {
    async fn get(&self, table: Table, row: &str, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.check()?;
        Ok(self.value(table, row))
    }

    async fn columns(&self, _: Table, _: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        not_used()
    }

    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.check()?;
        Ok(rows.iter().map(|row| self.value(table, row)).collect())
    }

    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        self.check()?;
        let rows = self.rows.lock();
        let names = rows.keys().filter(|(of, _)| *of == table);
        let names = names.map(|(_, row)| row.clone());
        Ok(names.filter(|row| row.starts_with(prefix)).collect())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        self.check()?;
        assert_eq!(
            accept.epoch,
            Some(Epoch(3)),
            "every write carries the epoch"
        );
        if self.deposed.load(Ordering::SeqCst) {
            return Err(StoreError::Deposed { current: Epoch(4) });
        }
        let mut rows = self.rows.lock();
        if let Some(hash) = self.settled_elsewhere.lock().take() {
            rows.remove(&(Table::ExpectedTransaction, hash));
        }
        for (guard, condition) in accept.guards.iter().enumerate() {
            let Guard::Equals { table, row, value } = condition else {
                return not_used();
            };
            if rows.get(&(*table, row.clone())) != value.as_ref() {
                return Ok(Accepted::Refused { guard });
            }
        }
        for write in accept.writes {
            match write {
                Write::Put {
                    table, row, value, ..
                } => rows.insert((table, row), value),
                Write::Delete { table, row } | Write::DeleteColumn { table, row, .. } => {
                    rows.remove(&(table, row))
                }
            };
        }
        let mut jobs = self.jobs.lock();
        let mut sources = self.sources.lock();
        let (mut stored, mut duplicates) = (Vec::new(), Vec::new());
        for new in accept.jobs {
            if let Some(source) = &new.source
                && !sources.insert(source.clone())
            {
                duplicates.push(new.id);
                continue;
            }
            let job = Job {
                new,
                seq: jobs.len() as u64 + 1,
                prev: 0,
                attempt: 1,
                tries: 0,
                strikes: 0,
                parked: false,
                accepted_at: Millis::now(),
            };
            jobs.push(job.clone());
            stored.push(job);
        }
        if self.forgets_to_answer.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Unavailable("after the fact".to_owned()));
        }
        Ok(Accepted::Stored {
            jobs: stored,
            duplicates,
        })
    }

    async fn commit(&self, _: Attempt, _: Arc<Commit>) -> Result<Committed, StoreError> {
        not_used()
    }

    async fn reschedule(&self, _: Attempt, _: Millis, _: &str) -> Result<bool, StoreError> {
        not_used()
    }

    async fn strike(&self, _: Attempt, _: Millis, _: &str) -> Result<Struck, StoreError> {
        not_used()
    }

    async fn park(&self, _: Attempt, _: &str) -> Result<bool, StoreError> {
        not_used()
    }

    async fn operate(&self, _: Operation) -> Result<Operated, StoreError> {
        not_used()
    }

    async fn audit(&self, _: usize) -> Result<Vec<Audited>, StoreError> {
        not_used()
    }

    async fn last_errors(&self, _: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        not_used()
    }

    async fn parked_ids(&self, _: usize) -> Result<Vec<JobId>, StoreError> {
        not_used()
    }

    async fn release(&self, _: Epoch, _: &[Release]) -> Result<Vec<Released>, StoreError> {
        not_used()
    }

    async fn claim(&self, _: Attempt) -> Result<bool, StoreError> {
        not_used()
    }

    async fn open_jobs(&self, _: u64, _: usize) -> Result<Vec<Job>, StoreError> {
        not_used()
    }

    async fn open_ids(&self, _: u64, _: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        not_used()
    }

    async fn jobs(&self, _: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        not_used()
    }

    async fn failed_jobs(&self, _: u64, _: usize) -> Result<Vec<(u64, FailedJob)>, StoreError> {
        not_used()
    }

    async fn failed_job(&self, _: JobId) -> Result<Option<FailedJob>, StoreError> {
        not_used()
    }

    async fn known_sources(&self, _: &[String]) -> Result<Vec<bool>, StoreError> {
        not_used()
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        not_used()
    }

    async fn acquire_lease(&self, _: &str, _: Duration, _: Epoch) -> Result<Lease, StoreError> {
        not_used()
    }

    async fn release_lease(&self, _: &str) -> Result<(), StoreError> {
        not_used()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check()
    }
}

/// One job per block, whose payload is the height.
#[derive(Default)]
struct OneJobPerBlock {
    /// How many more times it fails.
    failures: Mutex<u32>,
}

#[async_trait]
impl BlockJobs for OneJobPerBlock {
    async fn jobs(&self, block: &Block) -> Result<Vec<NewJob>, Error> {
        let mut failures = self.failures.lock();
        if *failures > 0 {
            *failures -= 1;
            return Err(crate::error::codes::DB_ERROR.into());
        }
        let job = NewJob::new(noop::NOOP, "blocks", &block.height);
        Ok(vec![job])
    }
}

/// What happened, in order.
#[derive(Debug, Clone, PartialEq)]
enum Event {
    Told(ChainUpdate),
    Handed(usize),
}

pub(super) struct Node {
    pub(super) ledger: FakeLedger,
    store: Arc<MemoryStore>,
    block_jobs: Arc<OneJobPerBlock>,
    events: Arc<Mutex<Vec<Event>>>,
    /// Whether too many jobs wait.
    is_full: watch::Sender<bool>,
    pub(super) timing: WatcherTiming,
    options: RpcOptions,
    watcher: Option<LedgerWatcher>,
    client: Option<Arc<LedgerClient>>,
    losses: Arc<Notify>,
}

impl Node {
    pub(super) async fn new(height: u64) -> Self {
        let mut timing = WatcherTiming::new(Duration::from_millis(200));
        timing.poll = Duration::from_millis(30);
        timing.watchdog_patience = Duration::from_millis(60);
        timing.confirm = Duration::from_millis(100);
        timing.empty = Duration::ZERO;
        let ledger = FakeLedger::start(height).await;
        Self {
            options: ledger.options(),
            ledger,
            store: Arc::default(),
            block_jobs: Arc::default(),
            events: Arc::default(),
            is_full: watch::Sender::new(false),
            timing,
            watcher: None,
            client: None,
            losses: Arc::new(Notify::new()),
        }
    }

    /// (Re)starts the watcher over the same store.
    pub(super) fn start(&mut self) {
        let client = LedgerClient::start(self.options.clone());
        let told = self.events.clone();
        let handed = self.events.clone();
        let full = self.is_full.subscribe();
        self.client = Some(client.clone());
        self.watcher = Some(LedgerWatcher::start(WatcherOptions {
            client,
            store: self.store.clone(),
            epoch: Epoch(3),
            block_jobs: self.block_jobs.clone(),
            tell_chain: Arc::new(move |update| {
                told.lock().push(Event::Told(update));
                Box::pin(async {})
            }),
            hand_over: Arc::new(move |jobs| {
                handed.lock().push(Event::Handed(jobs.len()));
                Box::pin(async {})
            }),
            room: Arc::new(move || {
                let mut full = full.clone();
                // The test keeps the sender.
                Box::pin(async move { drop(full.wait_for(|is_full| !is_full).await) })
            }),
            losses: self.losses.clone(),
            ndid_node: false,
            timing: self.timing.clone(),
        }));
    }

    /// Makes all intervals and limits this many times shorter.
    pub(super) fn hurry(&mut self, haste: u32) {
        let life = WatcherTiming::new(Duration::from_secs(15));
        self.timing = WatcherTiming {
            longest_sync_check: life.longest_sync_check / haste,
            poll: life.poll / haste,
            watchdog_patience: life.watchdog_patience / haste,
            confirm: life.confirm / haste,
            empty: life.empty / haste,
        };
        self.options = RpcOptions::new("127.0.0.1", self.ledger.port, 2);
        self.options.silence_limit /= haste;
    }

    fn height(&self) -> u64 {
        self.watcher().state().borrow().height
    }

    pub(super) fn is_ready(&self) -> bool {
        self.watcher().state().borrow().ready
    }

    fn stop(&mut self) {
        self.watcher = None;
        self.client = None;
    }

    fn watcher(&self) -> &LedgerWatcher {
        self.watcher.as_ref().expect("started")
    }

    pub(super) async fn until_ready(&self) {
        let mut state = self.watcher().state();
        let waiting = state.wait_for(|state| state.ready);
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("ready in time")
            .unwrap();
    }

    async fn started(height: u64) -> Self {
        let mut node = Self::new(height).await;
        node.start();
        node.until_ready().await;
        node
    }

    pub(super) async fn until_settled(&self, height: u64) {
        until(&format!("block {height} settled"), || {
            self.store.settled() == height
        })
        .await;
    }

    fn told(&self) -> Vec<ChainUpdate> {
        let events = self.events.lock();
        let told = events.iter().filter_map(|event| match event {
            Event::Told(update) => Some(update.clone()),
            Event::Handed(_) => None,
        });
        told.collect()
    }
}

fn transaction(method: &str) -> FakeTransaction {
    FakeTransaction::successful(method, json!({"salt": rand::random::<u64>()}), "rp1")
}

fn transact() -> Transact {
    let then = Continuation::new(rp::close_request::CLOSED, "request:1".to_owned(), &1u8);
    Transact::new("rp1", "CloseRequest", &json!({}), Some(then)).resend_when_disabled()
}

fn expected(bytes: &[u8], signed_at: Millis) -> Vec<u8> {
    codec::encode(&Expected {
        transact: transact(),
        bytes: bytes.to_vec(),
        signed_at,
        trace: None,
    })
}
