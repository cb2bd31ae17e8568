//! Redis handed over to a replica under load.

use erawan::devnet::network::StoreOption;
use erawan::devnet::redis_server::{self, Durability, RedisServer};
use redis::aio::MultiplexedConnection;

use crate::cable::Cable;
use crate::network::*;

fn server() -> RedisServer {
    RedisServer::start(redis_server::Options {
        durability: Durability::Always,
        ..Default::default()
    })
    .unwrap()
}

async fn connect(server: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(("127.0.0.1", server.port())).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn tell(connection: &mut MultiplexedConnection, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.exec_async(connection).await.unwrap();
}

/// A number of `INFO replication`.
async fn replication(connection: &mut MultiplexedConnection, name: &str) -> Option<u64> {
    let mut command = redis::cmd("INFO");
    let info: String = command
        .arg("replication")
        .query_async(connection)
        .await
        .ok()?;
    let mut values = info.lines().filter_map(|line| line.split_once(':'));
    values.find(|(key, _)| *key == name)?.1.trim().parse().ok()
}

/// As an operator (or Sentinel's `failover`) does it: writes are held back until
/// the replica has all of them. What a fail-over without that loses is lost.
#[actix_web::test]
async fn no_request_is_lost_when_redis_is_handed_over_to_its_replica() {
    let (primary, replica) = (server(), server());
    let (mut old, mut new) = (connect(&primary).await, connect(&replica).await);
    let port = primary.port().to_string();
    tell(&mut new, &["REPLICAOF", "127.0.0.1", &port]).await;
    let cable = Cable::to(primary.port()).await;
    let net = Net::with(Store::Embedded, 2, |options| {
        options.masters = 2;
        options.store = StoreOption::RedisAt {
            host: "127.0.0.1".to_owned(),
            port: cable.port,
            password: None,
        };
    })
    .await;
    let apps = net.apps().await;
    let hands_over = async {
        verified(&apps, 8).await;
        tell(&mut old, &["CLIENT", "PAUSE", "60000", "WRITE"]).await;
        let all = replication(&mut old, "master_repl_offset").await;
        eventually("the replica has everything", || {
            let mut replica = new.clone();
            async move { replication(&mut replica, "slave_repl_offset").await >= all }
        })
        .await;
        tell(&mut new.clone(), &["REPLICAOF", "NO", "ONE"]).await;
        cable.lead_to(replica.port());
    };
    under_load(&apps, hands_over).await;
    net.end(apps).await;
}
