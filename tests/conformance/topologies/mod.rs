//! Redis as people run it: behind TLS and ACLs, Sentinels, or as a cluster, each
//! with real servers; and what becomes of acknowledged jobs when a server dies.

mod certificates;
mod cluster;
mod contract;
mod failover;
mod guarded;
mod load;
mod migration;
mod passwords;
mod sentinels;

use erawan::config::{Redis, RedisAddress};
use erawan::devnet::redis_server::{self, Durability, RedisServer};
use erawan::store::redis::{RedisStore, RedisTarget};
use redis::{FromRedisValue, RedisResult};

const NODE: &str = "node*[1]";

pub fn server(durability: Durability, arguments: &[&str]) -> RedisServer {
    let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
    RedisServer::start(redis_server::Options {
        durability,
        arguments,
        ..Default::default()
    })
    .expect("redis-server starts")
}

pub fn address(server: &RedisServer) -> RedisAddress {
    RedisAddress {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
    }
}

pub async fn connect(redis: Redis) -> RedisStore {
    erawan::node::kinds::give();
    let node_id = NODE.to_owned();
    let store = RedisStore::connect(RedisTarget { redis, node_id }).await;
    store.expect("Redis is found")
}

/// A server's answer to words.
pub async fn asked<T: FromRedisValue>(
    server: &RedisServer,
    password: Option<&str>,
    words: &[&str],
) -> RedisResult<T> {
    let login = password.map_or_else(String::new, |password| format!(":{password}@"));
    let client = redis::Client::open(format!("redis://{login}127.0.0.1:{}", server.port()))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await
}

/// A field of INFO.
pub async fn field(server: &RedisServer, name: &str) -> Option<String> {
    let info: String = asked(server, None, &["INFO"]).await.ok()?;
    let mut lines = info.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.map(str::to_owned)
}
