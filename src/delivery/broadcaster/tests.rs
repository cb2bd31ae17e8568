//! Transactions right after they were stored.

use std::time::Instant;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::context::Role;
use crate::delivery::broadcasting_store::BroadcastingStore;
use crate::delivery::transaction::{Continuation, Transact};
use crate::error::{Error, codes};
use crate::flows::rp;
use crate::job::noop;
use crate::job::{Attempt, JobId, Kind, Millis, NewJob};
use crate::ledger::{Broadcast, Inclusion, Ledger};
use crate::messaging::testing;
use crate::messaging::testing::FakeLedger;
use crate::store::embedded::{EmbeddedStore, Options};
use crate::store::{Committed, Store};

const HASH: &str = "aa";
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers every broadcast the same, and counts them.
struct Scripted {
    answer: Result<Broadcast, Error>,
    broadcasts: Mutex<Vec<Vec<u8>>>,
}

#[async_trait]
impl Ledger for Scripted {
    async fn query(&self, _: &str, _: Value, _: Option<u64>) -> Result<Option<Arc<Value>>, Error> {
        Ok(None)
    }

    async fn broadcast(&self, bytes: &[u8]) -> Result<Broadcast, Error> {
        self.broadcasts.lock().push(bytes.to_vec());
        self.answer.clone()
    }

    async fn transaction(&self, _: &TransactionHash) -> Result<Option<Inclusion>, Error> {
        Ok(None)
    }

    async fn waiting_transactions(&self) -> Result<u64, Error> {
        Ok(0)
    }

    fn chain_id(&self) -> Result<String, Error> {
        Ok("chain".to_owned())
    }

    fn height(&self) -> u64 {
        7
    }

    fn era(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

fn with_code(code: u32) -> Result<Broadcast, Error> {
    Ok(Broadcast {
        code,
        log: String::new(),
        is_premature: false,
    })
}

struct Process {
    ledger: Arc<Scripted>,
    /// The store without the broadcaster.
    inner: SharedStore,
    store: Arc<BroadcastingStore>,
    broadcaster: Broadcaster,
    announced: Arc<Mutex<Vec<Kind>>>,
    _directory: TempDir,
}

impl Process {
    fn new(answer: Result<Broadcast, Error>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let inner: SharedStore = Arc::new(
            EmbeddedStore::open(Options {
                path: directory.path().join("store"),
                node_id: "rp1".to_owned(),
            })
            .unwrap(),
        );
        let ledger = Arc::new(Scripted {
            answer,
            broadcasts: Mutex::default(),
        });
        let mut context = testing::context("rp1", Role::Rp, FakeLedger::recorded());
        context.ledger = ledger.clone();
        let broadcaster = Broadcaster::new(context, inner.clone(), Handle::current());
        let announced: Arc<Mutex<Vec<Kind>>> = Arc::default();
        let heard = announced.clone();
        broadcaster.announce_by(move |jobs| heard.lock().extend(jobs.iter().map(Job::kind)));
        Self {
            ledger,
            store: BroadcastingStore::new(inner.clone(), broadcaster.clone()),
            inner,
            broadcaster,
            announced,
            _directory: directory,
        }
    }

    /// Stores a transaction as a call does, and waits until it was tried.
    async fn accept(&self) {
        let accepted = self.store.accept(Accept {
            writes: vec![write()],
            ..Accept::default()
        });
        accepted.await.unwrap();
        self.broadcaster.idle().await;
    }

    fn broadcasts(&self) -> usize {
        self.ledger.broadcasts.lock().len()
    }

    async fn is_expected(&self) -> bool {
        let table = Table::ExpectedTransaction;
        self.inner.get(table, HASH, "").await.unwrap().is_some()
    }

    async fn open(&self) -> Vec<Job> {
        self.inner.open_jobs(0, 10).await.unwrap()
    }
}

fn write() -> Write {
    let then = Continuation::new(rp::request_created::KIND, "request:r", &1u8);
    let expected = Expected {
        transact: Transact::new("rp1", "CreateRequest", &json!({}), Some(then)),
        bytes: b"signed".to_vec(),
        signed_at: Millis(1),
        trace: None,
    };
    Write::put(Table::ExpectedTransaction, HASH, codec::encode(&expected))
}

#[tokio::test]
async fn what_is_stored_is_broadcast_without_a_job() {
    let process = Process::new(with_code(0));
    process.accept().await;
    assert_eq!(*process.ledger.broadcasts.lock(), [b"signed".to_vec()]);
    assert!(process.is_expected().await, "until a block has it");
    assert_eq!(process.open().await, []);
}

#[tokio::test]
async fn what_a_handler_commits_is_broadcast_once_it_is_applied() {
    let process = Process::new(with_code(0));
    let job = NewJob::new(noop::NOOP, "key", &());
    let attempt = Attempt {
        job: job.id,
        number: 1,
    };
    let accept = Accept {
        jobs: vec![job],
        ..Accept::default()
    };
    process.store.accept(accept).await.unwrap();
    assert_eq!(process.broadcasts(), 0);
    let mut commit = Commit::nothing();
    commit.write(write());
    let committed = process.store.commit(attempt, commit.into()).await.unwrap();
    assert!(matches!(committed, Committed::Applied { .. }));
    process.broadcaster.idle().await;
    assert_eq!(process.broadcasts(), 1);
}

#[tokio::test]
async fn a_refusal_is_settled_at_once() {
    let process = Process::new(with_code(7));
    process.accept().await;
    assert!(!process.is_expected().await);
    let open = process.open().await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].kind(), rp::request_created::KIND);
    assert_eq!(open[0].new.source.as_deref(), Some("transaction:aa"));
    assert_eq!(*process.announced.lock(), [rp::request_created::KIND]);
}

#[tokio::test]
async fn what_the_ledger_cannot_take_now_becomes_a_job() {
    let away = Error::from(codes::TENDERMINT_MEMPOOL_FULL);
    let away = Error::with_message(codes::UNKNOWN_ERROR, away.message().to_owned()).temporary();
    let process = Process::new(Err(away));
    process.accept().await;
    assert!(process.is_expected().await);
    let open = process.open().await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].kind(), transaction::DELIVER);
    assert!(open[0].new.not_before.is_some());
    assert_eq!(*process.announced.lock(), [transaction::DELIVER]);
}

/// Its commit was applied, but the answer was lost.
#[tokio::test]
async fn of_a_commit_that_is_fenced_what_the_store_has_is_broadcast() {
    for is_stored in [false, true] {
        let process = Process::new(with_code(0));
        if is_stored {
            let accept = Accept {
                writes: vec![write()],
                ..Accept::default()
            };
            process.inner.accept(accept).await.unwrap();
        }
        let attempt = Attempt {
            job: JobId::generate(),
            number: 1,
        };
        let mut commit = Commit::nothing();
        commit.write(write());
        let committed = process.store.commit(attempt, commit.into()).await.unwrap();
        assert_eq!(committed, Committed::Fenced);
        let started = Instant::now();
        while is_stored && process.broadcasts() == 0 {
            assert!(started.elapsed() < PATIENCE, "never broadcast");
            tokio::task::yield_now().await;
        }
        process.broadcaster.idle().await;
        assert_eq!(process.broadcasts(), usize::from(is_stored));
    }
}

#[tokio::test]
async fn what_somebody_else_has_settled_is_left_alone() {
    let process = Process::new(with_code(7));
    let forget = Accept {
        writes: vec![Write::delete(Table::ExpectedTransaction, HASH)],
        ..Accept::default()
    };
    let intents = Intent::of(&[write()]);
    process.inner.accept(forget).await.unwrap();
    process.broadcaster.stored(intents);
    process.broadcaster.idle().await;
    assert_eq!(process.broadcasts(), 1);
    assert_eq!(process.open().await, []);
}
