//! `erawan devnet` with a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use erawan::devnet::apps::{ApiClient, Apps, Targets};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::client::client_application;
use crate::network::*;

/// `ndid1` is there without being named.
const NODES: &str = "rp1,idp1,idp2,as1,proxy1,proxy1_as4";

struct Devnet {
    child: Child,
    description: Value,
}

impl Devnet {
    async fn start(directory: &Path, base_port: u16) -> Self {
        Self::start_with(directory, base_port, &[]).await
    }

    async fn start_with(directory: &Path, base_port: u16, more: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .args(["devnet", "--nodes", NODES, "--workers", "1"])
            .args(["--json", "--base-port", &base_port.to_string(), "--dir"])
            .arg(directory)
            .args(more)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let line = output.lines().next_line().await.unwrap();
        let description = serde_json::from_str(&line.expect("it starts")).unwrap();
        Self { child, description }
    }

    fn api(&self, node_id: &str) -> Vec<String> {
        let nodes = self.description["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|node| node["node_id"] == node_id);
        serde_json::from_value(node.unwrap()["api"].clone()).unwrap()
    }

    async fn stop(mut self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
        assert_eq!(self.child.wait().await.unwrap().code(), Some(0));
    }
}

/// The first of a thousand ports that nobody has: a network of seven nodes
/// counts its own from there. No other network is given one of these, which it
/// would have while this one is down (`devnet::ports`).
/// Each test has ranges of its own: two that look at the same time find the same.
fn base_port(test: u16) -> u16 {
    let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut bases = (2_000 + 1_000 * test..14_000).step_by(2_000);
    bases
        .find(|base| (*base..base + 1_000).all(is_free))
        .expect("a thousand free ports")
}

/// NDID's node is one of ours, has set the chain up, and serves its client.
async fn administers(devnet: &Devnet) {
    let ndid = devnet.api("ndid1").remove(0);
    let post = async |operation: &str, body: Value| {
        let url = format!("{ndid}/ndid/{operation}");
        let answer = plain_client().post(url).json(&body).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(post("end_init", json!({})).await, 204);
    let namespace = json!({"namespace": "mobile", "description": "a number"});
    assert_eq!(post("create_namespace", namespace).await, 201);
    let rp = ApiClient::new(devnet.api("rp1")).unwrap();
    let is_known = || async {
        let known = rp.get_json("/v6/utility/namespaces").await.unwrap();
        known.to_string().contains("\"mobile\"")
    };
    eventually("the RP's node knows what NDID has added", is_known).await;
}

/// The proxy offers a service for the AS behind it.
async fn acts_for_those_behind_it(devnet: &Devnet) {
    let behind = &devnet.description["behind_proxies"];
    let expected = json!([{"node_id": "proxy1_as4", "role": "as", "proxy": "proxy1"}]);
    assert_eq!(*behind, expected);
    let (url, told) = client_application();
    let body = json!({
        "reference_id": "offered", "callback_url": url, "node_id": "proxy1_as4",
        "min_ial": 1.1, "min_aal": 1, "url": url, "supported_namespace_list": ["citizen_id"],
    });
    let api = devnet.api("proxy1").remove(0);
    let called = format!("{api}/v6/as/service/bank_statement");
    let answer = plain_client()
        .post(called)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    let kind = "add_or_update_service_result";
    let done = told.result(kind, "offered").await;
    assert_eq!(
        (&done["success"], &done["node_id"]),
        (&json!(true), &json!("proxy1_as4"))
    );
}

#[actix_web::test]
async fn what_a_devnet_knows_survives_its_restart() {
    let _place = place().await;
    let directory = tempfile::tempdir().unwrap();
    let base_port = base_port(0);
    let devnet = Devnet::start(directory.path(), base_port).await;
    let rp = ApiClient::new(devnet.api("rp1")).unwrap();
    let (reference, mut body) = unanswered_request();
    body["idp_id_list"] = json!(["idp2"]);
    let path = "/v6/rp/requests/citizen_id/1000000000017";
    let request_id = rp
        .create_request(path, &reference, &body)
        .await
        .unwrap()
        .unwrap();
    let by_id = format!("/v6/utility/requests/{request_id}");
    let is_known = || async { rp.get_json(&by_id).await.is_ok() };
    eventually("the request is on the ledger", is_known).await;
    let before = rp.get_json(&by_id).await.unwrap();
    administers(&devnet).await;
    acts_for_those_behind_it(&devnet).await;
    devnet.stop().await;

    let devnet = Devnet::start(directory.path(), base_port).await;
    assert_eq!(rp.get_json(&by_id).await.unwrap(), before);
    let by_reference = format!("/v6/rp/request_references/{reference}");
    let found = rp.get_json(&by_reference).await.unwrap();
    assert_eq!(found["request_id"], Value::from(request_id));
    let apps = Apps::start(Targets {
        mode: 1,
        users: 1,
        rp: devnet.api("rp1"),
        idp: devnet.api("idp2"),
        as_: devnet.api("as1"),
        rp_id: None,
        idp_id: "idp2".to_owned(),
        as_id: "as1".to_owned(),
        service: "bank_statement".to_owned(),
    });
    let apps = apps.await.unwrap();
    drive(&apps, 3).await;
    assert_all_verified(&apps, 3);
    apps.stop().await;
    devnet.stop().await;
}

/// A process of a node, as somebody else would start it.
async fn accepts_the_first_request(api: &str, idp_id: &str) {
    let (_, mut body) = unanswered_request();
    body["idp_id_list"] = serde_json::json!([idp_id]);
    let url = format!("{api}/v6/rp/requests/{IDENTITY}");
    let answer = plain_client().post(url).json(&body).send().await.unwrap();
    let (status, said) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 202, "{api}, {idp_id}: {said}");
}

/// At an address that nothing else has, as a container's bridge would be.
#[actix_web::test]
async fn a_devnet_listens_where_it_is_told_and_accepts_the_first_request() {
    let _place = place().await;
    let directory = tempfile::tempdir().unwrap();
    let more = ["--bind", "127.0.0.9", "--store", "redis"];
    let devnet = Devnet::start_with(directory.path(), base_port(1), &more).await;
    for api in devnet.api("rp1") {
        for idp_id in ["idp1", "idp2"] {
            accepts_the_first_request(&api, idp_id).await;
        }
    }
    let at = |what: &Value| what.as_str().unwrap().parse::<SocketAddr>().unwrap();
    let mut services = vec![at(&devnet.description["ledger"])];
    services.push(at(&devnet.description["second_ledger"]));
    let nodes = devnet.description["nodes"].as_array().unwrap();
    services.extend(nodes.iter().map(|node| at(&node["mq"])));
    for address in services {
        assert_eq!(address.ip().to_string(), "127.0.0.9");
        TcpStream::connect(address).await.unwrap();
        let elsewhere = SocketAddr::from(([127, 0, 0, 1], address.port()));
        assert!(TcpStream::connect(elsewhere).await.is_err(), "{elsewhere}");
    }
    devnet.stop().await;
}
