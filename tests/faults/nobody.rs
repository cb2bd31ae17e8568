//! (f) No worker is available.

use std::time::Duration;

use erawan::context::Role;
use erawan::devnet::network::NodeProcess;
use erawan::job::Job;
use erawan::messaging::{inbound, to_role};
use futures_util::future::join_all;
use nix::sys::signal::Signal;

use crate::look::{has, store_of};
use crate::network::*;

/// How long there is no worker, unless something comes sooner.
const ALONE: Duration = Duration::from_secs(3);
/// How often it is tried whether something comes.
const TRIES: usize = 20;

/// A message of another node, opened or not.
fn is_message(job: &Job) -> bool {
    let kinds = [
        inbound::RECEIVE,
        to_role::CONSENT_REQUEST,
        to_role::DATA_REQUEST,
        to_role::IDP_RESPONSE,
        to_role::AS_RESPONSE,
    ];
    kinds.contains(&job.kind())
}

async fn height_seen(master: &NodeProcess) -> Option<f64> {
    metric(master, "ledger_block_height").await
}

fn signal_idps_workers(net: &mut Net, signal: Signal) {
    for worker in &net.processes(Role::Idp)[1..] {
        worker.process.signal(signal);
    }
}

/// Stops the IdP's workers, and waits until they have left a request undone.
async fn hold_up_the_idp(net: &mut Net) {
    signal_idps_workers(net, Signal::SIGSTOP);
    let store = store_of(net, Role::Idp).await;
    let has_one = || async { has(&store, is_message).await };
    eventually("a request waits at the IdP", has_one).await;
}

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
                // Without workers the RP begins nothing: what comes to it then
                // must be on its way, on a fast machine too.
                if role == Role::Rp {
                    hold_up_the_idp(&mut net).await;
                }
                let before = height_seen(&net.processes(role)[0]).await;
                join_all(net.processes(role)[1..].iter_mut().map(kill)).await;
                if role == Role::Rp {
                    signal_idps_workers(&mut net, Signal::SIGCONT);
                }
                let master = &net.processes(role)[0];
                let arrive = || async {
                    height_seen(master).await > before && has(&store, is_message).await
                };
                came = within(ALONE, arrive).await;
                net.processes(role)[1..].iter_mut().for_each(start_again);
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
