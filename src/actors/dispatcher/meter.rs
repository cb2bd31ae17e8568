//! Metrics of the queue (spec/process-model-and-config.md 11). The processes
//! share the gauges of a node's pending work: the dispatcher counts what no
//! worker has, and each worker counts what it runs. The sum over all processes
//! is the node's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::job;
use crate::job::{Job, JobId, Kind, Kinds, Millis, is_of_request};
use crate::protocol::message::{AttemptOutcome, End};
use crate::protocol::{BacklogBoard, Dormant, OpenJobs};
use crate::store::Release;

use super::live::LiveBoard;
use crate::dispatch::tally::{GaugeCount, Tally};

/// Reports the tally while it lives.
pub(super) struct Meter {
    board: Arc<BacklogBoard>,
    hidden: Option<job::Gauge>,
    shown: Tally,
    dormant: Option<Dormant>,
    /// By gauge slot.
    counts: Vec<(usize, Gauge)>,
    requests: Gauge,
    in_line: Gauge,
    running: Gauge,
    waited: Histogram,
    ran: Histogram,
    failures: Counter,
    /// When jobs of requests were assigned, and under which attempt. The
    /// workers' credit bounds it.
    assigned: HashMap<JobId, (u32, Instant)>,
    /// When the last block was seen.
    block_at: Millis,
    /// Where what ended is shown, if anybody watches.
    live: Option<Arc<LiveBoard>>,
    workers: Gauge,
    oldest: Vec<(Kind, Gauge)>,
}

impl Meter {
    pub(super) fn new(board: Arc<BacklogBoard>, hidden: Option<job::Gauge>) -> Self {
        board.set_jobs(Some(OpenJobs::default()));
        Self {
            board,
            hidden,
            shown: Tally::default(),
            dormant: None,
            counts: Kinds::given()
                .gauges()
                .map(|of| (of.slot(), gauge!(of.name())))
                .collect(),
            requests: gauge!("requests_in_request_process_queue_total"),
            in_line: gauge!("pending_tasks_in_request_process_queue_total"),
            running: gauge!("processing_tasks_in_request_process_queue_total"),
            waited: histogram!("tasks_in_request_process_queue_pending_duration_ms"),
            ran: histogram!("tasks_in_request_process_queue_process_duration_ms"),
            failures: counter!("tasks_in_request_process_queue_fails_total"),
            assigned: HashMap::new(),
            block_at: Millis::default(),
            live: None,
            workers: gauge!("erawan_workers_connected"),
            oldest: Kinds::given()
                .all()
                .map(|kind| {
                    let age = gauge!("erawan_oldest_job_age_seconds", "kind" => kind.name());
                    (kind, age)
                })
                .collect(),
        }
    }

    pub(super) fn show_workers(&self, connected: usize) {
        self.workers.set(connected as f64);
    }

    /// Shows how old the oldest job of each kind is.
    pub(super) fn show_oldest(&self, accepted: &HashMap<Kind, Millis>) {
        let now = Millis::now();
        for (kind, age) in &self.oldest {
            let accepted = accepted.get(kind);
            age.set(accepted.map_or(0.0, |at| at.until(now).as_secs_f64()));
        }
    }

    pub(super) fn show(&mut self, mut tally: Tally, dormant: Option<Dormant>) {
        if let Some(hidden) = self.hidden {
            tally.shares[hidden.slot()] = GaugeCount::default();
        }
        if tally == self.shown && dormant == self.dormant {
            return;
        }
        self.dormant = dormant;
        self.move_gauges(tally);
        self.board.set_jobs(Some(OpenJobs {
            counts: tally.shares.map(|share| share.open as u64),
            dormant,
        }));
    }

    fn move_gauges(&mut self, tally: Tally) {
        let old = std::mem::replace(&mut self.shown, tally);
        let step = |gauge: &Gauge, old: usize, new: usize| {
            if old != new {
                gauge.increment(new as f64 - old as f64);
            }
        };
        for (slot, gauge) in &self.counts {
            step(
                gauge,
                old.shares[*slot].waiting,
                tally.shares[*slot].waiting,
            );
        }
        step(&self.requests, old.requests, tally.requests);
        step(
            &self.in_line,
            old.request_jobs_in_line,
            tally.request_jobs_in_line,
        );
        step(
            &self.running,
            old.request_jobs_running,
            tally.request_jobs_running,
        );
    }

    /// Notes that a block was seen, so that jobs which waited for it come due.
    pub(super) fn saw_block(&mut self) {
        self.block_at = Millis::now();
    }

    /// Notes that a worker gets these jobs.
    pub(super) fn assigns(&mut self, jobs: &[Arc<Job>]) {
        let (now, instant) = (Millis::now(), Instant::now());
        for job in jobs.iter().filter(|job| is_of_request(job.key())) {
            self.assigned.insert(job.id(), (job.attempt, instant));
            let waited = self.due_at(job).until(now);
            self.waited.record(waited.as_millis() as f64);
        }
    }

    /// The instant from which a job could be assigned. A job that was held for
    /// a block came due at the last block or, if the queue is long, at an
    /// earlier one.
    fn due_at(&self, job: &Job) -> Millis {
        let block = match job.new.after_height {
            Some(_) if job.tries == 0 => self.block_at,
            _ => Millis::default(),
        };
        let held_until = job.new.not_before.unwrap_or_default();
        job.accepted_at.max(held_until).max(block)
    }

    /// Counts what workers report. It leaves out jobs that an earlier master
    /// assigned, because nothing is known of them.
    pub(super) fn ended(&mut self, outcomes: &[AttemptOutcome]) {
        for AttemptOutcome { attempt, end } in outcomes {
            let Some((number, since)) = self.assigned.get(&attempt.job) else {
                continue;
            };
            if *number != attempt.number {
                continue;
            }
            match end {
                End::Committed { failed: false, .. } => {
                    self.ran.record(since.elapsed().as_secs_f64() * 1000.0);
                }
                End::Committed { failed: true, .. } | End::Parked => self.failures.increment(1),
                End::Rescheduled { .. } | End::Fenced | End::HandedBack | End::Abandoned => {}
            }
            self.assigned.remove(&attempt.job);
        }
    }

    /// Shows from now on what ends.
    pub(super) fn watched_by(&mut self, board: Arc<LiveBoard>) {
        self.live = Some(board);
    }

    /// Shows what workers report of jobs that are known.
    pub(super) fn show_ends<'a>(
        &self,
        outcomes: &[AttemptOutcome],
        job: impl Fn(JobId) -> Option<&'a Job>,
    ) {
        let Some(board) = &self.live else {
            return;
        };
        let now = Millis::now();
        for outcome in outcomes {
            if let Some(job) = job(outcome.attempt.job) {
                board.note(&outcome.end, self.due_at(job).until(now));
            }
        }
    }

    /// Forgets jobs that were given up.
    pub(super) fn gives_up(&mut self, jobs: &[Release]) {
        for release in jobs {
            self.assigned.remove(&release.job);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.move_gauges(Tally::default());
        self.show_workers(0);
        self.show_oldest(&HashMap::new());
        self.board.set_jobs(None);
    }
}
