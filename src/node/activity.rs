//! Counts what a process runs, and reports it as metrics
//! (spec/process-model-and-config.md 11).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::delivery::message;
use crate::error::Error;
use crate::job::{Commit, GAUGES, Job, JobOutcome, Kind, Kinds, Millis, Run};
use crate::messaging::{far, inbound, outbound};

/// The jobs this process is running, and the outcomes of those it has run.
/// Created once, so that a run looks up no metric by name.
pub struct Activity {
    kinds: HashMap<Kind, OfKind>,
    not_waiting: Histogram,
    waiting: Histogram,
    acknowledged: Histogram,
}

struct OfKind {
    running: AtomicU64,
    /// The replaced system's metric for these jobs, if it has one. The master
    /// adds the jobs that no worker has.
    pending: Gauge,
    total: Counter,
    duration: Histogram,
}

impl OfKind {
    fn new(kind: Kind) -> Self {
        let pending = kind
            .gauge()
            .map_or_else(Gauge::noop, |of| gauge!(of.name()));
        let total = counter!("erawan_jobs_total", "kind" => kind.name());
        let duration = histogram!("erawan_job_duration_ms", "kind" => kind.name());
        Self {
            running: AtomicU64::new(0),
            pending,
            total,
            duration,
        }
    }
}

impl Default for Activity {
    fn default() -> Self {
        let received = |waits: &'static str| histogram!("inbound_mq_message_process_duration_ms", "type" => waits);
        let kinds = Kinds::given().all();
        Self {
            kinds: kinds.map(|kind| (kind, OfKind::new(kind))).collect(),
            not_waiting: received("does_not_wait_for_block"),
            waiting: received("wait_for_block"),
            acknowledged: histogram!("outbound_mq_message_duration_ms"),
        }
    }
}

impl Activity {
    /// Running jobs by gauge slot.
    pub fn running(&self) -> [u64; GAUGES] {
        let mut running = [0; GAUGES];
        for (kind, of_kind) in &self.kinds {
            if let Some(gauge) = kind.gauge() {
                running[gauge.slot()] += of_kind.running.load(Ordering::Relaxed);
            }
        }
        running
    }

    /// Counts a job as running until the guard is dropped.
    pub(super) fn begin(&self, kind: Kind) -> RunningGuard<'_> {
        let of_kind = self.kinds.get(&kind);
        if let Some(of_kind) = of_kind {
            of_kind.running.fetch_add(1, Ordering::Relaxed);
            of_kind.pending.increment(1.0);
        }
        RunningGuard(of_kind)
    }

    /// Counts a finished run. `height` is that of the newest block.
    pub(super) fn ended(
        &self,
        job: &Job,
        duration: Duration,
        outcome: &Result<Run, Error>,
        height: u64,
    ) {
        if let Some(of_kind) = self.kinds.get(&job.kind()) {
            of_kind.total.increment(1);
            of_kind.duration.record(duration.as_secs_f64() * 1000.0);
        }
        if let Ok(Run::Commit(commit)) = outcome {
            let kind = job.kind();
            if kind == inbound::RECEIVE || kind == far::GIVE_UP {
                self.received(job, commit, height);
            } else if kind == outbound::SEND || kind == message::DELIVER {
                self.sent(job, commit);
            }
        }
    }

    /// Times a message from its acceptance until its role has it, or until it
    /// waits for a block.
    fn received(&self, job: &Job, commit: &Commit, height: u64) {
        if is_failed(commit) {
            counter!("inbound_mq_message_process_fails_total").increment(1);
            return;
        }
        let waits = |block: u64| block >= height;
        let waits = commit
            .jobs
            .iter()
            .any(|job| job.after_height.is_some_and(waits));
        let histogram = if waits {
            &self.waiting
        } else {
            &self.not_waiting
        };
        histogram.record(age(job));
    }

    fn sent(&self, job: &Job, commit: &Commit) {
        if is_failed(commit) {
            counter!("outbound_mq_message_fails_total").increment(1);
        } else if job.kind() == message::DELIVER {
            self.acknowledged.record(age(job));
        }
    }
}

fn is_failed(commit: &Commit) -> bool {
    matches!(commit.outcome, JobOutcome::Failed { .. })
}

/// Milliseconds since the job was accepted, retries included.
fn age(job: &Job) -> f64 {
    job.accepted_at.until(Millis::now()).as_millis() as f64
}

/// Counts a job until it is dropped.
pub(super) struct RunningGuard<'a>(Option<&'a OfKind>);

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        if let Some(of_kind) = self.0 {
            of_kind.running.fetch_sub(1, Ordering::Relaxed);
            of_kind.pending.decrement(1.0);
        }
    }
}
