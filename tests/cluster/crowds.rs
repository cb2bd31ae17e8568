//! More connections than descriptors: idle ones at every port.

use std::time::{Duration, Instant};

use erawan::context::Role;
use erawan::descriptors::Limit;
use erawan::devnet::network::NodeProcess;
use erawan::devnet::process::{Process, usage_of};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::network::*;

/// Connections that this test itself holds open.
const CROWD: usize = 1100;
/// What an HTTP/2 client begins with, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Starts a process again from a shell that does something first.
async fn restart_after(part: &mut NodeProcess, first: &str) {
    let mut plan = part.process.plan().clone();
    plan.arguments = vec![
        "-c".to_owned(),
        format!("{first}; exec \"$0\""),
        binary().display().to_string(),
    ];
    plan.binary = Some("/bin/sh".into());
    kill(part).await;
    part.process = Process::start(plan).unwrap();
}

/// Connects and says this much.
async fn crowd(address: &str, size: usize, says: &[u8]) -> Vec<TcpStream> {
    let connect = async |_| {
        // A port that takes nobody holds the test up for minutes otherwise.
        let connecting = timeout(Duration::from_secs(5), TcpStream::connect(address));
        let mut stream = connecting.await.ok()?.ok()?;
        // It may have been sent away already.
        let _ = stream.write_all(says).await;
        Some(stream)
    };
    let mut crowd = Vec::new();
    // Some at a time: a client waits a second when the backlog is full.
    for begun in (0..size).step_by(50) {
        let some = join_all((begun..size.min(begun + 50)).map(connect)).await;
        crowd.extend(some.into_iter().flatten());
    }
    crowd
}

fn address(url: &str) -> String {
    let rest = url.trim_start_matches("http://");
    rest.split('/').next().unwrap().to_owned()
}

/// Answers as if nobody else was there.
async fn answers(part: &NodeProcess) {
    for path in ["/health", "/ready"] {
        let url = part.metrics.replace("/metrics", path);
        let answer = plain_client().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let api = part.api.clone().unwrap();
    let info = plain_client().get(format!("{api}/info")).send().await;
    assert_eq!(info.unwrap().status(), 200);
    assert_eq!(call_that_writes(&api).await.unwrap().status(), 202);
}

#[actix_web::test]
async fn idle_connections_stop_neither_the_api_nor_health() {
    let own = Limit::raise().unwrap();
    assert!(own.soft > 4 * CROWD as u64, "this test needs descriptors");
    let mut net = Net::start(Store::Embedded, 0).await;
    let rp = &mut net.processes(Role::Rp)[0];

    // The usual limit, which is not the hard one.
    restart_after(rp, "ulimit -Sn 256").await;
    ready(vec![rp.api.clone().unwrap()]).await;
    let most = metric(rp, "process_max_fds").await;
    assert_eq!(most, Some(own.hard as f64), "the soft limit stays");

    restart_after(rp, "ulimit -n 1024").await;
    let api = rp.api.clone().unwrap();
    ready(vec![api.clone()]).await;
    let silent = crowd(&address(&api), CROWD, b"").await;
    answers(rp).await;
    let slow = crowd(&address(&api), CROWD, b"GET /info HTTP/1.1\r\nx: ").await;
    answers(rp).await;
    let probes = crowd(&address(&rp.metrics), 200, b"").await;
    answers(rp).await;
    let open = metric(rp, "process_open_fds").await.unwrap();
    assert!(open < 1000.0, "{open} descriptors");
    drop((silent, slow, probes));
    net.close().await;
}

/// Whether the peer closes a connection in time.
async fn is_closed(mut stream: TcpStream) -> bool {
    let closed = async { while matches!(stream.read(&mut [0; 256]).await, Ok(1..)) {} };
    timeout(Duration::from_secs(60), closed).await.is_ok()
}

#[actix_web::test]
async fn idle_links_cost_a_master_nothing_and_leave_room_for_workers() {
    Limit::raise().unwrap();
    let mut net = Net::start(Store::Redis, 1).await;
    let master = net.network.node(Role::Rp).unwrap().masters[0].clone();
    let parts = net.processes(Role::Rp);
    restart_after(&mut parts[0], "ulimit -n 256").await;
    let api = parts[1].api.clone().unwrap();
    is_well(&parts[1]).await;
    let mut links = crowd(&master, 300, b"").await;
    links.extend(crowd(&master, 300, PREFACE).await);

    let pid = parts[0].process.pid().unwrap();
    let (before, began) = (usage_of(pid).unwrap(), Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let used = usage_of(pid).unwrap().cpu_ms - before.cpu_ms;
    let elapsed = began.elapsed().as_millis() as u64;
    assert!(used * 5 < elapsed, "{used} ms of CPU in {elapsed} ms");

    // A worker comes although the port is crowded, and its master is well.
    let again = parts[1].process.plan().clone();
    kill(&mut parts[1]).await;
    parts[1].process = Process::start(again).unwrap();
    is_well(&parts[1]).await;
    assert_eq!(ask(&parts[0], "/ready").await["role"], "master");
    assert_eq!(call_that_writes(&api).await.unwrap().status(), 202);

    let closed = join_all(links.into_iter().map(is_closed)).await;
    assert!(closed.into_iter().all(|closed| closed));
    net.close().await;
}
