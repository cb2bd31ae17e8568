//! A Redis that forgets what it acknowledged, or is not itself for a while.

use std::process::Command;
use std::time::Duration;

use erawan::devnet::redis_server::{self, Durability, RedisServer};
use erawan::job::{Commit, Epoch};
use erawan::store::redis::{self as redis_store, RedisStore};
use erawan::store::{Accept, Committed, Lease, SharedStore, Store, StoreError};

use crate::append_only_files::Files;
use crate::harness::*;

const LEASE: Duration = Duration::from_secs(60);

fn server(durability: Durability) -> RedisServer {
    RedisServer::start(redis_server::Options {
        durability,
        survives_file_limit: true,
        ..Default::default()
    })
    .unwrap()
}

async fn epoch_of(store: &dyn Store, holder: &str) -> Epoch {
    match store.acquire_lease(holder, LEASE, ANY).await.unwrap() {
        Lease::Held { epoch } => epoch,
        lease => panic!("{lease:?}"),
    }
}

/// Waits until Redis has written to its file what it has acknowledged. It does so
/// before it answers, unless the sync of the second before is still under way:
/// then it puts writing off, for two seconds at most (docs/guarantees.md).
async fn has_written(server: &RedisServer) {
    let client = ::redis::Client::open(("127.0.0.1", server.port())).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    eventually(|| async {
        let mut command = ::redis::cmd("INFO");
        command.arg("persistence");
        let info: String = command.query_async(&mut connection.clone()).await.unwrap();
        info.lines().any(|line| line == "aof_buffer_length:0")
    })
    .await;
}

async fn works_again(store: &dyn Store) {
    eventually(|| async { store.ping().await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_that_syncs_every_second_keeps_what_it_acknowledged() {
    let mut server = server(Durability::EverySecond);
    let store = connect_redis(&server).await.unwrap();
    for round in 1..=5 {
        for number in 0..200 {
            accept_job(&store, job(&format!("k{round}.{number}"))).await;
        }
        // What was acknowledged has been written, though not yet synced: the
        // kernel keeps it. Only a machine that stops loses it.
        has_written(&server).await;
        server.kill9().unwrap();
        server.restart().unwrap();
        works_again(&store).await;
        let open = store.counts().await.unwrap().open;
        assert_eq!(open, 200 * round, "lost {}", 200 * round - open);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lost_its_last_second_is_noticed_and_the_master_begins_anew() {
    let mut server = server(Durability::EverySecond);
    let store = connect_redis(&server).await.unwrap();
    let before = epoch_of(&store, "master").await;
    let ended_later = accept_job(&store, job("k")).await;
    has_written(&server).await;
    let files = Files::of(&server);

    let lost = accept_job(&store, job("k").source("s")).await;
    apply(&store, attempt(&ended_later), Commit::nothing()).await;
    server.kill9().unwrap();
    files.put_back();
    server.restart().unwrap();
    works_again(&store).await;

    // What ended in the lost second is open again, and may end again.
    assert_eq!(open_ids(&store).await, [ended_later.id()]);
    // What was accepted in it is unknown: a worker that runs it is fenced.
    let commit = store.commit(attempt(&lost), Commit::nothing().into()).await;
    assert_eq!(commit.unwrap(), Committed::Fenced);
    // Its place and its source are given to the next one.
    let next = accept_job(&store, job("k").source("s")).await;
    assert_eq!(next.seq, lost.seq);
    assert_eq!(store.setbacks(), 1);

    // The same holder gets another epoch, so that everything it believed is
    // read anew; and one that nobody has had in the lost second.
    let after = epoch_of(&store, "master").await;
    assert!(after.0 > before.0 + 1_000_000, "{after:?}");
    assert_eq!(epoch_of(&store, "master").await, after);
    let former = Accept {
        epoch: Some(before),
        ..Accept::default()
    };
    let refused = store.accept(former).await;
    assert!(matches!(refused, Err(StoreError::Deposed { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_noticed_without_a_write() {
    let mut server = server(Durability::EverySecond);
    let store = connect_redis(&server).await.unwrap();
    accept_job(&store, job("k")).await;
    has_written(&server).await;
    let files = Files::of(&server);
    accept_job(&store, job("k")).await;
    server.kill9().unwrap();
    files.put_back();
    server.restart().unwrap();
    works_again(&store).await;
    store.counts().await.unwrap();
    assert_eq!(store.setbacks(), 1);
}

/// The lost numbers have been given again by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_noticed_by_a_process_that_comes_after_others_have_gone_on() {
    let mut server = server(Durability::EverySecond);
    let store = connect_redis(&server).await.unwrap();
    let other = connect_redis(&server).await.unwrap();
    accept_job(&store, job("k")).await;
    has_written(&server).await;
    let files = Files::of(&server);
    accept_job(&store, job("k")).await;
    server.kill9().unwrap();
    files.put_back();
    server.restart().unwrap();
    works_again(&other).await;
    for _ in 0..5 {
        accept_job(&other, job("k")).await;
    }
    works_again(&store).await;
    accept_job(&store, job("k")).await;
    assert_eq!((store.setbacks(), other.setbacks()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_without_loss_begins_a_new_term_and_is_no_setback() {
    let mut server = server(Durability::Always);
    let store = connect_redis(&server).await.unwrap();
    let before = epoch_of(&store, "master").await;
    accept_job(&store, job("k")).await;
    server.restart().unwrap();
    works_again(&store).await;
    assert!(epoch_of(&store, "master").await > before);
    accept_job(&store, job("k")).await;
    store.counts().await.unwrap();
    assert_eq!(store.setbacks(), 0);
}

/// As some hosted ones do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_refuses_info_serves_and_its_restart_begins_a_new_term() {
    let mut server = server(Durability::Always);
    ask(&server, "ACL", &["SETUSER", "default", "-info"]).await;
    let store = connect_redis(&server).await.unwrap();
    let before = epoch_of(&store, "master").await;
    let kept = accept_job(&store, job("k")).await;
    assert_eq!(epoch_of(&store, "master").await, before);
    server.restart().unwrap();
    ask(&server, "ACL", &["SETUSER", "default", "-info"]).await;
    works_again(&store).await;
    assert!(epoch_of(&store, "master").await > before);
    apply(&store, attempt(&kept), Commit::nothing()).await;
    assert_eq!(store.setbacks(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_without_a_restart_is_noticed_too() {
    let server = server(Durability::Volatile);
    let store = connect_redis(&server).await.unwrap();
    let before = epoch_of(&store, "master").await;
    accept_job(&store, job("k")).await;
    ask(&server, "FLUSHALL", &[]).await;
    let after = epoch_of(&store, "master").await;
    assert_eq!(store.setbacks(), 1);
    assert!(after > before, "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_of_scripts_is_not_noticed_by_callers() {
    let server = server(Durability::Always);
    let store: SharedStore = std::sync::Arc::new(connect_redis(&server).await.unwrap());
    for _ in 0..3 {
        ask(&server, "SCRIPT", &["FLUSH"]).await;
        let calls = (0..20).map(|n| {
            let store = store.clone();
            async move {
                let job = accept_job(&*store, job(&format!("k{n}"))).await;
                apply(&*store, attempt(&job), Commit::nothing()).await;
            }
        });
        futures_util::future::join_all(calls).await;
    }
    assert_eq!(open_ids(&*store).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_changed_in_the_middle_is_unavailable_until_it_is_right_again() {
    erawan::node::kinds::give();
    let mut server = RedisServer::start(redis_server::Options {
        durability: Durability::Always,
        password: Some("right".to_owned()),
        ..Default::default()
    })
    .unwrap();
    let options = redis_store::Options {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        password: Some("right".to_owned().into()),
        node_id: "node".to_owned(),
    };
    let store = RedisStore::connect(options).await.unwrap();
    accept_job(&store, job("k")).await;
    server.set_password(Some("changed".to_owned()));
    server.restart().unwrap();
    for _ in 0..3 {
        let refused = store.accept(accept_of(vec![job("k")])).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    }
    server.set_password(Some("right".to_owned()));
    server.restart().unwrap();
    works_again(&store).await;
    assert_eq!(store.counts().await.unwrap().open, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_whose_disk_is_full_is_unavailable_reads_go_on_and_nothing_is_lost() {
    let mut server = server(Durability::EverySecond);
    let store = connect_redis(&server).await.unwrap();
    let mut stored = vec![accept_job(&store, job("k")).await.id()];
    limit_files(&server, "1000");
    // The write that meets the full disk has been answered already; those after
    // the failed flush are refused (MISCONF).
    let fills = async {
        loop {
            let large = job(&"k".repeat(2000));
            match store.accept(accept_of(vec![large])).await {
                Ok(_) => stored.clear(),
                Err(StoreError::Unavailable(reason)) => return reason,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(60), fills).await;
    let reason = reason.expect("refused in time");
    assert!(reason.contains("MISCONF"), "{reason}");
    let open = open_ids(&store).await;
    assert!(!open.is_empty(), "reads go on");

    limit_files(&server, "unlimited");
    eventually(|| async { store.accept(accept_of(vec![job("k")])).await.is_ok() }).await;
    let all = open_ids(&store).await;
    assert!(all.len() > open.len());
    server.restart().unwrap();
    works_again(&store).await;
    assert_eq!(open_ids(&store).await, all);
    assert_eq!(store.setbacks(), 0);
}

/// Somebody deleted it, or it was evicted.
#[tokio::test]
async fn a_lost_count_of_bytes_hides_nothing_and_is_right_again_when_nothing_is_open() {
    let server = server(Durability::EverySecond);
    let store = connect_redis(&server).await.unwrap();
    let first = accept_job(&store, job("first")).await;
    let second = accept_job(&store, job("second")).await;
    ask(&server, "DEL", &["{erawan:node*[1]}:open_bytes"]).await;
    let mut open = Vec::new();
    for ended in [first, second] {
        let commit = store
            .commit(attempt(&ended), Commit::nothing().into())
            .await;
        assert!(matches!(commit.unwrap(), Committed::Applied { .. }));
        let counts = store.counts().await.unwrap();
        assert_eq!(counts.open_bytes, 0);
        open.push(counts.open);
    }
    assert_eq!(open, [1, 0]);
    accept_job(&store, job("third")).await;
    assert!(store.counts().await.unwrap().open_bytes > 0);
}

fn limit_files(server: &RedisServer, bytes: &str) {
    let status = Command::new("prlimit")
        .args(["--pid", &server.pid().unwrap().to_string()])
        .arg(format!("--fsize={bytes}:unlimited"))
        .status()
        .unwrap();
    assert!(status.success());
}

async fn ask(server: &RedisServer, name: &str, arguments: &[&str]) {
    let client = ::redis::Client::open(("127.0.0.1", server.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = ::redis::cmd(name);
    command.arg(arguments);
    command.exec_async(&mut connection).await.unwrap();
}
