//! What operators see in the log and under `/ready`.

use std::net::TcpListener;
use std::process::Command;

use erawan::context::Role;
use erawan::devnet::network::NodeProcess;
use serde_json::Value;

use crate::network::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The lines of a process's log that say this.
fn lines(part: &NodeProcess, message: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(&part.process.plan().log).unwrap();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| {
            let said = line["message"].as_str();
            said.is_some_and(|said| said.contains(message))
        })
        .collect()
}

fn lines_of_all(parts: &[NodeProcess], message: &str) -> Vec<Value> {
    let lines = parts.iter().flat_map(|part| lines(part, message));
    lines.collect()
}

#[actix_web::test]
async fn a_call_and_a_callback_that_failed_leave_a_line_each() {
    let mut net = Net::with(Store::Embedded, 1, |options| {
        options.log_level = "info".to_owned();
    })
    .await;
    for role in ROLES {
        ready(vec![net.api(role)]).await;
    }
    let (reference, body) = unanswered_request();
    let url = format!("{}/v6/rp/requests/{IDENTITY}", net.api(Role::Rp));
    let answer = plain_client()
        .post(url)
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .header("X-Request-Id", "ticket-7")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    let answer: Value = answer.json().await.unwrap();

    let parts = net.processes(Role::Rp);
    let failed = || async { !lines_of_all(parts, "a callback failed").is_empty() };
    eventually("the failure is told", failed).await;
    let failure = lines_of_all(parts, "a callback failed").remove(0);
    assert!(failure["reason"].as_str().unwrap().contains("127.0.0.1:1"));
    assert_eq!(failure["tries"], 1);

    let calls = lines_of_all(parts, "API call");
    let call = calls
        .iter()
        .find(|line| line["reference_id"] == reference.as_str());
    let call = call.unwrap_or_else(|| panic!("not among {calls:?}"));
    for (name, value) in [
        ("method", "POST"),
        ("route", "/rp/requests/:namespace/:identifier"),
        ("trace", TRACE),
        ("x_request_id", "ticket-7"),
        ("node_id", "rp1"),
        ("role", "worker"),
    ] {
        assert_eq!(call[name], value, "{name}");
    }
    assert_eq!(call["status"], 202);
    assert_eq!(call["request_id"], answer["request_id"]);
    assert!(call["milliseconds"].is_number() && call["instance"].is_string());
    assert!(!call.to_string().contains("1000000000017"), "{call}");
    net.close().await;
}

#[actix_web::test]
async fn a_worker_without_a_master_says_so_and_is_unready_after_a_while() {
    let mut net = Net::with(Store::Redis, 1, |options| {
        options.log_level = "info".to_owned();
        options.settings = vec![("MASTER_WAIT_MS".to_owned(), "6000".to_owned())];
    })
    .await;
    ready(vec![net.api(Role::Rp)]).await;
    let [master, worker] = &mut net.processes(Role::Rp)[..] else {
        panic!("a master and a worker");
    };
    is_well(worker).await;
    assert_eq!(metric(worker, "erawan_master_known").await, Some(1.0));
    kill(master).await;
    let told = || async { !lines(worker, "no master is found").is_empty() };
    eventually("it warns", told).await;
    let ready = ask(worker, "/ready").await;
    assert_eq!(
        ready["ready"], true,
        "it warns before it is unready: {ready}"
    );
    let warning = lines(worker, "no master is found").remove(0);
    assert_eq!(warning["level"], "WARN");
    assert!(warning["masters"].as_str().unwrap().contains("127.0.0.1:"));
    assert!(warning["reasons"].as_str().unwrap().contains("refused"));
    assert_eq!(metric(worker, "erawan_master_known").await, Some(0.0));
    is_unready(worker, "no master is known").await;
    start_again(master);
    is_well(worker).await;
    net.close().await;
}

#[actix_web::test]
async fn every_metric_without_labels_is_described_and_there_from_the_start() {
    let mut net = Net::start(Store::Embedded, 0).await;
    let part = &net.processes(Role::Rp)[0];
    let page = plain_client().get(&part.metrics).send().await.unwrap();
    let page = page.text().await.unwrap();
    let guide = include_str!("../../docs/metrics.md");
    let rows = guide.lines().filter(|line| line.starts_with("| `"));
    let mut seen = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if !cells[3].is_empty() {
            continue;
        }
        for name in cells[1].split('`').skip(1).step_by(2) {
            let is_there = |begin: String| page.lines().any(|line| line.starts_with(&begin));
            assert!(
                is_there(format!("# HELP {name} ")),
                "{name} is not described"
            );
            assert!(is_there(format!("# TYPE {name} {}", cells[2])), "{name}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
    assert!(page.contains("erawan_build_info{version=\""), "{page}");
    assert_eq!(metric(part, "erawan_workers_connected").await, Some(1.0));
    net.close().await;
}

#[test]
fn a_port_that_is_taken_is_named_with_its_variable() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(binary())
        .env_clear()
        .env("NODE_ID", "rp1")
        .env("NODE_ENV", "test")
        .env("STORE", "embedded")
        .env("USE_EXTERNAL_CRYPTO_SERVICE", "true")
        .env("PROMETHEUS", "true")
        .env("PROMETHEUS_SERVER_PORT", &port)
        .current_dir(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = format!("PROMETHEUS_SERVER_PORT={port}: cannot listen at [::]:{port}");
    assert!(said.contains(&expected), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_file_of_the_replaced_system_s_users_is_read_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let file = "an odd line\nNODE_ID: rp 1\nMODE=neither # comment\nSERVER_PORT=\"80\n80\"\n";
    std::fs::write(directory.path().join(".env"), file).unwrap();
    let output = Command::new(binary())
        .arg("check")
        .env_clear()
        .current_dir(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("MODE=\"neither\""), "{said}");
    assert!(said.contains("SERVER_PORT=\"80\\n80\""), "{said}");
    assert!(!said.contains("NODE_ID"), "{said}");
    assert_eq!(output.status.code(), Some(64));
}

/// A small file system of its own, until it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(directory.path())
            .status();
        assert!(mounted.unwrap().success(), "mounting needs root");
        Self(directory)
    }

    /// Leaves no room.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.path().join("filling");
        let mut file = std::fs::File::create(&path).unwrap();
        while std::io::Write::write_all(&mut file, &[7; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A folder that stays mounted is left to the machine.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[actix_web::test]
async fn a_node_whose_disk_is_full_is_unready_says_why_and_logs_little() {
    let disk = SmallDisk::mount(48);
    let mut net = Net::with(Store::Embedded, 0, |options| {
        options.log_level = "info".to_owned();
    })
    .await;
    let directory = disk.0.path().display().to_string();
    restart_one(&mut net, Role::Rp, &[("DATA_DIRECTORY_PATH", &directory)]).await;
    let api = net.api(Role::Rp);
    is_well(&net.processes(Role::Rp)[0]).await;
    let filling = disk.fill();
    // Until a write has failed nobody knows.
    let refused = || async { call_that_writes(&api).await.unwrap().status() == 503 };
    eventually("a write is refused", refused).await;
    let part = &net.processes(Role::Rp)[0];
    is_unready(part, "takes no writes").await;
    let notices = ask(part, "/ready").await;
    assert!(
        has_line(&notices, "notices", "the disk is full"),
        "{notices}"
    );
    for _ in 0..50 {
        assert_eq!(call_that_writes(&api).await.unwrap().status(), 503);
    }
    let told = lines(part, "the store failed").len();
    assert!((1..=3).contains(&told), "{told} lines");
    std::fs::remove_file(filling).unwrap();
    is_well(part).await;
    let answer = call_that_writes(&api).await.unwrap();
    assert_eq!(answer.status(), 202);
    net.close().await;
}

#[test]
fn settings_completions_and_manual_pages_are_printed() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        let command = command.args(arguments).env_clear();
        let command = command.env("NODE_ID", "rp1").env("DB_PASSWORD", "hidden");
        let output = command.current_dir(directory.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let all = run(&["env"]);
    let line = |name: &str| {
        let found = all.lines().find(|line| line.starts_with(name));
        found.unwrap_or_else(|| panic!("{name}: {all}")).to_owned()
    };
    assert!(line("NODE_ID ").contains("rp1"));
    assert!(line("SERVER_PORT ").contains("default"));
    assert!(!all.contains("hidden"));
    let set = run(&["env", "--set", "--format", "template"]);
    assert!(
        set.contains("NODE_ID=rp1\n") && set.contains("DB_PASSWORD=\n"),
        "{set}"
    );
    assert!(run(&["completions", "bash"]).contains("_erawan"));
    let folder = directory.path().display().to_string();
    run(&["man", &folder]);
    assert!(directory.path().join("erawan.1").exists());
    assert!(directory.path().join("erawan-jobs-trace.1").exists());
}
