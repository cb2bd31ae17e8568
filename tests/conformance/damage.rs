//! Keys of Redis that hold something of another type. A script that fails
//! half-way is not undone, so every operation is tried with every key damaged
//! that it touches: it does all it is to do, or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use erawan::actors::request_handler::Execution;
use erawan::devnet::redis_server::{Durability, Options, RedisServer};
use erawan::job::{Commit, Epoch, Job, JobId, JobOutcome, Millis, Run, Runner, Table, Write};
use erawan::protocol::message::End;
use erawan::store::redis::RedisStore;
use erawan::store::{
    Accept, Committed, FailedLimits, Lease, Operated, Operation, OperatorAction, Release, Store,
    StoreError, Struck,
};
use redis::aio::MultiplexedConnection;

use crate::harness::*;

/// All keys of the server, as `DUMP` has them.
type Dump = BTreeMap<Vec<u8>, Vec<u8>>;

struct Server {
    connection: MultiplexedConnection,
    store: RedisStore,
    /// Ends with it.
    _server: RedisServer,
}

impl Server {
    async fn start() -> Self {
        let options = Options {
            durability: Durability::Volatile,
            ..Options::default()
        };
        let server = RedisServer::start(options).expect("redis-server starts");
        let store = connect_redis(&server).await.expect("redis is up");
        let client = redis::Client::open(("127.0.0.1", server.port())).expect("a client");
        let connection = client.get_multiplexed_async_connection().await;
        Self {
            connection: connection.expect("redis is up"),
            // The next job that fails takes the place of this one.
            store: store.with_failed_limits(FailedLimits {
                jobs: 1,
                ..FailedLimits::default()
            }),
            _server: server,
        }
    }

    async fn dump(&mut self) -> Dump {
        let mut keys: BTreeSet<Vec<u8>> = redis::cmd("KEYS")
            .arg("*")
            .query_async(&mut self.connection)
            .await
            .expect("KEYS");
        keys.remove(raw_name("ping").as_bytes());
        let mut dumps = redis::pipe();
        for key in &keys {
            dumps.cmd("DUMP").arg(key);
        }
        let dumps: Vec<Vec<u8>> = dumps.query_async(&mut self.connection).await.expect("DUMP");
        keys.into_iter().zip(dumps).collect()
    }

    async fn restore(&mut self, dump: &Dump) {
        let mut restore = redis::pipe();
        restore.cmd("FLUSHALL").ignore();
        for (key, value) in dump {
            restore.cmd("RESTORE").arg(key).arg(0).arg(value).ignore();
        }
        let restored = restore.exec_async(&mut self.connection).await;
        restored.expect("RESTORE");
    }

    async fn damage(&mut self, key: &[u8], how: Damage) {
        let mut damage = redis::pipe();
        damage.cmd("DEL").arg(key).ignore();
        match how {
            Damage::Rubbish => damage.cmd("SET").arg(key).arg(RUBBISH),
            Damage::OtherType => damage.cmd("SADD").arg(key).arg(RUBBISH),
        };
        let damaged = damage.exec_async(&mut self.connection).await;
        damaged.expect("it is damaged");
    }
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    /// A string that is no number and no record.
    Rubbish,
    /// A set, which none of the keys is.
    OtherType,
}

/// What is in the store when each operation begins.
struct Jobs {
    /// Has a successor in its line and a note.
    own: Job,
    cancelled: Job,
    /// Once more, and it is parked.
    struck: Job,
    parked: Job,
    waiting: Job,
    failed: Job,
}

async fn fill(store: &dyn Store) -> Jobs {
    let lease = store.acquire_lease("m", std::time::Duration::from_secs(60), ANY);
    assert!(matches!(lease.await, Ok(Lease::Held { .. })));
    let accept = Accept {
        writes: vec![put("r", "1"), put("gone", "1")],
        ..Accept::default()
    };
    accept_all(store, accept).await;
    let mut own = accept_job(store, job("k")).await;
    accept_job(store, job("k")).await;
    let noted = store.reschedule(attempt(&own), Millis(1), "busy").await;
    assert_eq!(noted, Ok(true));
    own.tries += 1;
    let cancelled = accept_job(store, job("c")).await;
    let struck = accept_job(store, job("s")).await;
    for _ in 0..4 {
        let once = store.strike(attempt(&struck), Millis(1), "panic").await;
        assert!(matches!(once, Ok(Struck::Rescheduled { .. })));
    }
    let parked = accept_job(store, job("p")).await;
    assert_eq!(store.park(attempt(&parked), "no sense").await, Ok(true));
    let waiting = accept_job(store, job("w")).await;
    let later = Millis::now().after(std::time::Duration::from_secs(3600));
    let waits = store.reschedule(attempt(&waiting), later, "busy").await;
    assert_eq!(waits, Ok(true));
    let failed = accept_job(store, job("f")).await;
    apply(store, attempt(&failed), Commit::failed("no luck")).await;
    Jobs {
        own,
        cancelled,
        struck,
        parked,
        waiting,
        failed,
    }
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Accept,
    Commit,
    Fail,
    Reschedule,
    Strike,
    StrikeOut,
    Park,
    Claim,
    Release,
    RetryParked,
    DropParked,
    Hurry,
    RetryFailed,
    DropFailed,
}

const ACTS: [Act; 14] = [
    Act::Accept,
    Act::Commit,
    Act::Fail,
    Act::Reschedule,
    Act::Strike,
    Act::StrikeOut,
    Act::Park,
    Act::Claim,
    Act::Release,
    Act::RetryParked,
    Act::DropParked,
    Act::Hurry,
    Act::RetryFailed,
    Act::DropFailed,
];

fn changes(jobs: &Jobs, outcome: JobOutcome) -> Commit {
    let mut commit = Commit::nothing();
    commit.outcome = outcome;
    commit.writes = vec![
        put("r", "2"),
        put("new", "1"),
        Write::delete(Table::RequestData, "gone"),
        Write::put_column(Table::DataAnswer, "a", "b", vec![1]),
    ];
    commit.cancel = vec![jobs.cancelled.id(), jobs.own.id(), jobs.cancelled.id()];
    commit.jobs = vec![job("k").source("follow:k"), job("n").source("follow:n")];
    commit
}

async fn operate(store: &dyn Store, job: &Job, action: OperatorAction) -> Result<bool, StoreError> {
    let operation = Operation {
        job: job.id(),
        action,
        who: "somebody@host".to_owned(),
        why: "because".to_owned(),
        at: Millis::now(),
    };
    let operated = store.operate(operation).await?;
    Ok(matches!(operated, Operated::Ended | Operated::Open(_)))
}

impl Act {
    /// Whether it was done.
    async fn run(self, store: &dyn Store, jobs: &Jobs) -> Result<bool, StoreError> {
        let (own, now) = (attempt(&jobs.own), Millis(2));
        match self {
            Act::Accept => {
                let accept = Accept {
                    epoch: Some(Epoch(1)),
                    writes: changes(jobs, JobOutcome::Done).writes,
                    jobs: vec![job("k").source("mq:k"), job("n").source("mq:n")],
                    ..Accept::default()
                };
                store.accept(accept).await.map(|_| true)
            }
            Act::Commit | Act::Fail => {
                let outcome = match self {
                    Act::Commit => JobOutcome::Done,
                    _ => JobOutcome::Failed {
                        reason: "no luck".to_owned(),
                    },
                };
                let committed = store.commit(own, changes(jobs, outcome).into()).await?;
                Ok(committed != Committed::Fenced)
            }
            Act::Reschedule => store.reschedule(own, now, "busy").await,
            Act::Strike => store.strike(own, now, "panic").await.map(|_| true),
            Act::StrikeOut => {
                let struck = store.strike(attempt(&jobs.struck), now, "panic").await?;
                Ok(struck == Struck::Parked)
            }
            Act::Park => store.park(own, "no sense").await,
            Act::Claim => store.claim(own).await,
            Act::Release => {
                let lost = |id: JobId| Release {
                    job: id,
                    strike: Some("its worker was lost".to_owned()),
                };
                let lost = [jobs.own.id(), jobs.struck.id(), jobs.own.id()].map(lost);
                store.release(Epoch(1), &lost).await.map(|_| true)
            }
            Act::RetryParked => operate(store, &jobs.parked, OperatorAction::Retry).await,
            Act::DropParked => operate(store, &jobs.parked, OperatorAction::Drop).await,
            Act::Hurry => operate(store, &jobs.waiting, OperatorAction::Retry).await,
            Act::RetryFailed => operate(store, &jobs.failed, OperatorAction::Retry).await,
            Act::DropFailed => operate(store, &jobs.failed, OperatorAction::Drop).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meets_a_damaged_key_is_done_as_a_whole_or_not_at_all() {
    let mut server = Server::start().await;
    let jobs = fill(&server.store).await;
    let full = server.dump().await;
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for act in ACTS {
        server.restore(&full).await;
        let done = act.run(&server.store, &jobs).await;
        assert_eq!(done, Ok(true), "{act:?} with nothing damaged");
        let after = server.dump().await;
        assert_ne!(after, full, "{act:?}");
        let keys: BTreeSet<&Vec<u8>> = full.keys().chain(after.keys()).collect();
        for (key, how) in keys
            .into_iter()
            .flat_map(|key| [(key, Damage::Rubbish), (key, Damage::OtherType)])
        {
            server.restore(&full).await;
            server.damage(key, how).await;
            let before = server.dump().await;
            let error = act.run(&server.store, &jobs).await.err();
            refused += usize::from(error.is_some());
            let is_half = error.is_some() && server.dump().await != before;
            let is_outage = matches!(error, Some(StoreError::Unavailable(_)));
            if is_half || is_outage {
                let key = String::from_utf8_lossy(key);
                wrong.push(format!("{act:?}, {key:?} {how:?}: {error:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "half done:\n{}", wrong.join("\n"));
    assert!(refused > 100, "{refused} were refused");
}

/// Writes to a row, and has something to follow.
struct Writes;

#[async_trait]
impl Runner for Writes {
    async fn run(&self, _: &Job) -> Run {
        let mut commit = Commit::nothing();
        commit.writes = vec![put("first", "1"), put("damaged", "1")];
        commit.jobs = vec![job("follows").source("follow:1")];
        Run::Commit(commit)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_commit_meets_a_damaged_row_is_parked_and_made_whole_later() {
    let harness = Redis::start().await;
    let store = harness.store();
    let stuck = accept_job(&*store, job("k")).await;
    harness.set_raw("s:request_data:damaged", RUBBISH).await;
    let execution = Execution::new(store.clone(), Arc::new(Writes));
    let run = Arc::new(stuck.clone());
    assert!(matches!(execution.execute(&run).await.end, End::Parked));
    let parked = stored(&*store, &stuck).await;
    assert!(parked.parked);
    let error = last_error(&*store, &stuck).await.expect("it says why");
    assert!(error.contains("s:request_data:damaged"), "{error}");
    assert_eq!(value(&*store, "first").await, None);
    assert_eq!(open_ids(&*store).await, [stuck.id()]);

    harness.delete_raw("s:request_data:damaged").await;
    assert_eq!(
        operate(&*store, &stuck, OperatorAction::Retry).await,
        Ok(true)
    );
    let again = Arc::new(stored(&*store, &stuck).await);
    let end = execution.execute(&again).await.end;
    assert!(matches!(end, End::Committed { .. }));
    for row in ["first", "damaged"] {
        assert_eq!(value(&*store, row).await.as_deref(), Some("1"));
    }
    let open = store.open_jobs(0, 9).await.unwrap();
    let keys: Vec<_> = open.iter().map(|job| job.key().to_owned()).collect();
    assert_eq!(keys, ["follows"]);
}

/// A note is for people: where none can be kept, everything goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_go_on_and_can_be_parked_when_the_notes_are_damaged() {
    let harness = Redis::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k")).await;
    harness.set_raw("errors", RUBBISH).await;
    let again = store.reschedule(attempt(&run), Millis(1), "busy").await;
    assert_eq!(again, Ok(true));
    assert_eq!(store.park(attempt(&run), "no sense").await, Ok(true));
    assert_eq!(store.parked_ids(9).await, Ok(vec![run.id()]));
    let other = accept_job(&*store, job("o")).await;
    end(&*store, &other).await;
    assert_eq!(stored(&*store, &run).await.kind(), erawan::job::noop::NOOP);
}

/// Blocks are followed by such reads: one row must not hold up all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_among_many_is_empty_and_the_others_are_read() {
    let harness = Redis::start().await;
    let store = harness.store();
    let accept = Accept {
        writes: vec![put("good", "1")],
        ..Accept::default()
    };
    accept_all(&*store, accept).await;
    harness.set_raw("s:request_data:damaged", RUBBISH).await;
    let rows = ["damaged", "good", "absent"].map(str::to_owned);
    let found = store.get_many(Table::RequestData, &rows).await;
    assert_eq!(found, Ok(vec![Some(Vec::new()), Some(b"1".to_vec()), None]));
}
