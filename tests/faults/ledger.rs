//! (b), (h) The connection to the ledger drops, and masters die meanwhile.

use std::time::Duration;

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
/// them: the master sees no block for a while, so that messages wait, and is
/// killed. F09: what was sent before is not made a second time.
#[actix_web::test]
async fn f04_f06_f07_f09_masters_killed_while_messages_wait_for_blocks_lose_nothing() {
    let mut net = Net::start(Store::Redis, 1).await;
    let ledger = Proxy::start(net.network.ledger.clone()).await;
    for role in ROLES {
        let master = &mut net.processes(role)[0];
        restart_with(master, &[("TENDERMINT_PORT", ledger.port.to_string())]).await;
    }
    let apps = net.apps().await;
    let kills = async {
        for round in 0..3 {
            verified(&apps, 3 + 8 * round).await;
            ledger.swallow();
            tokio::time::sleep(Duration::from_secs(1)).await;
            for role in ROLES {
                kill(&mut net.processes(role)[0]).await;
            }
            ledger.cut();
            ledger.heal();
            for role in ROLES {
                start_again(&mut net.processes(role)[0]);
            }
        }
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}
