//! (f) No worker is available.

use std::time::Duration;

use erawan::job::{Job, Kind};
use erawan::node::Role;
use futures_util::future::join_all;

use crate::look::{has, store_of};
use crate::network::*;

/// How long there is no worker, unless something comes sooner.
const ALONE: Duration = Duration::from_secs(3);
/// How often it is tried whether something comes.
const TRIES: usize = 20;

/// Messages (F21), blocks (F22) and handed-back work (F23) arrive meanwhile, and
/// jobs become ready (F02).
#[actix_web::test]
async fn f02_f21_f22_f23_a_master_without_workers_waits_and_loses_nothing() {
    let mut net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let kills = async {
        for (index, role) in [Role::Idp, Role::Rp, Role::As].into_iter().enumerate() {
            verified(&apps, 3 + 6 * index as u64).await;
            let store = store_of(&net, role).await;
            let mut came = false;
            // It depends on where the requests are just then.
            for _ in 0..TRIES {
                let (master, workers) = net.processes(role).split_first_mut().unwrap();
                let seen = async || metric(master, "ledger_block_height").await;
                let before = seen().await;
                join_all(workers.iter_mut().map(kill)).await;
                let is_message = |job: &Job| job.kind() == Kind::MqReceive;
                let arrive = || async { seen().await > before && has(&store, is_message).await };
                came = within(ALONE, arrive).await;
                workers.iter_mut().for_each(start_again);
                if came {
                    break;
                }
                verified(&apps, apps.totals().verified + 1).await;
            }
            assert!(
                came,
                "no message and no block came while there was no worker"
            );
        }
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}
