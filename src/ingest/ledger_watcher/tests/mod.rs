use super::*;

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

/// As much of a store as the watcher uses.
#[derive(Default)]
struct MemoryStore {
    rows: Mutex<BTreeMap<(Table, Row), Vec<u8>>>,
    jobs: Mutex<Vec<Job>>,
    sources: Mutex<HashSet<String>>,
    unavailable: AtomicBool,
    /// Accepts are stored and then reported as failed.
    forgets_to_answer: AtomicBool,
    deposed: AtomicBool,
    /// Somebody else settles this transaction just before the next accept.
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

    async fn commit(&self, _: Attempt, _: Commit) -> Result<Committed, StoreError> {
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
    /// Too many jobs wait.
    is_full: watch::Sender<bool>,
    pub(super) timing: Timing,
    options: RpcOptions,
    watcher: Option<LedgerWatcher>,
    client: Option<Arc<LedgerClient>>,
    losses: Arc<Notify>,
}

impl Node {
    pub(super) async fn new(height: u64) -> Self {
        let mut timing = Timing::new(Duration::from_millis(200));
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

    /// (Re)starts the watcher; the store stays.
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

    /// The intervals and limits of life, so many times faster.
    pub(super) fn hurry(&mut self, haste: u32) {
        let life = Timing::new(Duration::from_secs(15));
        self.timing = Timing {
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
    })
}

#[tokio::test]
async fn blocks_wait_while_there_is_no_room_and_nothing_is_answered_from_memory() {
    let node = Node::started(10).await;
    node.is_full.send_replace(true);
    node.ledger.add(vec![transaction("CreateRequest")]);
    until("it is told that nothing is known", || {
        node.told().last().is_some_and(|update| !update.ready)
    })
    .await;
    assert_eq!(node.store.settled(), 10);
    node.is_full.send_replace(false);
    node.until_settled(11).await;
    node.until_ready().await;
    // What roles make of a block is stored with the next one.
    assert_eq!(node.store.acted(), [10]);
}

#[tokio::test]
async fn the_first_start_begins_at_the_current_height() {
    let node = Node::started(10).await;
    assert_eq!(node.store.settled(), 10);
    assert_eq!(node.store.acted(), [] as [u64; 0]);
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    assert_eq!(node.store.acted(), [10]);
}

#[tokio::test]
async fn a_block_is_told_then_stored_then_handed_over() {
    let node = Node::started(10).await;
    node.events.lock().clear();
    let mut refused = transaction("AddNamespace");
    refused.log = "no".to_owned();
    node.ledger.add(vec![transaction("UpdateNode"), refused]);
    until("handed over", || node.events.lock().len() >= 2).await;
    let events = node.events.lock().clone();
    let update = ChainUpdate {
        chain_id: "chain-a".to_owned(),
        height: 11,
        ready: true,
        methods: vec!["UpdateNode".to_owned()],
        reset: false,
        era: 0,
    };
    assert_eq!(events[..2], [Event::Told(update), Event::Handed(1)]);
    assert_eq!(node.client.as_ref().unwrap().height(), 11);
}

#[tokio::test]
async fn blocks_missed_while_stopped_are_caught_up_in_order_and_once() {
    let mut node = Node::started(10).await;
    node.stop();
    for _ in 0..120 {
        node.ledger.add_quietly(vec![]);
    }
    node.start();
    node.until_settled(130).await;
    assert_eq!(node.store.acted(), (10..=129).collect::<Vec<_>>());
    node.ledger.add(vec![]);
    node.until_settled(131).await;
    assert_eq!(node.store.acted().last(), Some(&130));
    node.stop();
    node.start();
    node.until_ready().await;
    assert_eq!(node.store.acted(), (10..=130).collect::<Vec<_>>());
}

#[tokio::test]
async fn empty_blocks_are_stored_later_and_read_again_after_a_crash() {
    let mut node = Node::new(10).await;
    node.timing.empty = Duration::from_secs(600);
    node.start();
    node.until_ready().await;
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    for height in [12, 13] {
        node.ledger.add(vec![]);
        until("told", || node.height() == height).await;
    }
    assert_eq!(node.store.settled(), 11, "nothing is lost with them");
    // A subscription that ends is no crash: what is in memory goes on.
    node.ledger.close_all();
    node.ledger.add(vec![]);
    until("told", || node.height() == 14 && node.is_ready()).await;
    let told = node.told();
    assert!(told.is_sorted_by_key(|update| update.height), "{told:?}");
    node.stop();
    node.start();
    node.until_ready().await;
    assert_eq!(node.height(), 14, "read again");
    node.ledger.add(vec![transaction("CreateRequest")]);
    node.until_settled(15).await;
    node.ledger.add(vec![]);
    node.until_settled(16).await;
    let acted = node.store.acted();
    assert!(acted.ends_with(&[15]), "{acted:?}");
    assert!(
        acted.is_sorted_by(|one, next| one < next),
        "none twice: {acted:?}"
    );
}

#[tokio::test]
async fn a_gap_between_events_is_filled() {
    let node = Node::started(10).await;
    for _ in 0..5 {
        node.ledger.add_quietly(vec![]);
    }
    node.ledger.add(vec![]);
    node.until_settled(16).await;
    assert_eq!(node.store.acted(), (10..=15).collect::<Vec<_>>());
}

#[tokio::test]
async fn sockets_that_close_do_not_lose_blocks() {
    let node = Node::started(10).await;
    for _ in 0..5 {
        node.ledger.add_quietly(vec![]);
        node.ledger.close_all();
        node.ledger.add(vec![]);
    }
    node.until_settled(20).await;
    assert_eq!(node.store.acted(), (10..=19).collect::<Vec<_>>());
    let told = node.told();
    assert!(
        told.iter().any(|update| !update.ready && update.reset),
        "caches are stopped while the subscription is lost: {told:?}"
    );
}

#[tokio::test]
async fn a_subscription_that_shows_nothing_is_replaced_and_blocks_go_on() {
    let node = Node::started(10).await;
    node.ledger.script.lock().silent_subscription = true;
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    until("subscribed anew", || node.ledger.called("subscribe") >= 2).await;
    node.ledger.script.lock().silent_subscription = false;
    node.ledger.add(vec![]);
    node.until_settled(12).await;
}

#[tokio::test]
async fn an_own_transaction_is_settled_with_its_block() {
    let node = Node::started(10).await;
    let own = transaction("CloseRequest");
    let record = expected(&own.bytes, Millis::now());
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), record);
    node.ledger
        .add(vec![transaction("CreateRequest"), own.clone()]);
    node.until_settled(11).await;
    assert_eq!(
        node.store.value(Table::ExpectedTransaction, &own.hash()),
        None
    );
    assert_eq!(node.store.payloads(rp::close_request::CLOSED).len(), 1);
    assert_eq!(node.store.acted(), [10], "acted on one block behind");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_neither_its_block_nor_others() {
    let node = Node::started(10).await;
    let own = transaction("CloseRequest");
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), vec![9, 9]);
    node.ledger.add(vec![own.clone()]);
    node.until_settled(11).await;
    let record = node.store.value(Table::ExpectedTransaction, &own.hash());
    assert_eq!(record, Some(vec![9, 9]), "kept for a release that reads it");
    let parked_by_it = node.store.payloads(transaction::CONFIRM);
    assert_eq!(parked_by_it.len(), 1, "an operator can see it");
}

#[tokio::test]
async fn a_transaction_settled_elsewhere_in_the_same_moment_is_not_settled_again() {
    let node = Node::started(10).await;
    let own = transaction("CloseRequest");
    let record = expected(&own.bytes, Millis::now());
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), record);
    *node.store.settled_elsewhere.lock() = Some(own.hash());
    node.ledger.add(vec![own]);
    node.until_settled(11).await;
    assert_eq!(node.store.payloads(rp::close_request::CLOSED).len(), 0);
    assert_eq!(node.store.acted(), [10]);
    assert!(node.watcher().state().borrow().ready);
}

#[tokio::test]
async fn a_transaction_refused_by_a_disabled_chain_is_kept_and_sent_again_later() {
    let node = Node::started(10).await;
    let mut own = transaction("CloseRequest");
    own.code = 82;
    own.log = "Chain is disabled".to_owned();
    let record = expected(&own.bytes, Millis::now());
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), record);
    node.ledger.add(vec![own.clone()]);
    node.until_settled(11).await;
    assert!(
        node.store
            .value(Table::DisabledTransaction, &own.hash())
            .is_some()
    );
    node.ledger.close_all();
    until("sent again", || {
        node.store.payloads(transaction::TRANSACT).len() == 1
    })
    .await;
    assert_eq!(
        node.store.value(Table::DisabledTransaction, &own.hash()),
        None
    );
}

#[tokio::test]
async fn a_block_that_cannot_be_read_is_tried_until_it_can() {
    let node = Node::started(10).await;
    let answers = |value| {
        let mut script = node.ledger.script.lock();
        script.answers.insert("block_results".to_owned(), value);
    };
    answers(json!({"height": "11", "txs_results": [{"code": 0}, {"code": 0}]}));
    node.ledger.add(vec![transaction("CreateRequest")]);
    until("no longer ready", || !node.watcher().state().borrow().ready).await;
    assert_eq!(node.store.settled(), 10);
    node.ledger.script.lock().answers.clear();
    node.until_settled(11).await;
    node.until_ready().await;
    assert_eq!(node.store.acted(), [10]);
}

#[tokio::test]
async fn a_block_whose_jobs_cannot_be_made_is_tried_until_they_can() {
    let node = Node::started(10).await;
    *node.block_jobs.failures.lock() = 3;
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    assert_eq!(*node.block_jobs.failures.lock(), 0);
    assert_eq!(node.store.acted(), [10]);
}

#[tokio::test]
async fn a_store_that_is_away_delays_and_loses_nothing() {
    let node = Node::started(10).await;
    node.store.unavailable.store(true, Ordering::SeqCst);
    node.ledger.add(vec![]);
    node.ledger.add(vec![]);
    until("no longer ready", || !node.watcher().state().borrow().ready).await;
    node.store.unavailable.store(false, Ordering::SeqCst);
    node.until_settled(12).await;
    assert_eq!(node.store.acted(), [10, 11]);
}

#[tokio::test]
async fn a_store_that_stored_without_answering_does_not_lead_to_a_second_time() {
    let node = Node::started(10).await;
    node.store.forgets_to_answer.store(true, Ordering::SeqCst);
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    node.ledger.add(vec![]);
    node.until_settled(12).await;
    assert_eq!(node.store.acted(), [10, 11]);
}

#[tokio::test]
async fn a_deposed_master_stops_and_says_so() {
    let node = Node::started(10).await;
    node.store.deposed.store(true, Ordering::SeqCst);
    node.ledger.add(vec![]);
    let end = tokio::time::timeout(PATIENCE, node.watcher().ended()).await;
    assert_eq!(end.expect("ended in time"), WatcherEnd::Deposed);
    assert_eq!(node.store.settled(), 10);
}

#[tokio::test]
async fn another_chain_id_starts_at_the_first_block_of_the_new_chain() {
    let mut node = Node::started(10).await;
    node.stop();
    node.ledger.become_chain("chain-b", 4);
    node.events.lock().clear();
    node.start();
    node.until_settled(4).await;
    node.until_ready().await;
    assert_eq!(node.store.acted(), [1, 2, 3]);
    assert_eq!(node.store.progress().unwrap().chain_id, "chain-b");
    let first = &node.told()[0];
    assert!(first.era == 1 && first.reset && !first.ready, "{first:?}");
    assert_eq!((first.chain_id.as_str(), first.height), ("chain-b", 0));
}

#[tokio::test]
async fn a_chain_that_changes_while_running_is_noticed() {
    let node = Node::started(10).await;
    node.ledger.become_chain("chain-b", 30);
    until("the new chain", || {
        let progress = node.store.progress().unwrap();
        progress.chain_id == "chain-b" && progress.settled == 30
    })
    .await;
    assert_eq!(node.store.acted(), (1..=29).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ledger_reset_under_the_same_id_is_noticed_when_it_is_lower() {
    let node = Node::started(10).await;
    node.ledger.become_chain("chain-a", 3);
    node.until_settled(3).await;
    until("told", || {
        let told = node.told();
        told.iter()
            .any(|update| update.era == 1 && update.height == 3)
    })
    .await;
    node.until_ready().await;
    node.ledger.add(vec![]);
    node.until_settled(4).await;
    assert_eq!(node.store.acted(), [3]);
    assert_eq!(node.client.as_ref().unwrap().height(), 4);
}

#[tokio::test]
async fn a_ledger_reset_under_the_same_id_is_noticed_when_it_is_higher() {
    let mut node = Node::started(10).await;
    node.stop();
    node.ledger.become_chain("chain-a", 25);
    node.events.lock().clear();
    node.start();
    node.until_settled(25).await;
    assert_eq!(node.told()[0].era, 1);
    assert_eq!(node.store.acted(), [] as [u64; 0]);
}

#[tokio::test]
async fn every_transaction_is_looked_up_at_once_when_the_ledger_was_replaced() {
    let mut node = Node::started(10).await;
    node.stop();
    let young = expected(b"1", Millis::now());
    node.store.put(Table::ExpectedTransaction, "aa", young);
    node.ledger.become_chain("chain-a", 25);
    node.start();
    until("looked up", || {
        !node.store.payloads(transaction::CONFIRM).is_empty()
    })
    .await;
    assert_eq!(node.store.payloads(replaced::KIND).len(), 1);
}

#[tokio::test]
async fn every_transaction_is_looked_up_at_once_when_a_worker_is_lost() {
    let node = Node::started(10).await;
    // By then the look at the start is over.
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    let young = expected(b"1", Millis::now());
    node.store.put(Table::ExpectedTransaction, "aa", young);
    node.ledger.add(vec![]);
    node.until_settled(12).await;
    assert_eq!(
        node.store
            .payloads(crate::delivery::transaction::CONFIRM)
            .len(),
        0
    );
    node.losses.notify_one();
    until("looked up", || {
        !node
            .store
            .payloads(crate::delivery::transaction::CONFIRM)
            .is_empty()
    })
    .await;
}

/// The gravest mistake would be to take it for another history: requests would
/// be given up that the ledger knows.
#[tokio::test]
async fn a_ledger_that_is_behind_is_waited_for_however_long_it_takes() {
    let mut node = Node::started(10).await;
    for _ in 0..2 {
        node.ledger.add(vec![]);
    }
    node.until_settled(12).await;
    for restarts in [false, true] {
        node.events.lock().clear();
        let behind = node.ledger.fall_behind(2);
        if restarts {
            node.stop();
            node.start();
        }
        let mut state = node.watcher().state();
        let lower = state.wait_for(|state| state.lower == Some((10, 12)));
        let lower = tokio::time::timeout(PATIENCE, lower).await;
        lower.expect("it says so").unwrap();
        // As often as it likes: nothing is decided by counting or by a clock.
        let asked = node.ledger.called("status");
        until("looked", || node.ledger.called("status") > asked + 20).await;
        assert!(!state.borrow().ready);
        assert!(node.watcher().state().borrow().reasons()[0].contains("block 10"));
        let client = node.client.as_ref().unwrap();
        let answer = client.query("GetRequestDetail", json!({}), None).await;
        assert!(answer.unwrap_err().is_temporary(), "it is not believed");
        node.ledger.catch_up(behind);
        node.until_ready().await;
        assert_eq!(node.watcher().state().borrow().lower, None);
        assert!(node.told().iter().all(|update| update.era == 0));
        assert_eq!(node.store.settled(), 12);
        assert_eq!(node.store.payloads(replaced::KIND).len(), 0);
    }
}

/// As a restored ledger does whose machines have a clock that was set back.
#[tokio::test]
async fn a_ledger_that_comes_to_a_known_height_with_another_block_was_replaced() {
    let mut node = Node::started(10).await;
    for _ in 0..2 {
        node.ledger.add(vec![]);
    }
    node.until_settled(12).await;
    node.stop();
    node.ledger.fall_behind(2);
    node.ledger.script.lock().second -= 3600;
    node.start();
    let mut state = node.watcher().state();
    let lower = state.wait_for(|state| state.lower.is_some());
    tokio::time::timeout(PATIENCE, lower)
        .await
        .unwrap()
        .unwrap();
    node.ledger.add(vec![]);
    until("noticed", || node.store.payloads(replaced::KIND).len() == 1).await;
    node.until_ready().await;
    assert_eq!(node.store.progress().unwrap().era, 1);
    assert_eq!(node.store.settled(), 11);
}

/// A block is known to exist before the ledger's node has stored what it did.
#[tokio::test]
async fn results_that_come_late_are_waited_for_in_silence() {
    let node = Node::started(10).await;
    let own = transaction("CloseRequest");
    let record = expected(&own.bytes, Millis::now());
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), record);
    node.events.lock().clear();
    node.ledger.script.lock().late_results = 5;
    node.ledger.add(vec![own]);
    node.until_settled(11).await;
    assert_eq!(node.store.payloads(rp::close_request::CLOSED).len(), 1);
    assert_eq!(node.ledger.script.lock().late_results, 0);
    assert!(
        node.told().iter().all(|update| update.ready),
        "nothing was wrong: {:?}",
        node.told()
    );
}

#[tokio::test]
async fn nothing_is_followed_until_the_ledger_is_synchronised_and_initialised() {
    let mut node = Node::new(10).await;
    node.ledger.script.lock().catching_up = true;
    node.ledger.script.lock().initialised = false;
    node.start();
    let mut state = node.watcher().state();
    state
        .wait_for(|state| state.syncing == Some(true))
        .await
        .unwrap();
    node.ledger.script.lock().catching_up = false;
    state
        .wait_for(|state| state.initialised == Some(false))
        .await
        .unwrap();
    assert_eq!(node.store.progress(), None);
    node.ledger.script.lock().initialised = true;
    node.until_ready().await;
    assert_eq!(node.store.settled(), 10);
}

#[tokio::test]
async fn pruned_blocks_do_not_stop_the_node_for_ever() {
    let mut node = Node::started(10).await;
    node.stop();
    for _ in 0..10 {
        node.ledger.add_quietly(vec![]);
    }
    node.ledger.script.lock().earliest = 15;
    node.start();
    node.until_settled(20).await;
    assert_eq!(node.store.acted(), (15..=19).collect::<Vec<_>>());
}

#[tokio::test]
async fn transactions_of_a_disabled_chain_are_sent_again_once_per_trigger() {
    let node = Node::started(10).await;
    let disabled = |row: &str| {
        let record = codec::encode(&transact());
        node.store.put(Table::DisabledTransaction, row, record);
    };
    disabled("aa");
    let set_last_block = |height: i64| {
        FakeTransaction::successful("SetLastBlock", json!({"block_height": height}), "ndid1")
    };
    node.ledger.add(vec![set_last_block(5)]);
    node.until_settled(11).await;
    node.ledger.add(vec![]);
    node.until_settled(12).await;
    assert_eq!(node.store.payloads(transaction::TRANSACT).len(), 0);
    node.ledger
        .add(vec![set_last_block(-1), set_last_block(1000)]);
    until("sent again", || {
        node.store.payloads(transaction::TRANSACT).len() == 1
    })
    .await;
    assert_eq!(node.store.value(Table::DisabledTransaction, "aa"), None);
    disabled("bb");
    node.ledger.close_all();
    until("sent again after a reconnect", || {
        node.store.payloads(transaction::TRANSACT).len() == 2
    })
    .await;
}

#[tokio::test]
async fn old_transactions_that_no_block_shows_are_looked_up_once_a_period() {
    let node = Node::started(10).await;
    let old = Millis(Millis::now().0 - 60_000);
    node.store
        .put(Table::ExpectedTransaction, "aa", expected(b"1", old));
    node.store.put(
        Table::ExpectedTransaction,
        "bb",
        expected(b"2", Millis::now()),
    );
    until("looked up", || {
        !node.store.payloads(transaction::CONFIRM).is_empty()
    })
    .await;
    for _ in 0..3 {
        let before = node.ledger.called("status");
        until("time passes", || node.ledger.called("status") > before + 5).await;
    }
    let mut hashes: Vec<String> = node
        .store
        .payloads(transaction::CONFIRM)
        .iter()
        .map(|bytes| codec::decode(bytes).unwrap())
        .collect();
    // A period may have ended in between.
    assert!(hashes.len() <= 2);
    hashes.dedup();
    assert_eq!(hashes, ["aa"]);
}
