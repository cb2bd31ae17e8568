//! A server is killed while jobs are accepted, and its replica takes over.

use std::collections::BTreeSet;
use std::time::Duration;

use erawan::config::{Redis, ReplicaPromise};
use erawan::devnet::redis_server::RedisServer;
use erawan::job::{Epoch, JobId};
use erawan::store::{Lease, Store};

use super::cluster::Nodes;
use super::contract::Topology;
use super::load::Load;
use super::sentinels::Sentinels;
use super::{asked, field};
use crate::harness::*;

async fn epoch_of(store: &dyn Store) -> Epoch {
    let long = Duration::from_secs(60);
    match store.acquire_lease("master", long, ANY).await.unwrap() {
        Lease::Held { epoch } => epoch,
        lease => panic!("{lease:?}"),
    }
}

/// Waits until the replica has everything.
async fn has_followed(writer: &RedisServer, replica: &RedisServer) {
    let has_all = || async {
        let wrote = field(writer, "master_repl_offset").await;
        wrote.is_some() && wrote == field(replica, "slave_repl_offset").await
    };
    eventually(has_all).await;
}

fn with_promise(redis: Redis) -> Redis {
    let promise = ReplicaPromise {
        replicas: 1,
        patience: Duration::from_secs(1),
    };
    Redis {
        promise: Some(promise),
        ..redis
    }
}

/// What the replica had is there, what it lacked is lost and said, and nothing
/// else happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_what_the_replica_lacked_and_says_so() {
    let mut sentinels = Sentinels::begin().await;
    let mut before = Load::begin(&sentinels.redis()).await;
    let epoch = epoch_of(&*before.stores[0]).await;
    before.go_on_for(300).await;
    before.end().await;
    let kept = before.acknowledged();
    has_followed(&sentinels.writer, &sentinels.replicas[0]).await;
    assert_eq!(before.setbacks(), 0);

    // From here on, the replica hears nothing, and what is accepted is known to
    // the server alone.
    sentinels.replicas[0].freeze().unwrap();
    let kill = ["CLIENT", "KILL", "TYPE", "replica"];
    let killed: u64 = asked(&sentinels.writer, None, &kill).await.unwrap();
    assert_eq!(killed, 1);
    let mut load = Load::begin(&sentinels.redis()).await;
    load.go_on_for(50).await;
    sentinels.writer.kill9().unwrap();
    let alone = load.acknowledged();
    sentinels.replicas[0].thaw().unwrap();
    load.meet_a_refusal().await;
    load.go_on_for(300).await;
    load.end().await;

    let open = load.open().await;
    let missing = |acknowledged: &BTreeSet<JobId>| acknowledged.difference(&open).count();
    assert_eq!(missing(&kept), 0, "the replica had them");
    let all = load.acknowledged();
    assert_eq!(
        missing(&all),
        missing(&alone),
        "only what the server alone knew"
    );
    assert_eq!(missing(&alone), alone.len());
    // Every process that knew of a lost job says so, once.
    for store in &load.stores {
        assert_eq!(store.setbacks(), 1);
    }
    // And one that knew of none says nothing.
    assert!(epoch_of(&*before.stores[0]).await > epoch);
    before.stores[0].counts().await.unwrap();
    assert_eq!(before.setbacks(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_replicas_that_acknowledge_a_failover_of_sentinels_loses_nothing() {
    let mut sentinels = Sentinels::with_replicas(2).await;
    let mut load = Load::begin(&with_promise(sentinels.redis())).await;
    load.go_on_for(300).await;
    sentinels.writer.kill9().unwrap();
    load.meet_a_refusal().await;
    eventually(|| sentinels.has_new_writer()).await;
    load.go_on_for(300).await;
    load.end().await;
    let open = load.open().await;
    assert_eq!(load.acknowledged().difference(&open).count(), 0);
    assert_eq!(load.setbacks(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_replicas_that_acknowledge_a_failover_of_a_cluster_loses_nothing() {
    let mut nodes = Nodes::begin_with("2000").await;
    let mut load = Load::begin(&with_promise(nodes.redis())).await;
    load.go_on_for(300).await;
    let owner = nodes.owner;
    nodes.writers[owner].kill9().unwrap();
    load.meet_a_refusal().await;
    let is_promoted = || async { field(&nodes.replica, "role").await.as_deref() == Some("master") };
    eventually(is_promoted).await;
    nodes.writers[owner].restart().unwrap();
    load.go_on_for(300).await;
    load.end().await;
    let open = load.open().await;
    assert_eq!(load.acknowledged().difference(&open).count(), 0);
    assert_eq!(load.setbacks(), 0);
}

/// While too few replicas follow, calls are refused before anything is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_replicas_a_node_that_waits_for_them_stores_nothing_more() {
    let mut sentinels = Sentinels::begin().await;
    let store = super::connect(with_promise(sentinels.redis())).await;
    accept_job(&store, job("k")).await;
    sentinels.replicas[0].kill9().unwrap();
    let refused = store.accept(accept_of(vec![job("k")])).await;
    assert!(refused.is_err(), "{refused:?}");
    let open = store.counts().await.unwrap().open;
    for _ in 0..3 {
        let refused = store.accept(accept_of(vec![job("k")])).await;
        let text = refused.err().unwrap().to_string();
        assert!(text.contains("DB_MIN_REPLICAS_TO_ACK"), "{text}");
        assert!(store.ping().await.is_err());
    }
    assert_eq!(store.counts().await.unwrap().open, open);
    sentinels.replicas[0].restart().unwrap();
    eventually(|| async { store.ping().await.is_ok() }).await;
    accept_job(&store, job("k")).await;
}
