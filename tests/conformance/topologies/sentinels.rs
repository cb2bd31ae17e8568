//! A server, its replicas, and three Sentinels with a password of their own.

use std::collections::HashMap;
use std::sync::{LazyLock, Weak};

use async_trait::async_trait;
use erawan::config::{Redis, RedisPlace, SentinelLogin};
use erawan::devnet::redis_server::{self, Durability, RedisServer};
use tokio::sync::Mutex;

use super::contract::Topology;
use super::{address, asked, field, server};
use crate::harness::eventually;

const GROUP: &str = "main";
const PASSWORD: &str = "of-sentinels";

pub struct Sentinels {
    pub writer: RedisServer,
    pub replicas: Vec<RedisServer>,
    watchers: Vec<RedisServer>,
}

fn watcher(port: u16) -> RedisServer {
    let configuration = format!(
        "requirepass {PASSWORD}\n\
         sentinel monitor {GROUP} 127.0.0.1 {port} 2\n\
         sentinel down-after-milliseconds {GROUP} 600\n\
         sentinel failover-timeout {GROUP} 3000\n"
    );
    RedisServer::start(redis_server::Options {
        sentinel: Some(configuration),
        ..Default::default()
    })
    .expect("a Sentinel starts")
}

/// Whether a Sentinel sees the others and the replicas.
async fn sees_all(watcher: &RedisServer, replicas: usize) -> bool {
    let words = ["SENTINEL", "MASTER", GROUP];
    let seen: Result<HashMap<String, String>, _> = asked(watcher, Some(PASSWORD), &words).await;
    seen.is_ok_and(|seen| {
        seen["num-other-sentinels"] == "2" && seen["num-slaves"] == replicas.to_string()
    })
}

impl Sentinels {
    pub async fn with_replicas(number: usize) -> Self {
        let quick = ["--repl-diskless-sync-delay", "0"];
        let writer = server(Durability::EverySecond, &quick);
        let port = writer.port().to_string();
        let follow = ["--replicaof", "127.0.0.1", &port];
        let follow = [&quick[..], &follow].concat();
        let replicas = (0..number).map(|_| server(Durability::EverySecond, &follow));
        let replicas: Vec<_> = replicas.collect();
        for replica in &replicas {
            let link = || field(replica, "master_link_status");
            eventually(|| async { link().await.as_deref() == Some("up") }).await;
        }
        let watchers: Vec<_> = (0..3).map(|_| watcher(writer.port())).collect();
        for watcher in &watchers {
            eventually(|| sees_all(watcher, number)).await;
        }
        Self {
            writer,
            replicas,
            watchers,
        }
    }

    /// Whether one of the replicas takes writes now.
    pub async fn has_new_writer(&self) -> bool {
        for replica in &self.replicas {
            if field(replica, "role").await.as_deref() == Some("master") {
                return true;
            }
        }
        false
    }
}

#[async_trait]
impl Topology for Sentinels {
    async fn begin() -> Self {
        Self::with_replicas(1).await
    }

    fn redis(&self) -> Redis {
        let addresses: Vec<_> = self.watchers.iter().map(address).collect();
        Redis {
            place: RedisPlace::Sentinels {
                group: GROUP.to_owned(),
                login: SentinelLogin {
                    password: Some(PASSWORD.to_owned().into()),
                    ..SentinelLogin::default()
                },
                addresses: addresses.clone(),
            },
            ..Redis::at(addresses[0].host.clone(), addresses[0].port)
        }
    }

    fn shared() -> &'static Mutex<Weak<Self>> {
        static SHARED: LazyLock<Mutex<Weak<Sentinels>>> = LazyLock::new(Mutex::default);
        &SHARED
    }
}
