//! `erawan jobs --url` against a running dashboard, with nothing else to go by.

use std::process::Output;

use erawan::store::Store;
use erawan::store::embedded::{self, EmbeddedStore};
use serde_json::{Value, json};

use crate::node::{OPERATOR, TestNode, VIEWER, Who, until};

/// Runs the command on a machine that has no setting of the node.
async fn erawan_jobs(node: &TestNode, token: &str, arguments: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), token).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_erawan"));
    command.arg("jobs").args(arguments).env_clear();
    command.arg("--url").arg(node.url(""));
    command.arg("--token-file").arg(file.path());
    command.current_dir(file.path().parent().unwrap());
    command.output().await.unwrap()
}

async fn json_of(node: &TestNode, token: &str, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let output = erawan_jobs(node, token, &arguments).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

#[actix::test]
async fn operators_decide_from_a_machine_without_any_setting_of_the_node() {
    let node = TestNode::start(Who::Tokens).await;
    let parked = node.parked("a").await.to_string();
    let listed = json_of(&node, VIEWER, &["list", "--state", "parked"]).await;
    assert_eq!(listed["jobs"][0]["id"], parked);
    let shown = json_of(&node, VIEWER, &["show", &parked]).await;
    assert_eq!(shown["job"]["state"], "parked");

    let refused = erawan_jobs(&node, VIEWER, &["drop", &parked, "--why", "no"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("viewer"), "{}", text(&refused));

    let done = json_of(&node, OPERATOR, &["retry", &parked, "--why", "mended"]).await;
    assert_eq!(done["operations"][0]["result"], "open");
    until("it ends", async || {
        node.store.counts().await.unwrap().open == 0
    })
    .await;
    let again = erawan_jobs(&node, OPERATOR, &["drop", &parked, "--why", "again"]).await;
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));

    let decided = json_of(&node, OPERATOR, &["pause", "callback:x", "--why", "moves"]).await;
    assert_eq!(decided["decision"]["who"], "alice");
    let receivers = json_of(&node, VIEWER, &["receivers"]).await;
    assert_eq!(receivers["receivers"][0]["name"], "callback:x");
    let audit = json_of(&node, VIEWER, &["audit"]).await;
    let actions = audit["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["action"].clone());
    assert_eq!(
        actions.collect::<Vec<_>>(),
        [json!("retry"), json!("pause")]
    );

    // The dashboard counts once a second.
    let tells = async |expected: &str| {
        let told = erawan_jobs(&node, VIEWER, &["list", "--state", "parked"]).await;
        text(&told).contains(expected)
    };
    until("nothing is there", async || {
        tells("no job is open, and none has failed").await
    })
    .await;
    node.waiting("b").await;
    until("what is there is told", async || {
        tells("1 open jobs, 0 of them parked").await
    })
    .await;
    node.stop().await;
}

#[actix::test]
async fn a_dashboard_that_is_not_there_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_erawan"));
    let command = command
        .args(["jobs", "list", "--url", "http://127.0.0.1:1"])
        .env_clear();
    let output = command
        .current_dir(file.path().parent().unwrap())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("http://127.0.0.1:1"),
        "{}",
        text(&output)
    );
}

/// Where neither a key nor a certificate of the node is.
#[actix::test]
async fn no_private_key_is_wanted_to_look_at_jobs() {
    let directory = tempfile::tempdir().unwrap();
    let options = embedded::Options {
        path: directory.path().join("erawan.redb"),
        node_id: "rp1".to_owned(),
    };
    drop(EmbeddedStore::open(options).unwrap());
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_erawan"));
    let command = command.args(["jobs", "list"]).env_clear();
    command.env("NODE_ENV", "production").env("NODE_ID", "rp1");
    command.env("STORE", "embedded");
    command.env("DATA_DIRECTORY_PATH", directory.path());
    let output = command
        .current_dir(directory.path())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let told = text(&output);
    assert!(
        told.contains("no job is open, and none has failed"),
        "{told}"
    );
    assert!(told.contains("nothing runs"), "who was asked: {told}");
}
