//! Calls a node's API at a steady pace from a thread of its own, so that other
//! work of this process does not disturb the measurement.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Pause between calls, whatever their results.
const PACE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(20);

/// The calls in progress.
pub(super) struct Probes {
    thread: JoinHandle<io::Result<ProbedCalls>>,
    stop: Arc<AtomicBool>,
}

/// Their results.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProbedCalls {
    pub count: usize,
    pub failed: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub worst_ms: f64,
}

impl Probes {
    /// Starts the calls.
    /// # Errors
    /// When no thread can be started.
    pub fn start(urls: Vec<String>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("probes".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(call(&urls, &stopped))
            })?;
        Ok(Self { thread, stop })
    }

    /// Stops, and waits for the last answers.
    /// # Errors
    /// When no calls could be made.
    pub fn stop(self) -> io::Result<ProbedCalls> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("the thread of the probes panicked")))
    }
}

/// A read of the store, a look at the ledger, a write to the store.
#[derive(Debug, Clone, Copy)]
enum ProbeCall {
    Reference,
    Services,
    Write,
}

const CALLS: [ProbeCall; 3] = [ProbeCall::Reference, ProbeCall::Services, ProbeCall::Write];

impl ProbeCall {
    async fn make(self, client: &Client, base: &str) -> bool {
        let (request, wanted) = match self {
            ProbeCall::Reference => (
                client.get(format!("{base}/v6/rp/request_references/nobody")),
                StatusCode::NOT_FOUND,
            ),
            ProbeCall::Services => (
                client.get(format!("{base}/v6/utility/services")),
                StatusCode::OK,
            ),
            ProbeCall::Write => (
                client
                    .post(format!("{base}/v6/rp/callback"))
                    .json(&json!({"error_url": "http://127.0.0.1:9/nobody"})),
                StatusCode::NO_CONTENT,
            ),
        };
        let Ok(answer) = request.send().await else {
            return false;
        };
        let status = answer.status();
        answer.bytes().await.is_ok() && status == wanted
    }
}

async fn call(urls: &[String], stop: &AtomicBool) -> io::Result<ProbedCalls> {
    let client = Client::builder().timeout(PATIENCE).build();
    let client = client.map_err(io::Error::other)?;
    let times: Arc<Mutex<Vec<(f64, bool)>>> = Arc::default();
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = JoinSet::new();
    let turns = urls.iter().flat_map(|url| CALLS.map(|call| (url, call)));
    for (url, call) in turns.cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        ticks.tick().await;
        let (client, url, times) = (client.clone(), url.clone(), times.clone());
        under_way.spawn(async move {
            let started = Instant::now();
            let is_right = call.make(&client, &url).await;
            let took = started.elapsed().as_secs_f64() * 1000.0;
            times.lock().push((took, is_right));
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
    let times = std::mem::take(&mut *times.lock());
    Ok(summary(times))
}

fn summary(times: Vec<(f64, bool)>) -> ProbedCalls {
    let failed = times.iter().filter(|(_, is_right)| !is_right).count();
    let mut sorted: Vec<f64> = times.into_iter().map(|(took, _)| took).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = (sorted.len() as f64 * part).ceil() as usize;
        let took = sorted.get(place.saturating_sub(1)).copied();
        (took.unwrap_or_default() * 100.0).round() / 100.0
    };
    ProbedCalls {
        count: sorted.len(),
        failed,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        worst_ms: at(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_hundred_is_above_the_99th_percentile() {
        let times = (1..=100).map(|n| (f64::from(n), n != 3)).collect();
        let calls = summary(times);
        assert_eq!((calls.count, calls.failed), (100, 1));
        assert_eq!(
            (calls.p50_ms, calls.p99_ms, calls.worst_ms),
            (50.0, 99.0, 100.0)
        );
        assert_eq!(summary(Vec::new()).p99_ms, 0.0);
    }
}
