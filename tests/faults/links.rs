//! (e) The link between master and worker breaks.

use std::time::Duration;

use erawan::context::Role;

use crate::network::*;
use crate::proxy::{Proxy, restart_with};

/// Longer than a silent worker is waited for.
const SILENCE: Duration = Duration::from_secs(5);

/// F18: the connection is reset, again and again. F19: it falls silent, in
/// either direction or both, and both sides must notice. F20: what the worker
/// says when the network is back is of attempts that were given up.
#[actix_web::test]
async fn f18_f19_f20_a_worker_whose_link_breaks_lives_on_and_nothing_is_lost_or_done_twice() {
    let mut net = Net::start(Store::Redis, 2).await;
    let worker = &mut net.processes(Role::Rp)[1];
    let environment = &worker.process.plan().environment;
    let variable = environment
        .iter()
        .find(|(name, _)| name == "MASTER_SERVER_PORT");
    let link = Proxy::start(format!("127.0.0.1:{}", variable.unwrap().1)).await;
    restart_with(worker, &[("MASTER_SERVER_PORT", link.port.to_string())]).await;
    let pid = worker.process.pid();
    let apps = net.apps().await;
    let breaks = async {
        verified(&apps, 3).await;
        for _ in 0..4 {
            link.cut();
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        for silence in [
            Proxy::swallow,
            Proxy::swallow_answers,
            Proxy::swallow_questions,
        ] {
            silence(&link);
            tokio::time::sleep(SILENCE).await;
            link.heal();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    under_load(&apps, breaks).await;

    let worker = &net.processes(Role::Rp)[1];
    assert_eq!(worker.process.pid(), pid);
    let before = jobs_run(worker).await;
    let works_again = || async {
        drive(&apps, 5).await;
        jobs_run(worker).await > before
    };
    eventually("the worker has work again", works_again).await;
    net.end(apps).await;
}
