//! Against message queue services with the manners of real ones: headers of a
//! subscription come only with the first message, and what no subscriber takes is
//! gone for a minute.

use std::time::Duration;

use erawan::devnet::network::NodeProcess;

use crate::network::*;

/// As real services do.
const REPETITION: Duration = Duration::from_secs(60);
/// Well below, and far more than a request takes on a slow machine.
const AT_ONCE: Duration = Duration::from_secs(40);

/// Time limit of calls, a minute in life. Calls that are answered take far less,
/// on a slow machine too.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often that passes while the nodes are idle.
const TIMES: u32 = 3;

async fn start(store: Store, workers: usize, settings: &[(&str, &str)]) -> Net {
    Net::with(store, workers, |options| {
        options.retransmit = REPETITION;
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        options.settings = settings.iter().map(owned).collect();
    })
    .await
}

/// Warnings and errors that each process of a node has logged.
fn complaints(net: &Net) -> Vec<Vec<String>> {
    let parts = net.network.nodes.iter().flat_map(|node| &node.processes);
    let of_part = |part: &NodeProcess| {
        let log = std::fs::read_to_string(part.process.log()).unwrap();
        let bad = log.lines().filter(|line| {
            ["WARN", "ERROR"]
                .iter()
                .any(|level| line.contains(&format!("\"level\":\"{level}\"")))
        });
        bad.map(|line| format!("{}: {line}", part.process.name()))
            .collect()
    };
    parts.map(of_part).collect()
}

/// Those since then.
fn complaints_since(net: &Net, before: &[Vec<String>]) -> Vec<String> {
    let now = complaints(net).into_iter().zip(before);
    now.flat_map(|(mut all, before)| all.split_off(before.len()))
        .collect()
}

/// All requests so far were verified, none after a repetition of a message.
fn assert_at_once(apps: &erawan::devnet::apps::Apps) {
    let took = apps.seen().took;
    assert_eq!(apps.totals().errors, Vec::<String>::new());
    assert_eq!(took.len() as u64, apps.begun());
    let slowest = took.values().map(|took| took.time).max().unwrap();
    println!("slowest completion: {slowest:?}");
    assert!(slowest < AT_ONCE, "{slowest:?}");
}

async fn an_idle_node_hears_of_everything(store: Store, workers: usize) {
    let timeout = CALL_TIMEOUT.as_millis().to_string();
    let settings = [
        ("GRPC_CALL_TIMEOUT_MS", timeout.as_str()),
        ("GRPC_PING_INTERVAL_MS", "500"),
        ("GRPC_PING_TIMEOUT_MS", "10000"),
    ];
    let net = start(store, workers, &settings).await;
    let apps = net.apps().await;
    // What was said while ledger and services were starting is no matter.
    let before = complaints(&net);
    tokio::time::sleep(TIMES * CALL_TIMEOUT).await;
    assert_eq!(complaints_since(&net, &before), Vec::<String>::new());
    for _ in 0..10 {
        assert!(apps.request().await, "{:?}", apps.totals().errors);
    }
    assert_at_once(&apps);
    assert_eq!(complaints_since(&net, &before), Vec::<String>::new());
    net.end(apps).await;
}

#[actix_web::test]
async fn an_idle_standalone_node_hears_of_everything_and_warns_of_nothing() {
    an_idle_node_hears_of_everything(Store::Embedded, 0).await;
}

#[actix_web::test]
async fn an_idle_master_and_its_workers_hear_of_everything_and_warn_of_nothing() {
    an_idle_node_hears_of_everything(Store::Redis, 2).await;
}

/// Its workers take what comes meanwhile.
async fn no_message_waits_while_masters_are_killed(store: Store) {
    let mut net = start(store, 2, &[]).await;
    let apps = net.apps().await;
    let faults = async {
        verified(&apps, 5).await;
        for role in ROLES {
            let master = &mut net.processes(role)[0];
            kill(master).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            start_again(master);
            let requests = apps.totals().verified + 10;
            verified(&apps, requests).await;
        }
    };
    load_during(&apps, faults).await;
    assert_at_once(&apps);
    net.end(apps).await;
}

#[actix_web::test]
async fn no_message_waits_for_its_repetition_while_a_master_is_killed_with_redis() {
    no_message_waits_while_masters_are_killed(Store::Redis).await;
}

#[actix_web::test]
async fn no_message_waits_for_its_repetition_while_a_master_is_killed_with_embedded_store() {
    no_message_waits_while_masters_are_killed(Store::Embedded).await;
}
