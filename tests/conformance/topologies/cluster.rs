//! A cluster of three nodes, and a replica of the one that owns the keys.

use std::sync::{LazyLock, Weak};

use async_trait::async_trait;
use erawan::config::{Redis, RedisPlace};
use erawan::devnet::ports;
use erawan::devnet::redis_server::{Durability, RedisServer};
use tokio::sync::Mutex;

use super::contract::Topology;
use super::{NODE, address, asked, field, server};
use crate::harness::eventually;

const RANGES: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

pub struct Nodes {
    pub writers: Vec<RedisServer>,
    pub replica: RedisServer,
    /// Which of them owns the keys.
    pub owner: usize,
    pub slot: u16,
}

fn node(patience: &str) -> RedisServer {
    let bus = ports::free().unwrap().to_string();
    server(
        Durability::EverySecond,
        &[
            &["--cluster-enabled", "yes", "--cluster-port", &bus][..],
            &["--cluster-node-timeout", patience],
            &["--repl-diskless-sync-delay", "0"],
            // One that was cut off for a moment may be made the owner.
            &["--cluster-replica-validity-factor", "0"],
        ]
        .concat(),
    )
}

pub async fn id(node: &RedisServer) -> String {
    asked(node, None, &["CLUSTER", "MYID"]).await.unwrap()
}

pub async fn does(node: &RedisServer, words: &[&str]) {
    let _: redis::Value = asked(node, None, words).await.unwrap();
}

impl Nodes {
    fn all(&self) -> impl Iterator<Item = &RedisServer> {
        self.writers.iter().chain([&self.replica])
    }

    /// Waits until every node's answer to `CLUSTER NODES` is like this.
    async fn see(&self, is_so: impl Fn(&str) -> bool) {
        for node in self.all() {
            let seen = || asked::<String>(node, None, &["CLUSTER", "NODES"]);
            eventually(|| async { seen().await.is_ok_and(|nodes| is_so(&nodes)) }).await;
        }
    }
}

impl Nodes {
    /// `patience`: milliseconds after which a silent owner is replaced.
    pub async fn begin_with(patience: &str) -> Self {
        let writers: Vec<_> = RANGES.iter().map(|_| node(patience)).collect();
        let key = format!("{{erawan:{NODE}}}:");
        let keyslot = ["CLUSTER", "KEYSLOT", &key];
        let slot: u16 = asked(&writers[0], None, &keyslot).await.unwrap();
        let is_in = |(first, last): &(u16, u16)| (*first..=*last).contains(&slot);
        let nodes = Self {
            owner: RANGES.iter().position(is_in).unwrap(),
            writers,
            replica: node(patience),
            slot,
        };
        for (index, (node, (first, last))) in nodes.writers.iter().zip(RANGES).enumerate() {
            let (first, last) = (first.to_string(), last.to_string());
            does(
                node,
                &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()],
            )
            .await;
            does(node, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await;
        }
        for node in nodes.all().skip(1) {
            let (port, bus) = (node.port().to_string(), bus_port(node).await.to_string());
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, &bus];
            does(&nodes.writers[0], &meet).await;
        }
        let is_met = |line: &&str| line.contains(" connected") && !line.contains("handshake");
        nodes
            .see(|seen| seen.lines().filter(is_met).count() == 4)
            .await;
        let owner = id(&nodes.writers[nodes.owner]).await;
        does(&nodes.replica, &["CLUSTER", "REPLICATE", &owner]).await;
        nodes.see(|seen| seen.contains("slave")).await;
        for node in nodes.all() {
            let info = || asked::<String>(node, None, &["CLUSTER", "INFO"]);
            let is_ok = |info: String| info.contains("cluster_state:ok");
            eventually(|| async { info().await.is_ok_and(is_ok) }).await;
        }
        let link = || field(&nodes.replica, "master_link_status");
        eventually(|| async { link().await.as_deref() == Some("up") }).await;
        nodes
    }
}

#[async_trait]
impl Topology for Nodes {
    /// On a busy machine a node may be silent for seconds. Nobody takes over for
    /// that: what it had not replicated would be lost.
    async fn begin() -> Self {
        Self::begin_with("60000").await
    }

    fn redis(&self) -> Redis {
        let others = self.writers.iter().enumerate();
        let others = others.filter(|(index, _)| *index != self.owner);
        // The owner has to be found.
        let seeds: Vec<_> = others.map(|(_, node)| address(node)).collect();
        Redis {
            place: RedisPlace::Cluster(seeds.clone()),
            ..Redis::at(seeds[0].host.clone(), seeds[0].port)
        }
    }

    fn shared() -> &'static Mutex<Weak<Self>> {
        static SHARED: LazyLock<Mutex<Weak<Nodes>>> = LazyLock::new(Mutex::default);
        &SHARED
    }
}

async fn bus_port(node: &RedisServer) -> u16 {
    let words = ["CONFIG", "GET", "cluster-port"];
    let found: Vec<(String, u16)> = asked(node, None, &words).await.unwrap();
    found[0].1
}
