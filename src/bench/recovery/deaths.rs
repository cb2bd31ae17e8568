//! Time from the death or silence of a process to the start of the next job.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::starts::Starts;
use super::{Figure, Series};
use crate::bench::cluster::{Cluster, ClusterOptions, noop};
use crate::bench::node::micros_now;
use crate::devnet::command::StoreArgument;
use crate::devnet::process::Process;
use crate::store::Accept;

/// Duration of the job whose worker is lost.
const HOLD: Duration = Duration::from_secs(1);
/// One dies; the other two stay connected.
const WORKERS: usize = 3;
/// A worker that was restarted, or given up, comes back within this time.
const BREATH: Duration = Duration::from_secs(1);

async fn cluster(store: StoreArgument, masters: usize, hold: Duration) -> io::Result<Cluster> {
    let cluster = Cluster::start(ClusterOptions {
        store,
        masters,
        workers: WORKERS,
        hold,
        note_starts: true,
    });
    let cluster = cluster.await?;
    tokio::time::sleep(BREATH).await;
    Ok(cluster)
}

/// Accepts one job. Returns its key.
async fn accept(cluster: &Cluster, number: usize) -> io::Result<String> {
    let job = noop(number as u64);
    let key = job.key.to_string();
    let accept = Accept {
        jobs: vec![job],
        ..Accept::default()
    };
    cluster
        .store
        .accept(accept)
        .await
        .map_err(io::Error::other)?;
    Ok(key)
}

fn milliseconds(since: u64, until: u64) -> f64 {
    until.saturating_sub(since) as f64 / 1000.0
}

/// From the kill of a worker in the middle of a job to the start of that job on
/// another one.
pub(super) async fn worker_killed(store: StoreArgument, n: usize) -> io::Result<Series> {
    let mut cluster = cluster(store, 1, HOLD).await?;
    let mut values = Vec::with_capacity(n);
    for number in 0..n {
        let (worker, mut starts, key) = job_under_way(&mut cluster, number).await?;
        let pid = worker.pid();
        let at = micros_now();
        worker.kill().await;
        let again = starts.next(|start| start.key == key && Some(start.pid) != pid);
        values.push(milliseconds(at, again.await?.at));
        worker.start_again()?;
        tokio::time::sleep(BREATH).await;
    }
    cluster.stop().await;
    Ok(Series {
        figure: Figure::WorkerKilled,
        what: "worker kill -9 to the start of its job elsewhere",
        unit: "ms",
        want: Some(500.0),
        values,
    })
}

/// The same, but the worker only falls silent (SIGSTOP).
pub(super) async fn worker_silent(store: StoreArgument, n: usize) -> io::Result<Series> {
    let mut cluster = cluster(store, 1, HOLD).await?;
    let mut values = Vec::with_capacity(n);
    for number in 0..n {
        let (worker, mut starts, key) = job_under_way(&mut cluster, number).await?;
        let pid = worker.pid();
        let at = micros_now();
        worker.signal(Signal::SIGSTOP);
        let again = starts.next(|start| start.key == key && Some(start.pid) != pid);
        values.push(milliseconds(at, again.await?.at));
        worker.signal(Signal::SIGCONT);
        tokio::time::sleep(BREATH).await;
    }
    cluster.stop().await;
    Ok(Series {
        figure: Figure::WorkerSilent,
        what: "worker SIGSTOP to the start of its job elsewhere",
        unit: "ms",
        want: Some(3000.0),
        values,
    })
}

/// Accepts a job and waits until it has begun. Returns the worker that runs it.
async fn job_under_way(
    cluster: &mut Cluster,
    number: usize,
) -> io::Result<(&mut Process, Starts, String)> {
    let mut starts = Starts::from_now(&cluster.starts);
    let key = accept(cluster, number).await?;
    let start = starts.next(|start| start.key == key).await?;
    let mut workers = cluster.workers.iter_mut();
    let worker = workers.find(|worker| worker.pid() == Some(start.pid));
    let worker = worker.ok_or_else(|| io::Error::other("a job runs nowhere"))?;
    Ok((worker, starts, key))
}

/// From the kill of the master to the first start of a job accepted after it.
pub(super) async fn standby_takes_over(n: usize) -> io::Result<Series> {
    let mut cluster = cluster(StoreArgument::Redis, 2, Duration::ZERO).await?;
    let mut values = Vec::with_capacity(n);
    for number in 0..n {
        // The restarted one is the standby now.
        let master = number % 2;
        let mut starts = Starts::from_now(&cluster.starts);
        let at = micros_now();
        cluster.masters[master].kill().await;
        let key = accept(&cluster, number).await?;
        let first = starts.next(|start| start.key == key).await?;
        values.push(milliseconds(at, first.at));
        cluster.masters[master].start_again()?;
        tokio::time::sleep(BREATH).await;
    }
    cluster.stop().await;
    Ok(Series {
        figure: Figure::StandbyTakesOver,
        what: "master kill -9 to the first start by the standby",
        unit: "ms",
        want: Some(3000.0),
        values,
    })
}
