//! Processes told to stop under load.

use std::time::Duration;

use erawan::devnet::network::NodeProcess;
use nix::sys::signal::Signal;

use crate::network::*;

const REQUESTS: u64 = 40;
/// More than `SHUTDOWN_GRACE_MS`.
const GRACE: Duration = Duration::from_secs(28);

async fn stops_in_good_order(part: &mut NodeProcess) {
    part.process.signal(Signal::SIGTERM);
    let status = tokio::time::timeout(GRACE, part.process.wait()).await;
    let status = status.expect("it stops").unwrap();
    assert_eq!(status.code(), Some(0), "{}", part.process.name());
}

async fn a_worker_and_the_master_are_stopped(store: Store) {
    let mut net = Net::start(store, 2).await;
    let apps = net.apps().await;
    let stops = async {
        for (index, role) in ROLES.into_iter().enumerate() {
            verified(&apps, 5 + 8 * index as u64).await;
            let mut worker = net.processes(role).pop().unwrap();
            stops_in_good_order(&mut worker).await;
            let master = &mut net.processes(role)[0];
            stops_in_good_order(master).await;
            start_again(master);
        }
        assert!(apps.totals().verified < REQUESTS, "stopped too late");
    };
    tokio::join!(drive(&apps, REQUESTS), stops);
    assert_all_verified(&apps, REQUESTS);
    net.end(apps).await;
}

#[actix_web::test]
async fn workers_and_masters_stop_in_good_order_under_load_with_the_embedded_store() {
    a_worker_and_the_master_are_stopped(Store::Embedded).await;
}

#[actix_web::test]
async fn workers_and_masters_stop_in_good_order_under_load_with_redis() {
    a_worker_and_the_master_are_stopped(Store::Redis).await;
}
