//! (b), (h) The connection to the ledger drops, and masters die meanwhile.

use std::time::Duration;

use erawan::context::Role;
use erawan::job::Job;

use crate::look::{has, height, store_of};
use crate::network::*;
use crate::proxy::{Proxy, restart_with};

/// F26: sockets close with transactions under way. F27: no socket is left. F28:
/// the ledger accepts and never answers. F29, F30: blocks and their results
/// cannot be read. F31: the subscription ends.
#[actix_web::test]
async fn f26_f27_f28_f29_f30_f31_a_ledger_link_that_breaks_loses_and_doubles_nothing() {
    let mut net = Net::start(Store::Redis, 1).await;
    let ledger = Proxy::start(net.network.ledger.clone()).await;
    for role in ROLES {
        for part in net.processes(role).iter_mut() {
            restart_with(part, &[("TENDERMINT_PORT", ledger.port.to_string())]).await;
        }
    }
    let apps = net.apps().await;
    let breaks = async {
        verified(&apps, 3).await;
        for _ in 0..10 {
            ledger.cut();
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        ledger.take_down();
        tokio::time::sleep(Duration::from_secs(2)).await;
        ledger.heal();
        tokio::time::sleep(Duration::from_millis(500)).await;
        ledger.swallow();
        tokio::time::sleep(Duration::from_secs(4)).await;
        ledger.heal();
        ledger.swallow_answers();
        tokio::time::sleep(Duration::from_secs(1)).await;
        ledger.cut();
        ledger.heal();
    };
    under_load(&apps, breaks).await;
    net.end(apps).await;
}

/// F04: queued and running jobs. F06, F07: blocks and messages that wait for
/// them: the masters see no block until messages wait and a block was missed,
/// and are killed. F09: what was sent before is not made a second time.
#[actix_web::test]
async fn f04_f06_f07_f09_masters_killed_while_messages_wait_for_blocks_lose_nothing() {
    let mut net = Net::start(Store::Redis, 1).await;
    let to_rp = Proxy::start(net.network.ledger.clone()).await;
    let to_others = Proxy::start(net.network.ledger.clone()).await;
    for role in ROLES {
        let proxy = if role == Role::Rp { &to_rp } else { &to_others };
        let master = &mut net.processes(role)[0];
        restart_with(master, &[("TENDERMINT_PORT", proxy.port.to_string())]).await;
    }
    let apps = net.apps().await;
    let idp = store_of(&net, Role::Idp).await;
    let kills = async {
        for _ in 0..3 {
            // The masters of the round before are back.
            for role in ROLES {
                let master = &net.processes(role)[0];
                let leads = || async { metric(master, "erawan_is_master").await == Some(1.0) };
                eventually("the master leads", leads).await;
            }
            verified(&apps, apps.totals().verified + 3).await;
            to_others.swallow();
            // The RP goes on for now, so that its message reaches the IdP.
            assert_eq!(
                call_that_writes(&net.api(Role::Rp)).await.unwrap().status(),
                202
            );
            let master = &net.processes(Role::Idp)[0];
            let messages_wait = || async {
                let seen = metric(master, "ledger_block_height").await;
                let seen = seen.unwrap_or(f64::MAX);
                let waits = |job: &Job| job.new.after_height.is_some_and(|of| of as f64 >= seen);
                has(&idp, waits).await
            };
            eventually("a message waits for a block", messages_wait).await;
            to_rp.swallow();
            let before = height(&net).await;
            assert_eq!(
                call_that_writes(&net.api(Role::Rp)).await.unwrap().status(),
                202
            );
            let is_missed = || async { height(&net).await > before };
            eventually("the RP's master has missed a block", is_missed).await;
            for role in ROLES {
                kill(&mut net.processes(role)[0]).await;
            }
            for proxy in [&to_rp, &to_others] {
                proxy.cut();
                proxy.heal();
            }
            for role in ROLES {
                start_again(&mut net.processes(role)[0]);
            }
        }
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}
