//! The cost of durability: Redis writes of a job from its accept to its end, by
//! Redis' own statistics.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::{Figure, Series};
use crate::bench::cluster::{Cluster, ClusterOptions, accept_all, noop, wait_until_empty};
use crate::devnet::command::StoreArgument;
use crate::devnet::redis_server::RedisServer;

const CONCURRENCY: usize = 16;
const WARM_UP: u64 = 200;

/// Calls of each command so far.
type Calls = BTreeMap<String, u64>;

/// Every job is accepted by a call of its own. Every operation that changes
/// anything is one script (`evalsha`). Within it, an accept adds the job to two
/// sorted sets (`zadd`: the open jobs, the line of its key) and a commit
/// removes it from them (`zrem`). The calls of an idle cluster in the same time
/// (scans, the lease) are subtracted.
pub(super) async fn measure(jobs: u64, n: usize) -> io::Result<Vec<Series>> {
    let cluster = Cluster::start(ClusterOptions {
        store: StoreArgument::Redis,
        masters: 1,
        workers: 2,
        hold: Duration::ZERO,
        note_starts: false,
    })
    .await?;
    let redis = cluster.redis.as_ref().map(RedisServer::port);
    let port = redis.ok_or_else(|| io::Error::other("no Redis server"))?;
    run_jobs(&cluster, 0, WARM_UP).await?;
    let (mut scripts, mut accepts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..n as u64 {
        let before = calls(port).await?;
        let started = tokio::time::Instant::now();
        run_jobs(&cluster, WARM_UP + round * jobs, jobs).await?;
        let took = started.elapsed();
        let between = calls(port).await?;
        tokio::time::sleep(took).await;
        let after = calls(port).await?;
        let per_job = |command: &str| {
            let at = |calls: &Calls| calls.get(command).copied().unwrap_or_default() as f64;
            let busy = at(&between) - at(&before);
            let idle = at(&after) - at(&between);
            (busy - idle) / jobs as f64
        };
        scripts.push(per_job("evalsha"));
        accepts.push(per_job("zadd"));
        ends.push(per_job("zrem"));
    }
    cluster.stop().await;
    let series = |what, values| Series {
        figure: Figure::WritesPerJob,
        what,
        unit: "calls",
        want: Some(2.0),
        values,
    };
    Ok(vec![
        series("writes a job: one script to accept, one to commit", scripts),
        series("additions to sorted sets (ZADD) a job", accepts),
        series("removals from sorted sets (ZREM) a job", ends),
    ])
}

async fn run_jobs(cluster: &Cluster, first: u64, jobs: u64) -> io::Result<()> {
    let alone = (first..first + jobs).map(|number| vec![noop(number)]);
    accept_all(&cluster.store, alone, CONCURRENCY).await?;
    wait_until_empty(&cluster.store).await
}

/// `INFO commandstats`.
async fn calls(port: u16) -> io::Result<Calls> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"));
    let client = client.map_err(io::Error::other)?;
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.map_err(io::Error::other)?;
    let mut command = redis::cmd("INFO");
    command.arg("commandstats");
    let text: String = command
        .query_async(&mut connection)
        .await
        .map_err(io::Error::other)?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Calls {
    let lines = text.lines().filter_map(|line| {
        let (command, statistics) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let calls = statistics
            .split(',')
            .find_map(|part| part.strip_prefix("calls="))?;
        Some((command.to_owned(), calls.parse().ok()?))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_redis_statistics() {
        let text = "# Commandstats\r\ncmdstat_evalsha:calls=12,usec=3,usec_per_call=1.0\r\ncmdstat_zadd:calls=2,usec=1";
        let calls = parse(text);
        assert_eq!((calls["evalsha"], calls["zadd"]), (12, 2));
        assert_eq!(calls.len(), 2);
    }
}
