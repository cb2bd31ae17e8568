//! What looking costs.

use std::time::{Duration, Instant};

use erawan::job::{Millis, NewJob};
use futures_util::StreamExt;
use nix::sys::resource::{UsageWho, getrusage};
use reqwest::Client;

use crate::node::{TestNode, Who, kind, until};

/// Open dashboards.
const VIEWERS: usize = 100;
const MEASURED: Duration = Duration::from_secs(6);

/// Processor time of this process.
fn used() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64)
    };
    of(usage.user_time()) + of(usage.system_time())
}

/// Processor time of a node at rest with this many open dashboards, reading them
/// included.
async fn with_viewers(node: &TestNode, viewers: usize) -> Duration {
    let client = Client::builder().no_proxy().build().unwrap();
    let mut following = Vec::new();
    for _ in 0..viewers {
        let answer = client.get(node.url("/live/glance")).send().await.unwrap();
        let mut stream = Box::pin(answer.bytes_stream());
        let first = stream.next().await.unwrap().unwrap();
        assert!(!first.is_empty());
        following.push(tokio::spawn(async move {
            let mut bytes = 0;
            while let Some(Ok(part)) = stream.next().await {
                bytes += part.len();
            }
            bytes
        }));
    }
    let before = used();
    tokio::time::sleep(MEASURED).await;
    let used = used() - before;
    for viewer in &following {
        viewer.abort();
    }
    used
}

/// Counts all that this process does, so it runs alone:
/// `cargo test --release --test browser hundred -- --ignored --nocapture`.
#[actix::test]
#[ignore = "a figure, measured alone"]
async fn a_hundred_open_dashboards_cost_little() {
    let node = TestNode::start(Who::Viewers).await;
    node.fill().await;
    let alone = with_viewers(&node, 0).await;
    let looked_at = with_viewers(&node, VIEWERS).await;
    let share = looked_at.saturating_sub(alone).as_secs_f64() / MEASURED.as_secs_f64();
    eprintln!(
        "{VIEWERS} open dashboards, client side included: {:.2} % of a core (alone: {alone:?})",
        share * 100.0
    );
    let most = if cfg!(debug_assertions) { 0.30 } else { 0.02 };
    assert!(share < most, "{:.2} % of a core", share * 100.0);
    node.stop().await;
}

/// However many jobs are open, a page reads a limited number.
#[actix::test]
async fn the_first_paint_does_not_depend_on_how_many_jobs_are_open() {
    let many: usize = if cfg!(debug_assertions) {
        30_000
    } else {
        1_000_000
    };
    let node = TestNode::start(Who::Viewers).await;
    let later = Millis::now().after(Duration::from_secs(3600));
    let timer = |number: usize| {
        let key = format!("request:{number}");
        NewJob::new(kind("rp.time_out"), key, &()).not_before(later)
    };
    for first in (0..many).step_by(10_000) {
        let page = first..(first + 10_000).min(many);
        node.accept(page.map(timer).collect()).await;
    }
    until("the sampler has seen them", async || {
        let page = reqwest::get(node.url("/queue")).await.unwrap();
        page.text().await.unwrap().contains("rp.time_out")
    })
    .await;
    for path in [
        "/",
        "/queue",
        "/jobs",
        "/jobs?state=parked",
        "/receivers",
        "/audit",
    ] {
        let mut took = Duration::MAX;
        // What else the machine does at that moment is not the page's.
        for _ in 0..5 {
            let began = Instant::now();
            let page = reqwest::get(node.url(path)).await.unwrap();
            assert!(page.status().is_success(), "{path}");
            page.text().await.unwrap();
            took = took.min(began.elapsed());
        }
        eprintln!("{path}: {took:?} with {many} open jobs");
        assert!(took < Duration::from_millis(200), "{path}: {took:?}");
    }
    node.stop().await;
}
