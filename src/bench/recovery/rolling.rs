//! Every process of a network is restarted in turn, under half of the load that
//! it can carry.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use super::{Figure, Series};
use crate::devnet::apps::{ApiClient, Apps, CallCounts};
use crate::devnet::command::StoreArgument;
use crate::devnet::demo;
use crate::devnet::network::{Network, NetworkOptions, NodeProcess, StoreOption};
use crate::output;

const CONCURRENCY: usize = 40;
/// Requests that measure the full load.
const FULL_LOAD: u64 = 200;
const STOP_GRACE: Duration = Duration::from_secs(35);
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two restarts.
const BREATH: Duration = Duration::from_millis(500);

/// Results of calls during the restart of one process.
struct Restart {
    counts: CallCounts,
    took: Duration,
}

/// At least `n` restarts, in rounds over all processes.
pub(super) async fn measure(store: StoreArgument, n: usize) -> io::Result<Vec<Series>> {
    let is_redis = store == StoreArgument::Redis;
    let mut network = Network::start(NetworkOptions {
        store: if is_redis {
            StoreOption::Redis
        } else {
            StoreOption::Embedded
        },
        masters: if is_redis { 2 } else { 1 },
        log_level: "warn".to_owned(),
        retransmit: Duration::from_secs(2),
        ..NetworkOptions::default()
    })
    .await?;
    let targets = demo::targets_of(&network, "bank_statement")?;
    let full = Apps::start(targets.clone()).await?;
    let took = full.drive(FULL_LOAD, CONCURRENCY, |_| {}).await;
    full.stop().await;
    let half = FULL_LOAD as f64 / took.as_secs_f64() / 2.0;
    let apps = Apps::start(targets).await?;
    let are_over = Cell::new(false);
    let restarts = async {
        let restarts = restart_all(&mut network, &apps, n).await;
        are_over.set(true);
        restarts
    };
    let requests = apps.drive_while(CONCURRENCY, half, |_| are_over.get(), |_| {});
    let (restarts, _) = tokio::join!(restarts, requests);
    let restarts = restarts?;
    let totals = apps.totals();
    let lost = apps.begun() - totals.verified;
    apps.stop().await;
    network.stop().await;
    for error in totals.errors.iter().take(5) {
        output::note(error);
    }
    Ok(all_series(&restarts, lost))
}

async fn restart_all(network: &mut Network, apps: &Apps, n: usize) -> io::Result<Vec<Restart>> {
    let mut restarts = Vec::new();
    while restarts.len() < n {
        for part in network
            .nodes
            .iter_mut()
            .flat_map(|node| &mut node.processes)
        {
            tokio::time::sleep(BREATH).await;
            let (before, at) = (apps.call_counts(), Instant::now());
            part.process.terminate(STOP_GRACE).await?;
            part.process.start_again()?;
            wait_until_ready(part).await?;
            let (after, took) = (apps.call_counts(), at.elapsed());
            let counts = CallCounts {
                refused: after.refused - before.refused,
                later: after.later - before.later,
                failed: after.failed - before.failed,
            };
            restarts.push(Restart { counts, took });
        }
    }
    Ok(restarts)
}

async fn wait_until_ready(part: &NodeProcess) -> io::Result<()> {
    if let Some(api) = &part.api {
        let client = ApiClient::new(vec![api.clone()])?;
        return client.wait_until_ready(READY_PATIENCE).await;
    }
    let deadline = Instant::now() + READY_PATIENCE;
    while reqwest::get(&part.metrics).await.is_err() {
        if Instant::now() > deadline {
            let name = part.process.name();
            return Err(io::Error::other(format!("{name} did not become ready")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn all_series(restarts: &[Restart], lost: u64) -> Vec<Series> {
    let series = |what, unit, want, value: fn(&Restart) -> f64| Series {
        figure: Figure::RollingRestart,
        what,
        unit,
        want,
        values: restarts.iter().map(value).collect(),
    };
    vec![
        series(
            "calls that failed, a restart (500 or no answer)",
            "calls",
            Some(0.0),
            |restart| restart.counts.failed as f64,
        ),
        series(
            "calls answered 503, a restart",
            "calls",
            Some(0.0),
            |restart| restart.counts.later as f64,
        ),
        series(
            "connections refused, a restart (a proxy tries the next)",
            "calls",
            None,
            |restart| restart.counts.refused as f64,
        ),
        series("SIGTERM to ready again", "ms", None, |restart| {
            restart.took.as_secs_f64() * 1000.0
        }),
        Series {
            figure: Figure::RollingRestart,
            what: "requests that did not complete, in all",
            unit: "calls",
            want: Some(0.0),
            values: vec![lost as f64],
        },
    ]
}
