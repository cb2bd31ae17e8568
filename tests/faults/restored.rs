//! A ledger that was replaced by an earlier state of itself, and a node that
//! was away for ten thousand blocks (docs/guarantees.md).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use erawan::context::Role;
use erawan::devnet::network::{NodeProcess, ServiceKind};
use erawan::devnet::process::Process;
use serde_json::{Value, json};

use crate::application::{Application, REQUESTS, get, post, request};
use crate::look::height;
use crate::network::*;
use crate::proxy::{Proxy, restart_with};

/// Blocks that a node misses.
const MISSED: u64 = 10_000;
/// How late everything is that the ledger says, until the node was seen to catch
/// up: a fast machine would be done before anybody looked.
const LATE: Duration = Duration::from_millis(20);
/// How much more memory catching up may take, in MB.
const ROOM_MB: f64 = 60.0;

fn blocks(net: &Net) -> PathBuf {
    net.network.directory.join("ledger/blocks.jsonl")
}

/// Kills the ledger; `between` may change its file; then starts it again,
/// with so many empty blocks more.
async fn restart_ledger(net: &mut Net, empty_blocks: u64, between: impl FnOnce()) {
    let mut services = net.network.services.iter_mut();
    let ledger = services.find(|service| service.kind == ServiceKind::Ledger);
    let process = &mut ledger.unwrap().process;
    process.kill().await;
    between();
    let mut plan = process.plan().clone();
    let option = "--empty-blocks";
    let earlier = plan.arguments.iter().position(|one| one == option);
    plan.arguments
        .truncate(earlier.unwrap_or(plan.arguments.len()));
    let more = [option.to_owned(), empty_blocks.to_string()];
    plan.arguments.extend(more);
    *process = Process::start(plan).unwrap();
}

/// A metric of a process; `None` while it has none.
async fn metric(part: &NodeProcess, name: &str) -> Option<f64> {
    let page = plain_client().get(&part.metrics).send().await.ok()?;
    let page = page.text().await.ok()?;
    let line = page.lines().find(|line| line.starts_with(name))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

async fn notices(part: &NodeProcess) -> String {
    let url = part.metrics.replace("/metrics", "/ready");
    let Ok(answer) = plain_client().get(url).send().await else {
        return String::new();
    };
    answer.json::<Value>().await.unwrap()["notices"].to_string()
}

fn log(part: &NodeProcess) -> String {
    std::fs::read_to_string(part.process.log()).unwrap()
}

async fn has_noticed(net: &mut Net, role: Role) {
    let part = &net.processes(role)[0];
    let counted = || async { metric(part, "erawan_ledger_replaced_total").await == Some(1.0) };
    eventually("the ledger is known to be replaced", counted).await;
    assert!(log(part).contains("the ledger was replaced under the same chain id"));
    assert!(notices(part).await.contains("replaced"));
}

/// F45 and more: the old system waits in silence until the new ledger is higher
/// than the old one was.
#[actix_web::test]
async fn f45_a_ledger_restored_from_an_earlier_state_is_noticed_and_nothing_waits() {
    let mut net = Net::start(Store::Embedded, 0).await;
    let apps = net.apps().await;
    let client = Application::start(0).await;
    let (rp, idp) = (net.api(Role::Rp), net.api(Role::Idp));
    drive(&apps, 3).await;
    let saved = std::fs::read(blocks(&net)).unwrap();
    // Without a last line that is not complete.
    let saved = &saved[..=saved.iter().rposition(|byte| *byte == b'\n').unwrap()];

    // What the restored ledger will not know: requests that have ended, and one
    // that waits for its user.
    drive(&apps, 5).await;
    let (_, urls) = get(&idp, "/idp/callback").await;
    let to_client = json!({"incoming_request_url": client.url});
    assert_eq!(post(&idp, "/idp/callback", &to_client).await.0, 204);
    let (status, created) = post(&rp, REQUESTS, &request(&client, &["idp1"], "forgotten")).await;
    assert_eq!(status, 202, "{created}");
    client.wait("incoming_request", 1).await;
    assert_eq!(post(&idp, "/idp/callback", &urls).await.0, 204);
    let before = height(&net).await;

    let file = blocks(&net);
    // Its first new block is what tells it from a node that is behind.
    restart_ledger(&mut net, 1, || std::fs::write(&file, saved).unwrap()).await;
    assert!(height(&net).await < before, "it is lower");
    let restored = Instant::now();
    for role in ROLES {
        has_noticed(&mut net, role).await;
    }
    println!(
        "a lower ledger was noticed {:?} after its start",
        restored.elapsed()
    );
    let reference = "/rp/request_references/forgotten";
    let is_free = || async { get(&rp, reference).await.0 == 404 };
    eventually("the forgotten request is given up", is_free).await;
    let request_id = created["request_id"].as_str().unwrap();
    let is_told = || async {
        let errors = apps.totals().errors;
        errors
            .iter()
            .any(|error| error.starts_with("rp: error") && error.contains(request_id))
    };
    eventually("the client is told", is_told).await;
    drive(&apps, 5).await;
    assert_eq!(apps.totals().verified, 13);

    // The same while a node is off, and the new history is the longer one.
    kill(&mut net.processes(Role::Rp)[0]).await;
    let file = blocks(&net);
    restart_ledger(&mut net, 2_000, || std::fs::write(&file, saved).unwrap()).await;
    assert!(height(&net).await > before, "it is higher");
    start_again(&mut net.processes(Role::Rp)[0]);
    has_noticed(&mut net, Role::Rp).await;
    ready(vec![net.api(Role::Rp)]).await;
    drive(&apps, 3).await;
    assert_eq!(apps.totals().verified, 16);
    client.stop().await;
    net.end(apps).await;
}

/// Heights in the lines of the log that show how far a node has come.
fn heights_shown(log: &str) -> Vec<u64> {
    let lines = log.lines().filter(|line| line.contains("with the ledger"));
    let heights = lines.filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.pointer("/height")
            .or(line.pointer("/fields/height"))?
            .as_u64()
    });
    heights.collect()
}

#[actix_web::test]
async fn a_node_that_was_off_for_ten_thousand_blocks_catches_up_and_takes_calls_meanwhile() {
    let mut net = Net::start(Store::Embedded, 0).await;
    let apps = net.apps().await;
    drive(&apps, 10).await;
    let client = Application::start(0).await;
    let rss_before = net.processes(Role::Rp)[0].process.usage().rss_mb;
    kill(&mut net.processes(Role::Rp)[0]).await;
    let from = height(&net).await;
    restart_ledger(&mut net, MISSED, || ()).await;
    let target = height(&net).await;
    assert!(target >= from + MISSED);

    let shown_before = heights_shown(&log(&net.processes(Role::Rp)[0])).len();
    let ledger = Proxy::start(net.network.ledger.clone()).await;
    ledger.delay(LATE);
    let proxied = [("TENDERMINT_PORT", ledger.port.to_string())];
    restart_with(&mut net.processes(Role::Rp)[0], &proxied).await;
    let started = Instant::now();
    let api = net.api(Role::Rp);
    let part = &net.processes(Role::Rp)[0];
    let (mut most, mut calls_meanwhile, mut noticed) = (0.0_f64, 0, false);
    let caught_up = loop {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "it never catches up"
        );
        most = most.max(part.process.usage().rss_mb);
        let here = metric(part, "ledger_block_height")
            .await
            .unwrap_or_default();
        if here >= target as f64 {
            break started.elapsed();
        }
        noticed |= notices(part).await.contains("catching up");
        let body = request(&client, &["idp1"], &format!("meanwhile-{calls_meanwhile}"));
        let call = plain_client()
            .post(format!("{api}/v6{REQUESTS}"))
            .json(&body)
            .send();
        if calls_meanwhile < 5 && call.await.is_ok_and(|answer| answer.status() == 202) {
            calls_meanwhile += 1;
        }
        let shown = heights_shown(&log(part)).len() - shown_before;
        if noticed && calls_meanwhile > 0 && shown >= 2 {
            ledger.heal();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let rss_after = part.process.usage().rss_mb;
    let shown = heights_shown(&log(part))[shown_before..].to_vec();
    println!(
        "{MISSED} blocks in {caught_up:?}, of a ledger that is slow at first; memory \
         {rss_before:.0} MB before, {most:.0} MB at most, {rss_after:.0} MB after; \
         {calls_meanwhile} calls accepted meanwhile; shown at {shown:?}"
    );
    assert!(most < rss_before + ROOM_MB, "{most} MB");
    assert!(calls_meanwhile > 0, "no call was taken meanwhile");
    assert!(noticed, "/ready says nothing");
    assert!(shown.len() >= 2 && shown.is_sorted(), "{shown:?}");
    client.wait("create_request_result", calls_meanwhile).await;
    drive(&apps, 5).await;
    assert_eq!(apps.totals().verified, 15);
    client.stop().await;
    net.end(apps).await;
}
