//! Memory of a master with many queued jobs and no workers.

use std::io;
use std::time::{Duration, Instant};

use super::{Figure, Series};
use crate::bench::cluster::{Cluster, ClusterOptions, fill, wait_until_available};
use crate::devnet::command::StoreArgument;
use crate::devnet::process::Process;

const CONCURRENCY: usize = 16;
/// After this time without growth, the master has found all jobs.
const STEADY: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
const WANT_MB: f64 = 1000.0;

/// The most memory while the jobs are queued, and after a restart with all of
/// them open.
pub(super) async fn measure(store: StoreArgument, queued: u64) -> io::Result<Vec<Series>> {
    let mut cluster = Cluster::start(ClusterOptions {
        store,
        masters: 1,
        workers: 0,
        hold: Duration::ZERO,
        note_starts: false,
    })
    .await?;
    let mut most: f64 = 0.0;
    let store = cluster.store.clone();
    let filled = fill(&store, queued, CONCURRENCY);
    let mut filled = std::pin::pin!(filled);
    loop {
        tokio::select! {
            result = &mut filled => break result?,
            () = tokio::time::sleep(POLL) => most = most.max(cluster.masters[0].usage().rss_mb),
        }
    }
    most = most.max(until_steady(&cluster.masters[0]).await);
    cluster.masters[0].kill().await;
    cluster.masters[0].start_again()?;
    wait_until_available(&cluster.store).await?;
    let restarted = until_steady(&cluster.masters[0]).await;
    cluster.stop().await;
    let series = |what, mb| Series {
        figure: Figure::QueuedMemory,
        what,
        unit: "MB",
        want: Some(WANT_MB),
        values: vec![mb],
    };
    Ok(vec![
        series("most memory of the master while the jobs are queued", most),
        series(
            "most memory of a master started with all of them open",
            restarted,
        ),
    ])
}

/// The most memory seen until it has not grown for a while.
async fn until_steady(process: &Process) -> f64 {
    let mut most: f64 = 0.0;
    let mut grew = Instant::now();
    while grew.elapsed() < STEADY {
        let now = process.usage().rss_mb;
        if now > most {
            most = now;
            grew = Instant::now();
        }
        tokio::time::sleep(POLL).await;
    }
    most
}
