//! How many jobs a request is.

use std::collections::BTreeMap;

use crate::network::*;

/// Requests that are counted; half of them get their data in the answer to a
/// callback, half by a call.
const REQUESTS: u64 = 10;

/// Most jobs of one request of mode 1 with data, over its three nodes.
const MOST: f64 = 34.0;

/// Runs of jobs so far, by kind, over all processes.
async fn runs(net: &Net) -> BTreeMap<String, u64> {
    let mut runs = BTreeMap::new();
    for part in net.network.nodes.iter().flat_map(|node| &node.processes) {
        let page = plain_client().get(&part.metrics).send().await.unwrap();
        for line in page.text().await.unwrap().lines() {
            let of_kind = line.strip_prefix("erawan_jobs_total{kind=\"");
            if let Some((kind, count)) = of_kind.and_then(|rest| rest.split_once("\"} ")) {
                *runs.entry(kind.to_owned()).or_default() += count.parse::<u64>().unwrap();
            }
        }
    }
    runs
}

fn count(runs: &BTreeMap<String, u64>, kind: &str) -> u64 {
    runs.get(kind).copied().unwrap_or(0)
}

#[actix_web::test]
async fn a_request_takes_no_more_jobs_than_it_must() {
    let net = Net::start(Store::Embedded, 0).await;
    let apps = net.apps().await;
    // What nodes do at their start, and what they learn once.
    drive(&apps, 2).await;
    let closed = |runs: &BTreeMap<String, u64>| count(runs, "idp.request_update");
    let all_closed = |requests| {
        let net = &net;
        move || async move { closed(&runs(net).await) >= requests }
    };
    eventually("the first have ended", all_closed(2)).await;
    let before = settled(&net).await;
    for _ in 0..REQUESTS {
        assert!(apps.request().await);
    }
    eventually("all have ended", all_closed(2 + REQUESTS)).await;
    let after = settled(&net).await;

    let a_request =
        |kind: &str| (count(&after, kind) - count(&before, kind)) as f64 / REQUESTS as f64;
    let all: f64 = after.keys().map(|kind| a_request(kind)).sum();
    let kinds = after.keys().filter(|kind| a_request(kind) > 0.0);
    let table: String = kinds
        .map(|kind| format!("{kind:>24} {:5.1}\n", a_request(kind)))
        .collect();
    println!("{table}{:>24} {all:5.1}", "all");
    assert!(all <= MOST, "{all} jobs a request:\n{table}");
    assert!(all > 20.0, "they were not counted:\n{table}");
    net.end(apps).await;
}

/// The runs when no more come.
async fn settled(net: &Net) -> BTreeMap<String, u64> {
    let mut last = runs(net).await;
    loop {
        // Longer than any pause in a request that has ended on the ledger.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let now = runs(net).await;
        if now == last {
            return now;
        }
        last = now;
    }
}
