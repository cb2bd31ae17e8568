//! What accept and commit cost Redis: one round trip each, and how much of its
//! one thread (printed; run with `--nocapture`).

use erawan::devnet::redis_server::{Durability, Options, RedisServer};
use erawan::job::{Commit, Job, NewJob, noop};
use erawan::store::{Accept, Store};
use futures_util::{StreamExt, stream};

use crate::harness::*;

const ROUNDS: u64 = 5000;
const AT_ONCE: usize = 32;

/// Calls of a command and microseconds of each, since the last reset.
async fn statistics(connection: &mut redis::aio::MultiplexedConnection) -> (u64, f64) {
    let mut info = redis::cmd("INFO");
    let info = info.arg("commandstats");
    let text: String = info.query_async(connection).await.expect("INFO");
    let line = text
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"));
    let field = |name: &str| {
        let fields = line?.split_once(':')?.1;
        let mut fields = fields.split(',').filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name)?.1.parse::<f64>().ok()
    };
    let reset = redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .exec_async(connection)
        .await;
    reset.expect("RESETSTAT");
    (
        field("calls").expect("calls") as u64,
        field("usec_per_call").expect("usec_per_call"),
    )
}

async fn accept_one(store: &dyn Store, number: u64) -> Job {
    let mut new = NewJob::new(noop::NOOP, format!("request {number}"), &());
    new.payload = vec![7; 500];
    let accept = Accept {
        jobs: vec![new.source(format!("api:node:{number}"))],
        writes: vec![put(&format!("{number}"), &"v".repeat(300))],
        ..Accept::default()
    };
    let (mut jobs, _) = accept_all(store, accept).await;
    jobs.pop().expect("not a duplicate")
}

async fn commit_one(store: &dyn Store, run: &Job) {
    let mut commit = Commit::nothing();
    commit.write(put(&run.seq.to_string(), &"v".repeat(300)));
    commit.job(job(run.key()));
    apply(store, attempt(run), commit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accept_and_commit_are_one_cheap_round_trip_each() {
    for durability in [Durability::Volatile, Durability::EverySecond] {
        let server = RedisServer::start(Options {
            durability,
            ..Options::default()
        })
        .expect("redis-server starts");
        let store = connect_redis(&server).await.expect("redis is up");
        let client = redis::Client::open(("127.0.0.1", server.port())).expect("a client");
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .expect("redis is up");
        let warm = accept_job(&store, job("k")).await;
        end(&store, &warm).await;
        statistics(&mut connection).await;

        let accepted: Vec<Job> = stream::iter(0..ROUNDS)
            .map(|number| accept_one(&store, number))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let (accepts, accept_us) = statistics(&mut connection).await;
        stream::iter(&accepted)
            .map(|run| commit_one(&store, run))
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
        let (commits, commit_us) = statistics(&mut connection).await;
        println!(
            "{durability:?}: Redis spends {accept_us:.1} us on an accept (1 job with source, \
             1 write), {commit_us:.1} us on a commit (1 write, 1 job)"
        );
        assert_eq!((accepts, commits), (ROUNDS, ROUNDS));
    }
}
