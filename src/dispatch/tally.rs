//! Counts the open jobs that operators ask about.

use crate::job::{GAUGES, Kind};

use crate::dispatch::queue::Phase;

/// Jobs of one gauge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GaugeCount {
    pub open: usize,
    /// How many of them no worker has.
    pub waiting: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tally {
    /// By gauge slot: open jobs, and jobs that have failed and wait for their
    /// next try.
    pub shares: [GaugeCount; GAUGES],
    /// Requests with a job in line or on a worker.
    pub requests: usize,
    /// Jobs of requests that are in line.
    pub request_jobs_in_line: usize,
    /// Jobs of requests that workers have.
    pub request_jobs_running: usize,
}

impl Tally {
    /// A job of this kind enters or leaves a phase.
    pub(super) fn count(&mut self, kind: Kind, phase: Phase, enters: bool) {
        if let (Phase::Blocked(_), Some(gauge)) = (phase, kind.retry_gauge()) {
            let share = &mut self.shares[gauge.slot()];
            step(&mut share.open, enters);
            step(&mut share.waiting, enters);
        }
        let Some(gauge) = kind.gauge() else {
            return;
        };
        let share = &mut self.shares[gauge.slot()];
        step(&mut share.open, enters);
        if !matches!(phase, Phase::Assigned(_)) {
            step(&mut share.waiting, enters);
        }
    }

    /// A job of a request enters or leaves a phase. `jobs`: how many of its
    /// request are in line or running.
    pub(crate) fn count_of_request(&mut self, phase: Phase, jobs: &mut u32, enters: bool) {
        match phase {
            Phase::InLine | Phase::Blocked(_) => step(&mut self.request_jobs_in_line, enters),
            Phase::Assigned(_) | Phase::Unsettled => {
                step(&mut self.request_jobs_running, enters);
            }
            Phase::HeldUntil(_) | Phase::HeldAbove { .. } | Phase::Parked => return,
        }
        let before = *jobs;
        *jobs = if enters { before + 1 } else { before - 1 };
        if before == 0 || *jobs == 0 {
            step(&mut self.requests, enters);
        }
    }
}

fn step(count: &mut usize, up: bool) {
    if up {
        *count += 1;
    } else {
        *count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::SessionId;
    use super::super::queue::Queue;
    use super::*;
    use crate::job::{Gauge, Job, Millis, NewJob, Spec, noop};

    const NOW: Millis = Millis(1000);
    const ONE: Kind = Kind::new(&Spec::delivery(1, "one").counts_in(Gauge::new(0, "one")));
    const OTHER: Kind = Kind::new(&Spec::delivery(2, "other").counts_in(Gauge::new(1, "other")));
    const BOTH: Kind = Kind::new(
        &Spec::transactional(3, "both")
            .counts_in(Gauge::new(2, "both"))
            .counts_retries_in(Gauge::new(3, "retries")),
    );

    fn job(seq: u64, kind: Kind, key: &str) -> Job {
        Job {
            new: NewJob::new(kind, key, &()),
            seq,
            prev: 0,
            attempt: 1,
            tries: 0,
            strikes: 0,
            parked: false,
            accepted_at: NOW,
        }
    }

    fn queue(jobs: impl IntoIterator<Item = Job>) -> Queue {
        let mut queue = Queue::default();
        for job in jobs {
            assert!(queue.insert(job, false, NOW));
        }
        queue
    }

    #[test]
    fn what_is_pending_is_open_wherever_it_is_and_waits_where_no_worker_has_it() {
        let mut queue = queue([
            job(1, ONE, "one:a"),
            job(2, ONE, "one:b"),
            job(3, OTHER, "other:a"),
            job(4, BOTH, "both:a"),
            job(5, BOTH, "both:b"),
            job(6, noop::NOOP, "none:a"),
        ]);
        let share = |open, waiting| GaugeCount { open, waiting };
        let later = Millis(2000);
        let worker = Phase::Assigned(SessionId(1));
        for seq in [1, 3, 4, 5, 6] {
            queue.enter(seq, worker);
        }
        queue.enter(3, Phase::HeldUntil(later));
        queue.enter(4, Phase::Parked);
        queue.enter(5, Phase::Blocked(later));
        let mut expected = Tally::default();
        expected.shares[0] = share(2, 1);
        expected.shares[1] = share(1, 1);
        expected.shares[2] = share(2, 2);
        expected.shares[3] = share(1, 1);
        assert_eq!(queue.tally(), expected);
        queue.enter(5, worker);
        for seq in 1..=6 {
            queue.remove(seq);
        }
        assert_eq!(queue.tally(), Tally::default());
    }

    #[test]
    fn a_request_counts_while_it_has_jobs_to_do() {
        let kind = noop::NOOP;
        let mut timer = job(4, noop::NOOP, "request:b");
        timer.new.not_before = Some(Millis(5000));
        let mut queue = queue([
            job(1, kind, "request:a"),
            job(2, kind, "request:a"),
            job(3, kind, "request:b"),
            timer,
            job(5, noop::NOOP, "another"),
        ]);
        queue.enter(1, Phase::Assigned(SessionId(1)));
        let counts = |queue: &Queue| {
            let tally = queue.tally();
            let jobs = (tally.request_jobs_in_line, tally.request_jobs_running);
            (tally.requests, jobs)
        };
        assert_eq!(counts(&queue), (2, (2, 1)));
        queue.remove(3);
        assert_eq!(counts(&queue), (1, (1, 1)), "a timer is no work yet");
        queue.pass_time(Millis(5000));
        assert_eq!(counts(&queue), (2, (2, 1)));
        for seq in [1, 2, 4] {
            queue.remove(seq);
        }
        assert_eq!(counts(&queue), (0, (0, 0)));
    }
}
