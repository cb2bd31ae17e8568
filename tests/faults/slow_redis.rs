//! (d) A link to Redis on which large records take longer than an operation may
//! take in silence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erawan::devnet::redis_server::{Durability, Options, RedisServer};
use erawan::job::{Attempt, Commit, Epoch, Job, NewJob, Table, Write, noop};
use erawan::store::redis::{self, RedisStore};
use erawan::store::{Accept, Accepted, Committed, Lease, State, Store, StoreError};

use crate::proxy::Proxy;

/// 40 MB take 8 s.
const BYTES_A_SECOND: u32 = 5_000_000;
const LARGE: usize = 40_000_000;
const LEASE: Duration = Duration::from_secs(2);

async fn slow_redis() -> (RedisServer, Proxy, Arc<RedisStore>) {
    erawan::node::kinds::give();
    let server = RedisServer::start(Options {
        durability: Durability::Always,
        ..Default::default()
    })
    .unwrap();
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let store = RedisStore::connect(redis::Options {
        host: "127.0.0.1".to_owned(),
        port: proxy.port,
        password: None,
        node_id: "node".to_owned(),
    })
    .await
    .unwrap();
    proxy.throttle(BYTES_A_SECOND);
    (server, proxy, Arc::new(store))
}

async fn accept_job(store: &RedisStore) -> Job {
    let accept = Accept {
        jobs: vec![NewJob::new(noop::NOOP, "k", &())],
        ..Accept::default()
    };
    match store.accept(accept).await.unwrap() {
        Accepted::Stored { mut jobs, .. } => jobs.pop().unwrap(),
        refused => panic!("{refused:?}"),
    }
}

fn attempt(job: &Job) -> Attempt {
    Attempt {
        job: job.id(),
        number: job.attempt,
    }
}

/// A commit that writes a large value and has a follow-up job.
fn large_commit() -> Commit {
    let mut commit = Commit::nothing();
    commit.write(Write::put(Table::AsData, "large", vec![7; LARGE]));
    commit.job(NewJob::new(noop::NOOP, "next", &()));
    commit
}

async fn lease(store: &RedisStore) -> Result<Epoch, StoreError> {
    match store.acquire_lease("master", LEASE, Epoch(0)).await? {
        Lease::Held { epoch } => Ok(epoch),
        other => panic!("{other:?}"),
    }
}

/// Asks for mastership, pings, and makes a small write until a task has ended.
/// All of them are answered, and the term goes on.
async fn goes_on_during<T>(store: &RedisStore, large: &tokio::task::JoinHandle<T>, epoch: Epoch) {
    let mut rounds = 0;
    while !large.is_finished() {
        let asked = tokio::time::timeout(LEASE, lease(store)).await;
        let asked = asked.expect("answered before a lease has run out");
        assert_eq!(asked.unwrap(), epoch);
        store.ping().await.unwrap();
        let small = accept_job(store).await;
        let ended = store
            .commit(attempt(&small), Commit::nothing().into())
            .await;
        assert!(matches!(ended.unwrap(), Committed::Applied { .. }));
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(rounds > 3, "{rounds}: they waited for the large one");
}

/// What needs longer on the wire than an operation may be silent is applied,
/// once, and holds up nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_takes_long_on_the_wire_is_applied_once_and_ends_no_term() {
    let (_server, _proxy, store) = slow_redis().await;
    let epoch = lease(&store).await.unwrap();
    let run = accept_job(&store).await;
    let other = store.clone();
    let own = attempt(&run);
    let large = tokio::spawn(async move { other.commit(own, large_commit().into()).await });
    goes_on_during(&store, &large, epoch).await;
    let Committed::Applied { jobs, .. } = large.await.unwrap().unwrap() else {
        panic!("fenced");
    };
    let open = store.open_ids(0, 100).await.unwrap();
    assert_eq!(open, [(jobs[0].seq, jobs[0].id())]);
    let again = store.commit(own, Commit::nothing().into()).await.unwrap();
    assert_eq!(again, Committed::Fenced);

    // It is read as slowly as it was written, and the term goes on.
    let other = store.clone();
    let large = tokio::spawn(async move { other.get(Table::AsData, "large", "").await });
    while !large.is_finished() {
        let asked = tokio::time::timeout(LEASE, lease(&store)).await;
        let asked = asked.expect("answered before a lease has run out");
        assert_eq!(asked.unwrap(), epoch);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let value = large.await.unwrap().unwrap();
    assert_eq!(value.map(|value| value.len()), Some(LARGE));
}

/// A small operation waits for the bytes of a large answer before its own, and
/// does not fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_read_behind_a_large_one_is_answered_after_it() {
    let (_server, proxy, store) = slow_redis().await;
    proxy.heal();
    let run = accept_job(&store).await;
    store
        .commit(attempt(&run), large_commit().into())
        .await
        .unwrap();
    proxy.throttle(BYTES_A_SECOND);
    let (large, small) = tokio::join!(
        store.get(Table::AsData, "large", ""),
        store.get(Table::AsData, "small", "")
    );
    assert_eq!(large.unwrap().map(|value| value.len()), Some(LARGE));
    assert_eq!(small.unwrap(), None);
}

/// A network that swallows everything while a large commit is on its way is
/// noticed by small operations as soon as ever, by the commit a little later,
/// and all is well again when it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_falls_silent_during_a_large_commit_is_noticed() {
    let (_server, proxy, store) = slow_redis().await;
    let run = accept_job(&store).await;
    let other = store.clone();
    let own = attempt(&run);
    let large = tokio::spawn(async move { other.commit(own, large_commit().into()).await });
    // Some of it has gone.
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.swallow();
    let began = Instant::now();
    let (asked, ping, read) = tokio::join!(
        lease(&store),
        store.ping(),
        store.get(Table::AsData, "small", "")
    );
    let took = began.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(matches!(asked, Err(StoreError::Unavailable(_))));
    assert!(matches!(ping, Err(StoreError::Unavailable(_))));
    assert!(matches!(read, Err(StoreError::Unavailable(_))));
    let failed = large.await.unwrap();
    assert!(
        matches!(failed, Err(StoreError::Unavailable(_))),
        "{failed:?}"
    );

    // The half of it that was sent is worth nothing.
    proxy.cut();
    proxy.heal();
    let committed = store.commit(own, large_commit().into()).await.unwrap();
    assert!(matches!(committed, Committed::Applied { .. }));
    assert_eq!(store.open_ids(0, 100).await.unwrap().len(), 1);
}

/// A question for mastership does not wait for longer than a lease. A connection
/// that owes them an answer is replaced all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_link_is_replaced_though_nobody_waits_for_so_long() {
    let (_server, proxy, store) = slow_redis().await;
    let epoch = lease(&store).await.unwrap();
    // Only connections that exist are swallowed.
    proxy.swallow_present();
    let began = Instant::now();
    loop {
        let asked = tokio::time::timeout(Duration::from_millis(500), lease(&store)).await;
        if let Ok(Ok(again)) = asked {
            assert_eq!(again, epoch);
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "never replaced");
    }
}
