//! Calls whose clients wait until the block is in, on NDID's node with a master
//! and two workers: the job that settles a call runs on either worker.

use erawan::context::Role;
use erawan::devnet::network::ServiceKind;
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::ndid_set_up::{keys, with};
use crate::network::*;

async fn ndid(store: Store) -> Net {
    let net = Net::with(store, 2, |options| {
        options.nodes = vec!["ndid1".to_owned()];
    });
    let net = net.await;
    ready(net.network.node(Role::Ndid).unwrap().api_urls()).await;
    net
}

/// Status and body of a call to one of NDID's endpoints.
async fn call(api: &str, operation: &str, body: &Value) -> (u16, String) {
    let url = format!("{api}/v6/ndid/{operation}");
    let answer = plain_client().post(url).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn created(name: &str) -> Value {
    json!({"namespace": name, "description": "a test's"})
}

async fn namespaces(api: &str) -> Vec<String> {
    let url = format!("{api}/v6/utility/namespaces");
    let answer = plain_client().get(url).send().await.unwrap();
    let listed: Vec<Value> = answer.json().await.unwrap();
    let names = listed.iter().map(|entry| entry["namespace"].as_str());
    names.map(|name| name.unwrap().to_owned()).collect()
}

async fn each_call_is_answered_when_its_block_is_in(store: Store) {
    let net = ndid(store).await;
    let apis = net.network.node(Role::Ndid).unwrap().api_urls();
    let calls = (0..10).map(|index| {
        let (api, body) = (&apis[index % 2], created(&format!("space{index}")));
        async move { call(api, "create_namespace", &body).await }
    });
    for (status, body) in join_all(calls).await {
        assert_eq!((status, body.as_str()), (201, ""));
    }
    // What the answer says is there for the next call.
    for api in &apis {
        let known = namespaces(api).await;
        for index in 0..10 {
            let name = format!("space{index}");
            assert!(known.contains(&name), "{name} is not in {known:?}");
        }
    }
    let (status, body) = call(&apis[0], "create_namespace", &created("space1")).await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("25013"), "{body}");
    let disabled = call(
        &apis[1],
        "disable_namespace",
        &json!({"namespace": "space1"}),
    )
    .await;
    assert_eq!(disabled, (204, String::new()));
    assert!(!namespaces(&apis[1]).await.contains(&"space1".to_owned()));
    net.close().await;
}

#[tokio::test]
async fn ndid_is_answered_when_its_block_is_in_embedded() {
    each_call_is_answered_when_its_block_is_in(Store::Embedded).await;
}

#[tokio::test]
async fn ndid_is_answered_when_its_block_is_in_redis() {
    each_call_is_answered_when_its_block_is_in(Store::Redis).await;
}

/// The jobs of the calls run on both workers; the calls of the one that lives are
/// answered, whatever the other and the master took with them.
#[tokio::test]
async fn a_call_is_answered_although_the_other_worker_and_the_master_are_killed() {
    let mut net = ndid(Store::Redis).await;
    let apis = net.network.node(Role::Ndid).unwrap().api_urls();
    let api = apis[0].clone();
    let calls: Vec<_> = (0..20)
        .map(|index| {
            let (api, body) = (api.clone(), created(&format!("killed{index}")));
            tokio::spawn(async move { call(&api, "create_namespace", &body).await })
        })
        .collect();
    let is_open = calls.iter().any(|call| !call.is_finished());
    assert!(is_open, "all were answered before anything was killed");
    let processes = net.processes(Role::Ndid);
    for killed in ["ndid1-worker2", "ndid1-master"] {
        let mut parts = processes.iter_mut();
        let part = parts.find(|part| part.process.name() == killed).unwrap();
        part.process.kill().await;
        part.process.start_again().unwrap();
    }
    for answered in calls {
        let (status, body) = answered.await.unwrap();
        assert_eq!((status, body.as_str()), (201, ""));
    }
    net.close().await;
}

/// Holds the ledger still: what it is asked for stays open.
fn signal_ledger(net: &Net, signal: Signal) {
    let mut services = net.network.services.iter();
    let ledger = services.find(|service| service.kind == ServiceKind::Ledger);
    ledger.unwrap().process.signal(signal);
}

const AMOUNT: f64 = 5.0;

/// A node with 100 tokens.
async fn account(net: &Net, api: &str) {
    let node = json!({"node_id": "rp7", "node_name": "a test's", "role": "rp"});
    let node = with(keys(&net.network.directory, "ndid1"), node);
    assert_eq!(call(api, "register_node", &node).await.0, 201);
    let set = json!({"node_id": "rp7", "amount": 100});
    assert_eq!(call(api, "set_node_token", &set).await.0, 204);
}

/// Calls that must not be done twice.
async fn calls(api: &str, token: &str) -> Vec<(u16, String)> {
    let create = (0..10).map(|index| {
        let body = created(&format!("{token}{index}"));
        async move { call(api, "create_namespace", &body).await }
    });
    let amount = json!({"node_id": "rp7", "amount": AMOUNT});
    let (mut told, add) = tokio::join!(join_all(create), call(api, "add_node_token", &amount));
    told.push(add);
    told
}

async fn tokens(api: &str) -> f64 {
    let url = format!("{api}/v6/utility/nodes/rp7/token");
    let answer = plain_client().get(url).send().await.unwrap();
    let token: Value = answer.json().await.unwrap();
    token["amount"].as_f64().unwrap()
}

async fn is_open(api: &str, transactions: u64) {
    let url = format!("{api}/num_expected_txs");
    let count = || async {
        let answer = plain_client().get(&url).send().await.unwrap();
        let counted: Value = answer.json().await.unwrap();
        counted["n_expected_txs"] == transactions
    };
    eventually("the calls wait for the ledger", count).await;
}

/// Kills the process that has the connections of calls, and makes the calls again
/// at `repeat`: each has been done once, and its client hears so.
async fn repeats_after_a_kill(net: &mut Net, killed: usize, repeat: usize) {
    let urls = net.network.node(Role::Ndid).unwrap().api_urls();
    let at = net.processes(Role::Ndid)[killed].api.clone().unwrap();
    account(net, &at).await;
    signal_ledger(net, Signal::SIGSTOP);
    let open = tokio::spawn({
        let at = at.clone();
        async move { calls(&at, "killed").await }
    });
    is_open(&at, 11).await;
    let part = &mut net.processes(Role::Ndid)[killed];
    kill(part).await;
    assert!(open.await.is_err(), "the calls were answered");
    signal_ledger(net, Signal::SIGCONT);
    net.processes(Role::Ndid)[killed]
        .process
        .start_again()
        .unwrap();
    ready(urls.clone()).await;
    for (status, body) in calls(&urls[repeat], "killed").await {
        assert!(
            [201, 204].contains(&status) && body.is_empty(),
            "{status} {body}"
        );
    }
    assert_eq!(tokens(&urls[repeat]).await, 100.0 + AMOUNT);
    // They have been told: the same again is another call.
    let again = calls(&urls[repeat], "killed").await;
    let refused = again.iter().filter(|(_, body)| body.contains("25013"));
    assert_eq!(refused.count(), 10, "{again:?}");
    assert_eq!(tokens(&urls[repeat]).await, 100.0 + 2.0 * AMOUNT);
}

#[tokio::test]
async fn what_was_asked_of_a_worker_that_was_killed_is_told_by_the_other() {
    let mut net = ndid(Store::Redis).await;
    repeats_after_a_kill(&mut net, 1, 1).await;
    net.close().await;
}

#[tokio::test]
async fn what_was_asked_of_a_node_that_was_killed_is_told_when_it_is_back() {
    for store in [Store::Embedded, Store::Redis] {
        let mut net = Net::with(store, 0, |options| {
            options.nodes = vec!["ndid1".to_owned()];
        })
        .await;
        ready(net.network.node(Role::Ndid).unwrap().api_urls()).await;
        repeats_after_a_kill(&mut net, 0, 0).await;
        net.close().await;
    }
}

/// The client gives up waiting and makes the calls again at once.
#[tokio::test]
async fn what_was_not_waited_for_is_told_to_the_same_call() {
    let net = ndid(Store::Redis).await;
    let apis = net.network.node(Role::Ndid).unwrap().api_urls();
    account(&net, &apis[0]).await;
    signal_ledger(&net, Signal::SIGSTOP);
    tokio::select! {
        told = calls(&apis[0], "impatient") => panic!("answered too soon: {told:?}"),
        () = is_open(&apis[1], 11) => {}
    }
    let (again, ()) = tokio::join!(calls(&apis[1], "impatient"), async {
        signal_ledger(&net, Signal::SIGCONT);
    });
    for (status, body) in again {
        assert!(
            [201, 204].contains(&status) && body.is_empty(),
            "{status} {body}"
        );
    }
    assert_eq!(tokens(&apis[0]).await, 100.0 + AMOUNT);
    net.close().await;
}
