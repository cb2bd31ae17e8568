//! Calls whose clients wait until the block is in, on NDID's node with a master
//! and two workers: the job that settles a call runs on either worker.

use erawan::context::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

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
