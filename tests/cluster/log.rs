//! A log that nobody reads.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use erawan::context::Role;
use erawan::devnet::network::NodeProcess;
use erawan::devnet::process::Process;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::network::*;

/// More than `SHUTDOWN_GRACE_MS`.
const GRACE: Duration = Duration::from_secs(28);
/// Calls whose lines are more than a pipe takes (64 KiB).
const CALLS: usize = 600;

/// Starts it with its output in a pipe that it holds open itself.
async fn restart_unread(part: &mut NodeProcess) -> std::path::PathBuf {
    let mut plan = part.process.plan().clone();
    let pipe = plan.log.with_extension("pipe");
    let script = "rm -f \"$1\"; mkfifo \"$1\"; exec 3<>\"$1\"; exec \"$0\" >&3 2>&3";
    plan.arguments = vec![
        "-c".to_owned(),
        script.to_owned(),
        binary().display().to_string(),
        pipe.display().to_string(),
    ];
    plan.binary = Some("/bin/sh".into());
    kill(part).await;
    part.process = Process::start(plan).unwrap();
    pipe
}

/// Makes it log more than the pipe takes.
async fn fill(api: &str) {
    let client = plain_client();
    for _ in 0..CALLS {
        let answer = client.get(format!("{api}/info")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[actix_web::test]
async fn a_log_that_nobody_reads_holds_up_nothing() {
    let mut net = Net::start(Store::Embedded, 0).await;
    let rp = &mut net.processes(Role::Rp)[0];
    let api = rp.api.clone().unwrap();
    let plan = rp.process.plan().clone();

    let pipe = restart_unread(rp).await;
    ready(vec![api.clone()]).await;
    fill(&api).await;
    let answer = call_that_writes(&api).await.unwrap();
    let status = answer.status();
    assert_eq!(status, 202, "{}", answer.text().await.unwrap());
    assert_eq!(ask(rp, "/ready").await["ready"], true);

    // Somebody reads again: everything is there, in order.
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(File::open(pipe).unwrap()).lines();
        let calls = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let times = calls.filter(|line| line["message"] == "API call");
        let times = times.map(|line| line["timestamp"].as_str().unwrap().to_owned());
        times.take(CALLS).collect::<Vec<_>>()
    });
    let times = tokio::task::spawn_blocking(|| reading.join().unwrap());
    let times = tokio::time::timeout(Duration::from_secs(60), times).await;
    let times = times.expect("all lines come").unwrap();
    assert!(times.is_sorted(), "lines are out of order");

    // It stops as if its log were read.
    restart_unread(rp).await;
    ready(vec![api.clone()]).await;
    fill(&api).await;
    rp.process.signal(Signal::SIGTERM);
    let status = tokio::time::timeout(GRACE, rp.process.wait()).await;
    assert_eq!(status.expect("it stops").unwrap().code(), Some(0));

    // And at once when it is told twice: a callback would hold it up.
    restart_unread(rp).await;
    ready(vec![api.clone()]).await;
    fill(&api).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_, mut body) = unanswered_request();
    body["callback_url"] = format!("http://{}/", silent.local_addr().unwrap()).into();
    let url = format!("{api}/v6/rp/requests/{IDENTITY}");
    let answer = plain_client().post(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let _callback = silent.accept().await.unwrap();
    rp.process.signal(Signal::SIGTERM);
    let stopping = || async { ask(rp, "/ready").await["ready"] == false };
    eventually("it is stopping", stopping).await;
    rp.process.signal(Signal::SIGTERM);
    let status = tokio::time::timeout(Duration::from_secs(10), rp.process.wait()).await;
    assert_eq!(status.expect("it ends at once").unwrap().code(), Some(1));
    rp.process = Process::start(plan).unwrap();
    net.close().await;
}
