//! The slot of a node's keys is given to another node of the cluster while jobs
//! are accepted.

use super::cluster::{Nodes, does, id};
use super::contract::Topology;
use super::load::Load;
use super::{asked, connect};
use crate::harness::*;

/// While some keys are here and some are there, nothing is done by halves:
/// scripts are refused. Then everything goes on at the new owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_moved_under_load_takes_everything_along() {
    let nodes = Nodes::begin().await;
    let from = &nodes.writers[nodes.owner];
    let to = &nodes.writers[(nodes.owner + 1) % 3];
    let slot = nodes.slot.to_string();
    let mut load = Load::begin(&nodes.redis()).await;
    load.go_on_for(200).await;

    let (source, target) = (id(from).await, id(to).await);
    does(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]).await;
    does(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]).await;
    load.meet_a_refusal().await;
    let port = to.port().to_string();
    loop {
        let some = ["CLUSTER", "GETKEYSINSLOT", &slot, "20"];
        let keys: Vec<Vec<u8>> = asked(from, None, &some).await.unwrap();
        if keys.is_empty() {
            break;
        }
        let client = redis::Client::open(("127.0.0.1", from.port())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(&port).arg("").arg(0).arg(5000);
        migrate.arg("KEYS").arg(&keys);
        migrate.exec_async(&mut connection).await.unwrap();
    }
    let halfway = load.acknowledged();
    load.meet_a_refusal().await;
    assert_eq!(
        load.acknowledged(),
        halfway,
        "nothing is accepted meanwhile"
    );
    for node in [to, from] {
        does(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]).await;
    }
    load.go_on_for(200).await;
    load.end().await;
    let open = load.open().await;
    assert_eq!(load.acknowledged().difference(&open).count(), 0);
    assert_eq!(load.setbacks(), 0);
    let later = connect(nodes.redis()).await;
    accept_job(&later, job("k")).await;
}
