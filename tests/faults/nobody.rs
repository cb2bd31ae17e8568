//! (f) No worker is available.

use std::time::Duration;

use erawan::node::Role;
use futures_util::future::join_all;

use crate::network::*;

/// How long there is no worker at all.
const ALONE: Duration = Duration::from_millis(1500);

/// Messages (F21), blocks (F22) and handed-back work (F23) arrive meanwhile, and
/// jobs become ready (F02).
#[actix_web::test]
async fn f02_f21_f22_f23_a_master_without_workers_waits_and_loses_nothing() {
    let mut net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let kills = async {
        for (index, role) in [Role::Idp, Role::Rp, Role::As].into_iter().enumerate() {
            verified(&apps, 3 + 6 * index as u64).await;
            let workers = &mut net.processes(role)[1..];
            join_all(workers.iter_mut().map(kill)).await;
            tokio::time::sleep(ALONE).await;
            workers.iter_mut().for_each(start_again);
        }
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}
