//! `erawan demo` as a user runs it, to its end and interrupted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::network::*;

/// Everything the demo makes in the file system is made in `folder`.
fn demo(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(binary());
    command
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().unwrap()
}

/// Processes of the network in this folder: their logs or working directories
/// are in it.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.map(|entry| entry.path())
        .filter(|process| {
            ["fd/1", "cwd"].iter().any(|link| {
                let target = fs::read_link(process.join(link));
                target.is_ok_and(|target| target.starts_with(folder))
            })
        })
        .collect()
}

async fn no_process_is_left_in(folder: &Path) {
    let is_empty = || async { processes_in(folder).is_empty() };
    eventually("every process has ended", is_empty).await;
}

fn nothing_is_left_in(folder: &TempDir) {
    assert_eq!(processes_in(folder.path()), Vec::<PathBuf>::new());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Waits until the network's workers run.
async fn all_started_in(folder: &Path, processes: usize) {
    let is_up = || async { processes_in(folder).len() >= processes };
    eventually("the network runs", is_up).await;
}

#[actix_web::test]
async fn the_demo_tells_one_json_object_and_leaves_nothing_behind() {
    let _place = place().await;
    let folder = tempfile::tempdir().unwrap();
    let demo = demo(folder.path(), &["--requests", "5", "--json"]);
    let output = demo.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    nothing_is_left_in(&folder);

    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let members: Vec<&String> = report.as_object().unwrap().keys().collect();
    let documented = [
        "requests",
        "accepted",
        "completed",
        "verified",
        "seconds",
        "per_second",
        "accept_ms",
        "complete_ms",
        "callbacks",
        "repeated_callbacks",
        "errors",
        "store",
        "nodes",
    ];
    assert_eq!(members, documented);
    for count in ["requests", "accepted", "completed", "verified"] {
        assert_eq!(report[count], 5, "{count}");
    }
    assert_eq!(report["errors"], Value::Array(Vec::new()));
    assert_eq!(report["store"], "embedded");
    for times in ["accept_ms", "complete_ms"] {
        assert!(report[times]["p50"].as_f64() > Some(0.0));
        assert!(report[times]["p99"].as_f64() >= report[times]["p50"].as_f64());
    }
    let nodes = report["nodes"].as_array().unwrap();
    let roles: Vec<&Value> = nodes.iter().map(|node| &node["role"]).collect();
    assert_eq!(roles, ["ndid", "rp", "idp", "as"]);
    for node in nodes {
        assert!(node["cpu_ms"].is_u64() && node["node_id"].is_string());
        let processes = node["processes"].as_array().unwrap();
        let kinds: Vec<&Value> = processes.iter().map(|process| &process["kind"]).collect();
        match node["role"] == "ndid" {
            true => assert_eq!(kinds, ["standalone"]),
            false => assert_eq!(kinds, ["master", "worker", "worker"]),
        }
        assert!(processes.iter().all(|process| process["id"].is_string()));
        assert!(
            processes
                .iter()
                .all(|process| process["rss_mb"].as_f64() > Some(1.0))
        );
        let jobs = processes
            .iter()
            .map(|process| process["jobs"].as_u64().unwrap());
        assert!(jobs.sum::<u64>() > 0);
    }
}

async fn is_interrupted(store: &str, processes: usize) {
    let _place = place().await;
    let folder = tempfile::tempdir().unwrap();
    let mut demo = demo(folder.path(), &["--requests", "100000", "--store", store]);
    all_started_in(folder.path(), processes).await;
    let pid = i32::try_from(demo.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(40), demo.wait()).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(130));
    nothing_is_left_in(&folder);
}

#[actix_web::test]
async fn an_interrupted_demo_leaves_nothing_behind() {
    // Two ledgers, four message queue services, ten processes of nodes.
    is_interrupted("embedded", 16).await;
}

#[actix_web::test]
async fn an_interrupted_demo_with_redis_leaves_nothing_behind() {
    is_interrupted("redis", 17).await;
}

#[actix_web::test]
async fn no_process_outlives_a_demo_that_is_killed() {
    let _place = place().await;
    let folder = tempfile::tempdir().unwrap();
    let mut demo = demo(folder.path(), &["--requests", "100000", "--store", "redis"]);
    all_started_in(folder.path(), 17).await;
    demo.kill().await.unwrap();
    no_process_is_left_in(folder.path()).await;
}

#[actix_web::test]
async fn the_story_of_a_user_comes_to_its_end() {
    let _place = place().await;
    let folder = tempfile::tempdir().unwrap();
    let demo = demo(folder.path(), &["--story", "--workers", "0", "--json"]);
    let output = demo.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let story: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(story["problem"], Value::Null);
    let steps = story["steps"].as_array().unwrap();
    let names: Vec<&Value> = steps.iter().map(|step| &step["step"]).collect();
    assert_eq!(
        names,
        [
            "onboarded",
            "consented",
            "accessor_replaced",
            "data_requested",
            "mode_upgraded",
            "association_revoked",
        ]
    );
    nothing_is_left_in(&folder);
}
