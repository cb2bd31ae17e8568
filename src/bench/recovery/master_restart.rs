//! The only master dies with many open jobs and is restarted.

use std::io;
use std::time::Duration;

use super::starts::Starts;
use super::{Figure, Series};
use crate::bench::cluster::{Cluster, ClusterOptions, accept_all, noop, wait_until_available};
use crate::bench::node::micros_now;
use crate::devnet::command::StoreArgument;

const WORKERS: usize = 2;
const CONCURRENCY: usize = 16;
/// Jobs in one accept.
const BATCH: u64 = 100;
/// Workers have begun to look for a master by then.
const WORKERS_START: Duration = Duration::from_millis(500);

/// From the kill of a master (restarted at once) to the first start of a job.
/// The workers are there and wait; `open` jobs are open.
pub(super) async fn measure(store: StoreArgument, open: u64, n: usize) -> io::Result<Series> {
    let mut cluster = Cluster::start(ClusterOptions {
        store,
        masters: 1,
        workers: 0,
        hold: Duration::ZERO,
        note_starts: true,
    })
    .await?;
    let mut values = Vec::with_capacity(n);
    let mut next = 0;
    for _ in 0..n {
        next = top_up(&cluster, open, next).await?;
        cluster.masters[0].kill().await;
        for number in 0..WORKERS {
            cluster.add_worker(&format!("worker{number}"))?;
        }
        tokio::time::sleep(WORKERS_START).await;
        let mut starts = Starts::from_now(&cluster.starts);
        let at = micros_now();
        cluster.masters[0].start_again()?;
        let first = starts.next(|_| true).await?;
        values.push(first.at.saturating_sub(at) as f64 / 1000.0);
        // Orderly, so that what they hold counts as handed back.
        let workers = cluster.workers.drain(..);
        let stops = workers.map(|worker| worker.stop(Duration::from_secs(5)));
        futures_util::future::join_all(stops).await;
    }
    cluster.stop().await;
    Ok(Series {
        figure: Figure::MasterRestarted,
        what: "start of a single master with the open jobs to the first start",
        unit: "ms",
        want: Some(5000.0),
        values,
    })
}

/// Accepts as many jobs as are missing. Returns the number of the next one.
async fn top_up(cluster: &Cluster, open: u64, next: u64) -> io::Result<u64> {
    wait_until_available(&cluster.store).await?;
    let counts = cluster.store.counts().await.map_err(io::Error::other)?;
    let end = next + open.saturating_sub(counts.open);
    let numbers: Vec<u64> = (next..end).collect();
    let batches = numbers.chunks(BATCH as usize);
    let batches = batches.map(|batch| batch.iter().copied().map(noop).collect());
    accept_all(&cluster.store, batches, CONCURRENCY).await?;
    Ok(end)
}
