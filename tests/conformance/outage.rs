//! What happens while a store cannot be used, and after.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use erawan::devnet::redis_server::{self, RedisServer};
use erawan::job::{Attempt, Commit, Epoch, Table, Write};
use erawan::store::embedded::{self, EmbeddedStore};
use erawan::store::redis::{self as redis_store, RedisStore};
use erawan::store::{Accept, LARGEST_WRITE, State, Store, StoreError};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::harness::*;

/// Less than two tries of an operation on Redis, each of which may take 5 s.
const SOON: Duration = Duration::from_secs(9);
/// Less than a master that does not answer is waited for (10 s).
const SOON_FROM_MASTER: Duration = Duration::from_secs(8);

/// Every operation fails as unavailable, and soon enough.
async fn is_unavailable(store: &dyn Store, within: Duration) {
    let attempt = Attempt {
        job: job("k").id,
        number: 1,
    };
    let started = Instant::now();
    let (accept, commit, claim, get, ping) = tokio::join!(
        store.accept(accept_of(vec![job("k")])),
        store.commit(attempt, Commit::nothing().into()),
        store.claim(attempt),
        store.get(Table::RequestData, "r", ""),
        store.ping(),
    );
    let took = started.elapsed();
    let errors = [
        accept.err(),
        commit.err(),
        claim.err(),
        get.err(),
        ping.err(),
    ];
    for error in errors {
        assert!(
            matches!(error, Some(StoreError::Unavailable(_))),
            "{error:?}"
        );
    }
    assert!(took < within, "took {took:?}");
}

async fn works_again(store: &dyn Store) {
    eventually(|| async { store.accept(accept_of(vec![job("k")])).await.is_ok() }).await;
    store.ping().await.expect("ping");
}

fn is_unavailable_error<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_operations_fail_soon_and_work_again_when_it_is_back() {
    let mut redis = Redis::start().await;
    let store = redis.store();
    let before = accept_job(&*store, job("k")).await;
    for _ in 0..2 {
        redis.server.kill9().unwrap();
        is_unavailable(&*store, SOON).await;
        redis.server.restart().unwrap();
        works_again(&*store).await;
    }
    assert!(open_ids(&*store).await.contains(&before.id()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stops_answering_is_noticed_and_comes_back() {
    let redis = Redis::start().await;
    let store = redis.store();
    redis.server.freeze().unwrap();
    is_unavailable(&*store, SOON).await;
    is_unavailable(&*store, SOON).await;
    redis.server.thaw().unwrap();
    works_again(&*store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_cannot_write_is_unavailable_and_keeps_nothing() {
    let redis = Redis::start().await;
    let store = redis.store();
    let client = ::redis::Client::open(("127.0.0.1", redis.server.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let run = accept_job(&*store, job("k")).await;
    let full = [("CONFIG", "SET maxmemory 1"), ("CONFIG", "SET maxmemory 0")];
    let replica = [("REPLICAOF", "127.0.0.1 1"), ("REPLICAOF", "NO ONE")];
    for [refuse, allow] in [full, replica] {
        let command = |(name, arguments): (&str, &str)| {
            let mut command = ::redis::cmd(name);
            command.arg(arguments.split(' ').collect::<Vec<_>>());
            command
        };
        command(refuse).exec_async(&mut connection).await.unwrap();
        let accept = Accept {
            jobs: vec![job("k").source("s")],
            writes: vec![put("r", "v")],
            ..Accept::default()
        };
        assert!(is_unavailable_error(store.accept(accept).await));
        assert!(is_unavailable_error(store.ping().await), "as a write is");
        assert_eq!(value(&*store, "r").await, None, "reads go on");
        assert_eq!(open_ids(&*store).await, [run.id()]);
        command(allow).exec_async(&mut connection).await.unwrap();
    }
    accept_job(&*store, job("k").source("s")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_named_as_the_reason() {
    erawan::node::kinds::give();
    let server = RedisServer::start(redis_server::Options {
        password: Some("right".to_owned()),
        ..Default::default()
    })
    .unwrap();
    let connect = |password: &str| {
        RedisStore::connect(redis_store::Options {
            host: "127.0.0.1".to_owned(),
            port: server.port(),
            password: Some(password.to_owned().into()),
            node_id: "node".to_owned(),
        })
    };
    let error = connect("wrong").await.err().unwrap().to_string();
    assert!(error.to_lowercase().contains("password"), "{error}");
    assert!(!error.contains("wrong"), "{error}");
    connect("right").await.unwrap().ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_a_redis_without_seeing_each_other() {
    erawan::node::kinds::give();
    let redis = Redis::start().await;
    let options = |node_id: &str| redis_store::Options {
        host: "127.0.0.1".to_owned(),
        port: redis.server.port(),
        password: None,
        node_id: node_id.to_owned(),
    };
    let one = RedisStore::connect(options("one")).await.unwrap();
    let two = RedisStore::connect(options("two")).await.unwrap();
    for store in [&one, &two] {
        assert_eq!(accept_job(store, job("k").source("s")).await.seq, 1);
    }
    accept_all(
        &one,
        Accept {
            writes: vec![put("r", "v")],
            ..Accept::default()
        },
    )
    .await;
    assert_eq!(value(&two, "r").await, None);
    let rows = two.rows(Table::RequestData, "").await.unwrap();
    assert!(rows.is_empty());
}

fn open(path: &Path, node_id: &str) -> Result<EmbeddedStore, StoreError> {
    erawan::node::kinds::give();
    EmbeddedStore::open(embedded::Options {
        path: path.to_owned(),
        node_id: node_id.to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_open_once_and_belongs_to_one_node() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let first = open(&path, "node").unwrap();
    let error = open(&path, "node").err().unwrap().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert!(error.contains("another process has it open"), "{error}");
    drop(first);
    let error = open(&path, "other").err().unwrap().to_string();
    assert!(error.contains("belongs to node node"), "{error}");
    open(&path, "node").unwrap().ping().await.unwrap();

    let no_store = directory.path().join("no-store");
    std::fs::write(&no_store, vec![7; 100_000]).unwrap();
    let error = open(&no_store, "node").err().unwrap();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    let nowhere = directory.path().join("missing").join("store");
    assert!(is_unavailable_error(open(&nowhere, "node").map(|_| ())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_opens_the_file_is_master_at_once() {
    let embedded = Embedded::start().await;
    let long = Duration::from_secs(600);
    let lease = embedded.master().acquire_lease("killed", long, ANY).await;
    lease.unwrap();
    let embedded = embedded.restart().await;
    let lease = embedded
        .master()
        .acquire_lease("next", long, ANY)
        .await
        .unwrap();
    let epoch = Epoch(2);
    assert_eq!(lease, erawan::store::Lease::Held { epoch });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_master_a_worker_is_told_soon_and_goes_on_when_it_is_back() {
    let embedded = Embedded::start().await;
    let master = Master::start(embedded.master(), None);
    let address: SocketAddr = master.address;
    let store = connect_remote(address);
    works_again(&store).await;
    drop(master);
    eventually(|| async { is_unavailable_error(store.ping().await) }).await;
    is_unavailable(&store, SOON_FROM_MASTER).await;
    let _master = Master::start(embedded.master(), Some(address));
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_cannot_take_part_in_mastership() {
    let remote = Remote::start().await;
    let store = remote.store();
    let run = accept_job(&*store, job("k")).await;
    let lease = store.acquire_lease("a", Duration::from_secs(1), ANY).await;
    assert!(is_unavailable_error(lease));
    assert!(is_unavailable_error(store.release_lease("a").await));
    let released = store.release(Epoch(9), &releases(&[run.id()])).await;
    assert!(is_unavailable_error(released));
    let stored = store.jobs(&[run.id()]).await.unwrap();
    assert_eq!(stored, [Some(run)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_too_large_for_one_message_comes_in_several() {
    let remote = Remote::start().await;
    let (store, master) = (remote.store(), remote.master());
    let rows: Vec<String> = (0..3).map(|number| format!("row {number}")).collect();
    for row in &rows {
        let accept = Accept {
            writes: vec![Write::put(Table::AsData, row, vec![200; 30_000_000])],
            ..Accept::default()
        };
        accept_all(&*master, accept).await;
    }
    let values = store.get_many(Table::AsData, &rows).await.unwrap();
    let sizes: Vec<_> = values.iter().flatten().map(Vec::len).collect();
    assert_eq!(sizes, [30_000_000; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_call_does_not_hold_up_small_ones() {
    let remote = Remote::start().await;
    let store = remote.store();
    let large = Accept {
        writes: vec![Write::put(Table::AsData, "r", vec![200; 200_000_000])],
        ..Accept::default()
    };
    let other = remote.store();
    let large = tokio::spawn(async move { other.accept(large).await });
    // One that waited for the large one would take nearly as long.
    let (begun, mut pings, mut longest) = (Instant::now(), 0, Duration::ZERO);
    while !large.is_finished() {
        let started = Instant::now();
        store.ping().await.unwrap();
        longest = longest.max(started.elapsed());
        pings += 1;
    }
    let took = begun.elapsed();
    large.await.unwrap().unwrap();
    let figures = format!("{pings} pings, the longest {longest:?}, beside {took:?}");
    assert!(pings > 1 && longest < took / 2, "held up: {figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_no_half_of_a_call() {
    let remote = Remote::start().await;
    let store = remote.store();
    for number in 0..20 {
        let accept = Accept {
            writes: vec![Write::put(Table::AsData, "r", vec![200; 20_000_000])],
            jobs: vec![job("k").source(format!("{number}"))],
            ..Accept::default()
        };
        let patience = Duration::from_millis(number);
        let _ = tokio::time::timeout(patience, store.accept(accept)).await;
    }
    accept_job(&*store, job("k")).await;
    eventually(|| async { store.ping().await.is_ok() }).await;
}

/// Nobody asks again: a job whose commit it is would never end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_to_travel_is_refused_for_good() {
    let (redis, remote) = (Redis::start().await, Remote::start().await);
    for store in [redis.store(), remote.store()] {
        let run = accept_job(&*store, job("k")).await;
        let mut commit = Commit::nothing();
        commit.write(Write::put(Table::AsData, "r", vec![7; LARGEST_WRITE]));
        let refused = store.commit(attempt(&run), commit.into()).await;
        assert!(
            matches!(refused, Err(StoreError::TooLarge(_))),
            "{refused:?}"
        );
        assert!(store.park(attempt(&run), "too large").await.unwrap());
    }
}

const FULL_DISK: &str = "ERAWAN_TEST_FULL_DISK";

/// Runs itself once more in a process that may write no file beyond a size.
#[test]
fn a_full_disk_makes_the_file_unavailable_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    // Writing beyond the limit would end the process unless SIGXFSZ is ignored.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "outage::on_a_full_disk", "--ignored"])
        .args(["--nocapture"])
        .env(FULL_DISK, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by a_full_disk_makes_the_file_unavailable_until_there_is_room"]
async fn on_a_full_disk() {
    let Some(directory) = std::env::var_os(FULL_DISK) else {
        return;
    };
    let store = Arc::new(open(&Path::new(&directory).join("store.redb"), "node").unwrap());
    let (unlimited, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 8_000_000, hard).unwrap();
    let of_size = |number: usize, size: usize| Accept {
        writes: vec![Write::put(
            Table::AsData,
            format!("{number}"),
            vec![7; size],
        )],
        ..Accept::default()
    };
    let accept = |number: usize| of_size(number, 100_000);
    let mut stored = 0;
    loop {
        match store.accept(accept(stored)).await {
            Ok(_) => stored += 1,
            Err(StoreError::Unavailable(_)) => break,
            Err(error) => panic!("{error}"),
        }
        assert!(stored < 1000, "the limit has no effect");
    }
    assert!(is_unavailable_error(store.accept(accept(stored)).await));
    assert!(stored > 10);
    // Ever less, until nothing finds room: how much is left after a large one was
    // refused is the file's own affair.
    let mut smaller = stored;
    for size in [30_000, 3_000, 300] {
        while store.accept(of_size(smaller, size)).await.is_ok() {
            smaller += 1;
            assert!(smaller < stored + 10_000, "the limit has no effect");
        }
    }
    assert!(is_unavailable_error(store.ping().await), "as a write is");

    setrlimit(Resource::RLIMIT_FSIZE, unlimited, hard).unwrap();
    works_again(&*store).await;
    for number in 0..stored {
        let value = store.get(Table::AsData, &number.to_string(), "").await;
        assert_eq!(value.unwrap().map(|bytes| bytes.len()), Some(100_000));
    }
}
