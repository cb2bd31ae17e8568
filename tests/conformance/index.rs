//! Tables with an index in Redis: what an earlier release wrote without one is
//! found, and after that nothing walks through all keys.

use erawan::devnet::redis_server::{Options, RedisServer};
use erawan::job::{Table, Write};
use erawan::store::{Accept, State};

use crate::harness::*;

/// How often all keys were walked through since the last look, in steps.
async fn scans(connection: &mut redis::aio::MultiplexedConnection) -> usize {
    let mut info = redis::cmd("INFO");
    let info = info.arg("commandstats");
    let text: String = info.query_async(connection).await.expect("INFO");
    let reset = redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .exec_async(connection)
        .await;
    reset.expect("RESETSTAT");
    let scans = text
        .lines()
        .filter(|line| line.starts_with("cmdstat_scan:"));
    scans.count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_completed_once_and_then_nothing_is_walked_through() {
    let server = RedisServer::start(Options::default()).expect("redis-server starts");
    let store = connect_redis(&server).await.expect("redis is up");
    let client = redis::Client::open(("127.0.0.1", server.port())).expect("a client");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("redis is up");
    let writes = (0..2500).map(|row| Write::put(Table::RequestData, format!("rp1/{row}"), vec![1]));
    let accept = Accept {
        writes: writes.collect(),
        ..Accept::default()
    };
    accept_all(&store, accept).await;
    // As an earlier release left it.
    let mut forget = redis::cmd("DEL");
    forget.arg("{erawan:node*[1]}:s:request_data:#rows");
    let forgotten: u64 = forget.query_async(&mut connection).await.expect("DEL");
    assert_eq!(forgotten, 1, "there was an index");
    let after = Accept {
        writes: vec![Write::put(Table::RequestData, "rp1/new", vec![1])],
        ..Accept::default()
    };
    accept_all(&store, after).await;
    assert_eq!(
        store.rows(Table::RequestData, "").await.unwrap().len(),
        2501
    );
    assert_eq!(scans(&mut connection).await, 1, "it was looked for once");
    for _ in 0..3 {
        assert_eq!(
            store.rows(Table::RequestData, "").await.unwrap().len(),
            2501
        );
    }
    assert_eq!(scans(&mut connection).await, 0);
}
