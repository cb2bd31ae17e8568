//! What Redis refuses for good because of its size, and that it does not pass
//! for an outage.

use erawan::devnet::redis_server::{self, RedisServer};
use erawan::job::{Attempt, Commit, Table, Write};
use erawan::store::redis::{self as redis_store, RedisStore};
use erawan::store::{Accept, State, Store, StoreError};

use crate::harness::*;

const MIB: usize = 1024 * 1024;

async fn start(arguments: &[&str]) -> (RedisServer, RedisStore) {
    erawan::node::kinds::give();
    let server = RedisServer::start(redis_server::Options {
        arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        ..Default::default()
    })
    .expect("redis-server starts");
    let store = RedisStore::connect(redis_store::Options {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        password: None,
        node_id: "node".to_owned(),
    });
    let store = store.await.expect("it answers");
    (server, store)
}

fn value_of(size: usize) -> Write {
    Write::put(Table::DataAnswer, "r", vec![b'x'; size])
}

/// A job whose commit has a value of this size: why it is refused.
async fn refusal(store: &RedisStore, size: usize) -> String {
    let job = accept_job(store, job("k")).await;
    let attempt = Attempt {
        job: job.id(),
        number: 1,
    };
    let mut commit = Commit::nothing();
    commit.write(value_of(size));
    let accept = Accept {
        writes: vec![value_of(size)],
        ..Accept::default()
    };
    let (committed, accepted) =
        tokio::join!(store.commit(attempt, commit.into()), store.accept(accept));
    for error in [committed.err(), accepted.err()] {
        assert!(matches!(error, Some(StoreError::TooLarge(_))), "{error:?}");
    }
    // The job can be parked, and everything else goes on.
    assert_eq!(store.park(attempt, "too large").await, Ok(true));
    let mut small = Commit::nothing();
    small.write(value_of(MIB / 2));
    let next = accept_job(store, self::job("other")).await;
    let attempt = Attempt {
        job: next.id(),
        number: 1,
    };
    store.commit(attempt, small.into()).await.expect("it fits");
    let found = store.get(Table::DataAnswer, "r", "").await;
    assert_eq!(
        found.map(|value| value.map(|value| value.len())),
        Ok(Some(MIB / 2))
    );
    let mut commit = Commit::nothing();
    commit.write(value_of(size));
    match store.commit(attempt, commit.into()).await {
        Err(StoreError::TooLarge(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_above_the_limit_of_redis_is_refused_with_the_setting() {
    let (_server, store) = start(&["--proto-max-bulk-len", "1mb"]).await;
    let why = refusal(&store, 2 * MIB).await;
    assert!(why.contains("proto-max-bulk-len"), "{why}");
    assert!(why.contains(&MIB.to_string()), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_redis_does_not_tell_is_found_out() {
    let secret = ["--rename-command", "CONFIG", ""];
    let (_server, store) = start(&[&secret[..], &["--proto-max-bulk-len", "1mb"]].concat()).await;
    let why = refusal(&store, 2 * MIB).await;
    assert!(why.contains("proto-max-bulk-len"), "{why}");
    let limit = ["--client-query-buffer-limit", "1mb"];
    let (_server, store) = start(&[&secret[..], &limit].concat()).await;
    let why = refusal(&store, 3 * MIB).await;
    assert!(why.contains("client-query-buffer-limit"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_above_the_limit_of_redis_is_refused_with_the_setting() {
    let (_server, store) = start(&["--client-query-buffer-limit", "2mb"]).await;
    let why = refusal(&store, 3 * MIB).await;
    assert!(why.contains("client-query-buffer-limit"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_larger_than_all_memory_of_redis_is_refused_with_the_setting() {
    let (_server, store) = start(&["--maxmemory", "8mb"]).await;
    let accept = |size| Accept {
        writes: vec![value_of(size)],
        ..Accept::default()
    };
    match store.accept(accept(9 * MIB)).await {
        Err(StoreError::TooLarge(why)) => assert!(why.contains("maxmemory"), "{why}"),
        other => panic!("{other:?}"),
    }
    // Redis keeps the memory of the refused command for a moment.
    eventually(|| async { store.accept(accept(MIB / 2)).await.is_ok() }).await;
}

/// Nobody can tell a server that is restarted from one that refuses, by one
/// connection that broke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_is_an_outage_also_for_large_commands() {
    let (mut server, store) = start(&["--rename-command", "CONFIG", ""]).await;
    let large = || Accept {
        writes: vec![value_of(2 * MIB)],
        ..Accept::default()
    };
    store.accept(large()).await.expect("it fits");
    server.kill9().expect("it was there");
    let error = store.accept(large()).await.err();
    assert!(
        matches!(error, Some(StoreError::Unavailable(_))),
        "{error:?}"
    );
    server.restart().expect("it starts again");
    eventually(|| async { store.accept(large()).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_another_type_is_unreadable_and_named() {
    let (server, store) = start(&[]).await;
    let client = ::redis::Client::open(("127.0.0.1", server.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut damage = ::redis::cmd("SET");
    damage.arg("{erawan:node}:s:request_data:rp1/r").arg("?");
    damage.exec_async(&mut connection).await.unwrap();
    let one = store.get(Table::RequestData, "rp1/r", "").await.map(|_| ());
    let all = store.columns(Table::RequestData, "rp1/r").await.map(|_| ());
    for read in [one, all] {
        match read {
            Err(StoreError::Corrupt(what)) => {
                assert!(what.contains("request_data rp1/r"), "{what}")
            }
            other => panic!("{other:?}"),
        }
    }
}
