//! Transactions of which an earlier try may have succeeded.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::context::Role;
use crate::delivery::transaction;
use crate::flows::rp;
use crate::job::JobOutcome;
use crate::ledger::{Broadcast, Ledger};
use crate::messaging::testing;
use crate::messaging::testing::{FakeLedger, MemoryState};

const HASH: &str = "aa";

/// Answers a broadcast the same every time, and has no block with it.
struct Scripted {
    answer: Result<Broadcast, Error>,
    waiting: u64,
    included: Option<Inclusion>,
}

#[async_trait]
impl Ledger for Scripted {
    async fn query(&self, _: &str, _: Value, _: Option<u64>) -> Result<Option<Arc<Value>>, Error> {
        Ok(None)
    }

    async fn broadcast(&self, _: &[u8]) -> Result<Broadcast, Error> {
        self.answer.clone()
    }

    async fn transaction(&self, _: &TransactionHash) -> Result<Option<Inclusion>, Error> {
        Ok(self.included.clone())
    }

    async fn waiting_transactions(&self) -> Result<u64, Error> {
        Ok(self.waiting)
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

fn met_before(waiting: u64) -> Scripted {
    let log = String::new();
    Scripted {
        answer: Ok(Broadcast {
            code: 84,
            log,
            is_premature: false,
        }),
        waiting,
        included: None,
    }
}

fn full() -> Scripted {
    Scripted {
        answer: Err(Error::from(codes::TENDERMINT_MEMPOOL_FULL).temporary()),
        waiting: 5000,
        included: None,
    }
}

fn transact() -> Transact {
    let then = Continuation::new(rp::request_created::KIND, "request:r".to_owned(), &1u8);
    Transact::new("rp1", "CreateRequest", &json!({}), Some(then))
}

fn expected(age: Duration) -> Expected {
    Expected {
        transact: transact(),
        bytes: b"signed".to_vec(),
        signed_at: Millis(Millis::now().0 - age.as_millis() as u64),
        trace: None,
    }
}

async fn first(ledger: Scripted, age: Duration) -> Run {
    let mut context = testing::context("rp1", Role::Rp, FakeLedger::recorded());
    context.ledger = Arc::new(ledger);
    let hash = HASH.to_owned();
    first_try(&context, &hash, &expected(age)).await.unwrap()
}

async fn run(ledger: Scripted, kind: Kind, tries: u32, age: Duration) -> Run {
    let expected = expected(age);
    let state = MemoryState::default();
    state.put(
        Table::ExpectedTransaction,
        HASH,
        "",
        &codec::encode(&expected),
    );
    let mut context = testing::context("rp1", Role::Rp, FakeLedger::recorded());
    context.state = Arc::new(state);
    context.ledger = Arc::new(ledger);
    let mut job = testing::accepted(NewJob::new(kind, "transaction:aa", &HASH.to_owned()));
    job.tries = tries;
    let run = match kind == transaction::CONFIRM {
        true => run_confirm(&context, &job).await,
        false => run_deliver(&context, &job).await,
    };
    run.unwrap()
}

fn committed(run: Run) -> Commit {
    match run {
        Run::Commit(commit) => commit,
        Run::Retry { reason, .. } | Run::Park { reason } => panic!("repeated: {reason}"),
    }
}

#[tokio::test]
async fn a_transaction_that_the_ledger_dropped_is_signed_anew_once() {
    let old = DROPPED_AFTER + Duration::from_secs(1);
    let commit = committed(run(met_before(0), transaction::CONFIRM, 0, old).await);
    let forgotten = Write::delete(Table::ExpectedTransaction, HASH);
    assert_eq!(commit.writes, [forgotten]);
    let [job] = &commit.jobs[..] else {
        panic!("{:?}", commit.jobs);
    };
    assert_eq!(job.kind, transaction::TRANSACT);
    assert_eq!(job.source.as_deref(), Some("again:aa"));
    assert_eq!(codec::decode::<Transact>(&job.payload).unwrap(), transact());
}

#[tokio::test]
async fn one_that_may_still_come_into_a_block_is_waited_for() {
    let old = DROPPED_AFTER + Duration::from_secs(1);
    let young = DROPPED_AFTER - Duration::from_secs(60);
    for (ledger, kind, age) in [
        (met_before(0), transaction::CONFIRM, young),
        // A chain that makes no blocks keeps what it has accepted.
        (met_before(1), transaction::CONFIRM, old),
        (met_before(0), transaction::DELIVER, old),
    ] {
        let commit = committed(run(ledger, kind, 0, age).await);
        assert_eq!(commit, Commit::nothing());
    }
}

#[tokio::test]
async fn one_that_a_block_has_is_not_signed_anew() {
    let ledger = Scripted {
        included: Some(Inclusion {
            height: 6,
            code: 0,
            log: "success".to_owned(),
        }),
        ..met_before(0)
    };
    let commit = committed(run(ledger, transaction::CONFIRM, 0, DROPPED_AFTER * 2).await);
    assert_eq!(commit.jobs[0].kind, rp::request_created::KIND);
}

#[tokio::test]
async fn a_full_mempool_refuses_only_what_cannot_be_in_it() {
    let age = Duration::from_secs(60);
    let first = committed(first(full(), age).await);
    assert_eq!(first.jobs[0].kind, rp::request_created::KIND);
    let repeat = run(full(), transaction::DELIVER, 0, age).await;
    assert!(matches!(repeat, Run::Retry { .. }), "{repeat:?}");
    let confirmation = committed(run(full(), transaction::CONFIRM, 0, age).await);
    assert_eq!(confirmation, Commit::nothing());
}

/// A node of the ledger that is behind refuses what it does not know yet.
#[tokio::test]
async fn a_refusal_by_a_node_of_the_ledger_that_is_behind_is_not_final() {
    let behind = || Scripted {
        answer: Ok(Broadcast {
            code: 7,
            log: "request ID not found".to_owned(),
            is_premature: true,
        }),
        waiting: 0,
        included: None,
    };
    let age = Duration::from_secs(1);
    let first = committed(first(behind(), age).await);
    assert_eq!(first.jobs[0].kind, transaction::TRANSACT, "signed anew");
    assert!(first.jobs[0].not_before.is_some(), "after a while");
    let repeat = run(behind(), transaction::DELIVER, 0, age).await;
    assert!(matches!(repeat, Run::Retry { .. }), "{repeat:?}");
    let confirmation = committed(run(behind(), transaction::CONFIRM, 0, age).await);
    assert_eq!(confirmation, Commit::nothing());
}

#[tokio::test]
async fn one_that_cannot_be_signed_is_refused_when_its_time_is_up() {
    let mut context = testing::context("rp1", Role::Rp, FakeLedger::recorded());
    context.crypto = Arc::new(testing::Away);
    let mut job = testing::job(transaction::TRANSACT, &transact());
    let error = run_transact(&context, &job).await.unwrap_err();
    assert!(error.is_of_crypto_service());

    job.accepted_at = Millis(Millis::now().0 - 599_000);
    job.tries = 8;
    let refused = committed(run_transact(&context, &job).await.unwrap());
    assert_eq!(refused.outcome, JobOutcome::Done);
    let settled: Settled = codec::decode(&refused.jobs[0].payload).unwrap();
    let Fate::Refused { code, message } = settled.fate else {
        panic!("{:?}", settled.fate);
    };
    assert_eq!(code, 10000);
    assert!(message.contains("retry timed out"), "{message}");

    let mut silent = transact();
    silent.then = None;
    job.new.payload = codec::encode(&silent);
    let failed = committed(run_transact(&context, &job).await.unwrap());
    assert!(matches!(failed.outcome, JobOutcome::Failed { .. }));
}
