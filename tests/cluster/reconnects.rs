//! What a reconnect of the ledger costs a node's Redis.

use std::collections::BTreeMap;

use erawan::context::Role;
use redis::aio::MultiplexedConnection;

use crate::network::*;

const RECONNECTS: u64 = 10;
/// Keys of the node beside those of its work; another number by the variable
/// `KEYS_IN_REDIS`.
const KEYS: u64 = 200_000;
const PORTION: u64 = 20_000;
/// The index of the table that a reconnect looks through.
const INDEX: &str = "{erawan:rp1}:s:disabled_transaction:#rows";

/// Calls of each command since the last reset.
async fn calls(connection: &mut MultiplexedConnection) -> BTreeMap<String, u64> {
    let mut info = redis::cmd("INFO");
    let text: String = info
        .arg("commandstats")
        .query_async(connection)
        .await
        .unwrap();
    let call = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    text.lines().filter_map(call).collect()
}

async fn count(connection: &mut MultiplexedConnection, command: &str) -> u64 {
    let calls = calls(connection).await;
    calls.get(command).copied().unwrap_or(0)
}

async fn fill(connection: &mut MultiplexedConnection, keys: u64) {
    const CODE: &str = "for row = ARGV[1], ARGV[2] do \
        redis.call('HSET', KEYS[1] .. string.format('%d', row), '', 'x') end";
    for first in (0..keys).step_by(PORTION as usize) {
        let mut fill = redis::cmd("EVAL");
        fill.arg(CODE).arg(1).arg("{erawan:rp1}:s:as_data:rp1/");
        fill.arg(first).arg(keys.min(first + PORTION) - 1);
        fill.exec_async(connection).await.unwrap();
    }
}

/// Breaks the node's connections to the ledger, and waits until its master has
/// looked for what it owes.
async fn reconnect(net: &mut Net, connection: &mut MultiplexedConnection) {
    let before = count(connection, "hkeys").await;
    let mut switches = net.network.ledger_switches.iter();
    let (_, switch) = switches.find(|(node, _)| node == "rp1").unwrap();
    switch.point_at(switch.target());
    let looks = || {
        let mut connection = connection.clone();
        async move { count(&mut connection, "hkeys").await > before }
    };
    eventually("the master has looked", looks).await;
    is_well(&net.processes(Role::Rp)[0]).await;
}

/// Commands that so many reconnects cost, by name.
async fn cost(net: &mut Net, connection: &mut MultiplexedConnection) -> BTreeMap<String, u64> {
    let reset = redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .exec_async(connection)
        .await;
    reset.unwrap();
    for _ in 0..RECONNECTS {
        reconnect(net, connection).await;
    }
    calls(connection).await
}

#[actix_web::test]
async fn a_reconnect_of_the_ledger_costs_redis_the_same_however_many_keys_there_are() {
    let keys = std::env::var("KEYS_IN_REDIS").map_or(KEYS, |keys| keys.parse().unwrap());
    let mut net = Net::with(Store::Redis, 0, |options| options.ledger_switches = true).await;
    for role in ROLES {
        ready(vec![net.api(role)]).await;
    }
    let port = net.redis.as_ref().unwrap().port();
    let client = redis::Client::open(("127.0.0.1", port)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    // The first look of a store's life walks through everything.
    reconnect(&mut net, &mut connection).await;
    let few = cost(&mut net, &mut connection).await;
    fill(&mut connection, keys).await;
    let size: u64 = redis::cmd("DBSIZE")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(size >= keys);
    let many = cost(&mut net, &mut connection).await;
    println!("{RECONNECTS} reconnects, few keys: {few:?}");
    println!("{RECONNECTS} reconnects, {size} keys: {many:?}");
    for (name, calls) in [("few", &few), ("many", &many)] {
        for command in ["scan", "keys", "hscan", "sscan", "zscan"] {
            assert_eq!(calls.get(command), None, "{name}: {command}");
        }
        let looks = calls["hkeys"];
        let bound = RECONNECTS..=4 * RECONNECTS;
        assert!(bound.contains(&looks), "{name}: {looks} looks");
    }

    // That a walk would have been seen.
    let mut forget = redis::cmd("DEL");
    forget.arg(INDEX).exec_async(&mut connection).await.unwrap();
    reconnect(&mut net, &mut connection).await;
    let walks = || {
        let mut connection = connection.clone();
        async move { count(&mut connection, "scan").await >= keys / 1000 }
    };
    eventually("the walk is counted", walks).await;
    net.close().await;
}
