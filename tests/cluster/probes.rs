//! What `/ready` says is so.

use erawan::context::Role;
use erawan::devnet::network::NodeProcess;
use erawan::devnet::process::Process;

use crate::network::*;

/// Waits until it is ready and says this all the same.
async fn notices(part: &NodeProcess, words: &str) {
    let so = || async {
        let answer = ask(part, "/ready").await;
        answer["ready"] == true && has_line(&answer, "notices", words)
    };
    let name = part.process.name();
    eventually(&format!("{name} notices: {words}"), so).await;
}

fn service<'n>(net: &'n mut Net, address: &str) -> &'n mut Process {
    let mut services = net.network.services.iter_mut();
    let service = services.find(|service| service.address == address);
    &mut service.unwrap().process
}

async fn replicate(net: &Net, of: [&str; 2]) {
    let port = net.redis.as_ref().unwrap().port();
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd("REPLICAOF");
    let () = command.arg(&of).query_async(&mut connection).await.unwrap();
}

#[actix_web::test]
async fn a_node_whose_redis_takes_no_writes_is_not_ready() {
    let mut net = Net::start(Store::Redis, 1).await;
    for part in net.processes(Role::Rp) {
        is_well(part).await;
    }
    replicate(&net, ["127.0.0.1", "1"]).await;
    for part in net.processes(Role::Rp) {
        is_unready(part, "takes no writes").await;
    }
    told_to_try_later(&net.api(Role::Rp)).await;
    replicate(&net, ["NO", "ONE"]).await;
    for part in net.processes(Role::Rp) {
        is_well(part).await;
    }
    net.close().await;
}

#[actix_web::test]
async fn a_node_says_what_it_does_without() {
    let mut net = Net::start(Store::Redis, 1).await;
    for part in net.processes(Role::Rp) {
        is_well(part).await;
    }
    let mq = net.network.node(Role::Rp).unwrap().mq.clone();
    service(&mut net, &mq).kill().await;
    let parts = net.processes(Role::Rp);
    notices(&parts[0], "messages of other nodes are not received").await;
    notices(&parts[1], "the message queue service does not answer").await;
    service(&mut net, &mq).start_again().unwrap();
    let parts = net.processes(Role::Rp);
    for part in &mut *parts {
        is_well(part).await;
    }
    kill(&mut parts[0]).await;
    notices(&parts[1], "no master is known").await;
    start_again(&mut parts[0]);
    is_well(&parts[1]).await;
    net.close().await;
}
