//! Looks at the node once a second, for everybody who looks at a dashboard.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use super::facts::NodeFacts;
use super::pages;
use super::seen::{LastLook, Live, REMEMBERED, Sample};
use crate::actors::dispatcher::LiveFigures;
use crate::dispatch::Overview;
use crate::job::Millis;
use crate::operator::OpenDesk;
use crate::store::Counts;
use crate::tick;

/// A store or a master that takes longer is shown as silent.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves what it saw last.
pub(super) struct Sampler {
    facts: Arc<dyn Fn() -> NodeFacts + Send + Sync>,
    desk: OpenDesk,
    /// `None` once it has stopped: nobody gets news any more.
    shown: Mutex<Option<watch::Sender<Arc<LastLook>>>>,
    seen: watch::Receiver<Arc<LastLook>>,
}

impl Sampler {
    pub fn new(facts: Arc<dyn Fn() -> NodeFacts + Send + Sync>, desk: OpenDesk) -> Self {
        let first = LastLook {
            facts: facts(),
            overview: None,
            counts: Err("the process is starting".to_owned()),
            samples: VecDeque::new(),
            frames: [const { Bytes::new() }; Live::ALL.len()],
        };
        let (shown, seen) = watch::channel(Arc::new(first));
        Self {
            facts,
            desk,
            shown: Mutex::new(Some(shown)),
            seen,
        }
    }

    /// What it saw last.
    pub fn seen(&self) -> Arc<LastLook> {
        self.seen.borrow().clone()
    }

    /// Follows what it sees. Closed when the dashboard stops.
    pub fn follow(&self) -> watch::Receiver<Arc<LastLook>> {
        self.seen.clone()
    }

    pub fn stop(&self) {
        *self.shown.lock() = None;
    }

    /// Looks until it is stopped.
    pub async fn run(self: Arc<Self>) {
        let mut looked = Instant::now();
        loop {
            tokio::time::sleep(tick::stretch(tick::SECOND)).await;
            let since = looked.elapsed();
            looked = Instant::now();
            let seen = self.look(since).await;
            match &*self.shown.lock() {
                Some(shown) => shown.send_replace(Arc::new(seen)),
                None => return,
            };
        }
    }

    async fn look(&self, since: Duration) -> LastLook {
        let figures = self.desk.live().map(|live| live.take());
        let (overview, counts) = self.ask().await;
        let before = self.seen();
        let mut samples = before.samples.clone();
        samples.push_back(sample(since, figures, overview.as_ref(), &counts));
        while samples.len() > REMEMBERED {
            samples.pop_front();
        }
        let mut seen = LastLook {
            facts: (self.facts)(),
            overview: overview.map(Arc::new),
            counts,
            samples,
            frames: Default::default(),
        };
        seen.frames = Live::ALL.map(|live| pages::frame(live, &seen));
        seen
    }

    async fn ask(&self) -> (Option<Overview>, Result<Counts, String>) {
        let Some(desk) = self.desk.now() else {
            return (None, Err("the store is not open yet".to_owned()));
        };
        let (overview, counts) = tokio::join!(
            timeout(PATIENCE, desk.overview()),
            timeout(PATIENCE, desk.counts()),
        );
        let counts = match counts {
            Ok(counts) => counts.map_err(|error| error.to_string()),
            Err(_) => Err("the store does not answer".to_owned()),
        };
        (overview.unwrap_or_default(), counts)
    }
}

fn sample(
    since: Duration,
    figures: Option<LiveFigures>,
    overview: Option<&Overview>,
    counts: &Result<Counts, String>,
) -> Sample {
    // Without a master here, nothing is heard of what ends.
    let figures = figures.filter(|_| overview.is_some());
    let rate = |count: u64| {
        let rate = count as f64 / since.as_secs_f64().max(0.001);
        (rate * 10.0).round() / 10.0
    };
    let took = |part: f64| {
        let figures = figures.as_ref().filter(|figures| figures.ended > 0)?;
        Some(figures.took.value_at_quantile(part))
    };
    let jobs = overview.map(|overview| overview.snapshot.jobs);
    Sample {
        at: Millis::now().0,
        ended_per_s: figures.as_ref().map(|figures| rate(figures.ended)),
        failed_per_s: figures.as_ref().map(|figures| rate(figures.failed)),
        delayed_per_s: figures.as_ref().map(|figures| rate(figures.delayed)),
        p50_ms: took(0.5),
        p95_ms: took(0.95),
        p99_ms: took(0.99),
        open: counts.as_ref().ok().map(|counts| counts.open),
        running: jobs.map(|jobs| jobs.assigned as u64),
    }
}
