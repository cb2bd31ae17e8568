//! What `/ready` says is so.

use erawan::devnet::network::NodeProcess;
use erawan::devnet::process::Process;
use erawan::node::Role;
use serde_json::Value;

use crate::network::*;

fn has(answer: &Value, list: &str, words: &str) -> bool {
    let lines = answer[list].as_array().into_iter().flatten();
    lines.filter_map(Value::as_str).any(|line| line.contains(words))
}

/// Waits until `/ready` gives this reason against itself.
async fn is_unready(part: &NodeProcess, words: &str) {
    let so = || async {
        let answer = ask(part, "/ready").await;
        answer["ready"] == false && has(&answer, "reasons", words)
    };
    let name = part.process.name();
    eventually(&format!("{name} is not ready: {words}"), so).await;
}

/// Waits until it is ready and says this all the same.
async fn notices(part: &NodeProcess, words: &str) {
    let so = || async {
        let answer = ask(part, "/ready").await;
        answer["ready"] == true && has(&answer, "notices", words)
    };
    let name = part.process.name();
    eventually(&format!("{name} notices: {words}"), so).await;
}

/// Waits until it is ready and has nothing to say.
async fn is_well(part: &NodeProcess) {
    let so = || async {
        let answer = ask(part, "/ready").await;
        answer["ready"] == true && answer["notices"] == serde_json::json!([])
    };
    eventually(&format!("{} is well", part.process.name()), so).await;
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

/// A file that may not grow stands for a disk that is full.
#[actix_web::test]
async fn a_node_whose_file_cannot_grow_is_not_ready() {
    let mut net = Net::start(Store::Embedded, 0).await;
    let directory = net.network.directory.clone();
    let rp = &mut net.processes(Role::Rp)[0];
    is_well(rp).await;
    let api = rp.api.clone().unwrap();
    kill(rp).await;
    let found = walk(&directory).into_iter().find(|path| {
        let path = path.to_string_lossy();
        path.ends_with("erawan.redb") && path.contains("rp1")
    });
    let size = found.unwrap().metadata().unwrap().len();
    let mut plan = rp.process.plan().clone();
    let blocks = size.div_ceil(512);
    plan.arguments = vec![
        "-c".to_owned(),
        // Ignored signals stay so: the system answers EFBIG in place of killing.
        format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" >/dev/null 2>&1"),
        binary().display().to_string(),
    ];
    plan.binary = Some("/bin/sh".into());
    rp.process = Process::start(plan).unwrap();
    ready(vec![api.clone()]).await;
    let mut refused = 0;
    let mut calls = 0;
    while refused < 20 {
        let answer = call_that_writes(&api).await.unwrap();
        match answer.status().as_u16() {
            202 => refused = 0,
            503 => refused += 1,
            other => panic!("{other}"),
        }
        calls += 1;
        assert!(calls < 20_000, "the file never ends");
    }
    is_unready(rp, "takes no writes").await;
    net.close().await;
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    let paths = entries.map(|entry| entry.path());
    let of = |path: std::path::PathBuf| if path.is_dir() { walk(&path) } else { vec![path] };
    paths.flat_map(of).collect()
}
