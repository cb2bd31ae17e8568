//! How many open jobs there are of what operators ask for.

use crate::job::Kind;

use super::queue::Phase;

/// Jobs of one sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Share {
    /// All that are open.
    pub open: usize,
    /// Those of them that no worker has.
    pub waiting: usize,
}

/// Open jobs by sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tally {
    /// Messages to other nodes.
    pub outbound_messages: Share,
    /// Messages of other nodes that no role has been given yet.
    pub inbound_messages: Share,
    /// Callbacks to client applications.
    pub callbacks: Share,
    /// Of kinds that call a crypto service: have failed and wait to try again.
    pub crypto_retries: usize,
    /// Requests with a job in line or on a worker.
    pub requests: usize,
    /// Jobs of requests that are in line.
    pub request_jobs_in_line: usize,
    /// Jobs of requests that workers have.
    pub request_jobs_running: usize,
}

impl Tally {
    /// A job of this kind enters a phase, or leaves it.
    pub(super) fn count(&mut self, kind: Kind, phase: Phase, enters: bool) {
        if matches!(phase, Phase::Blocked(_)) && kind.calls_crypto() {
            step(&mut self.crypto_retries, enters);
        }
        let share = match kind {
            Kind::DeliverMessage | Kind::MqSend => &mut self.outbound_messages,
            Kind::MqReceive => &mut self.inbound_messages,
            Kind::DeliverCallback | Kind::DeliverStatusUpdate => &mut self.callbacks,
            _ => return,
        };
        step(&mut share.open, enters);
        if !matches!(phase, Phase::Assigned(_)) {
            step(&mut share.waiting, enters);
        }
    }

    /// A job of a request does. `jobs`: of its request, in line or running.
    pub(super) fn count_of_request(&mut self, phase: Phase, jobs: &mut u32, enters: bool) {
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
    use crate::job::{Job, Millis, NewJob};

    const NOW: Millis = Millis(1000);

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
            job(1, Kind::DeliverMessage, "message:a"),
            job(2, Kind::MqSend, "send:a"),
            job(3, Kind::DeliverCallback, "callback:a"),
            job(4, Kind::MqReceive, "receive:a"),
            job(5, Kind::LedgerTransact, "sign:a"),
        ]);
        let share = |open, waiting| Share { open, waiting };
        let later = Millis(2000);
        let worker = Phase::Assigned(SessionId(1));
        for seq in [1, 3, 4, 5] {
            queue.enter(seq, worker);
        }
        queue.enter(3, Phase::HeldUntil(later));
        queue.enter(4, Phase::Parked);
        queue.enter(5, Phase::Blocked(later));
        let expected = Tally {
            outbound_messages: share(2, 1),
            callbacks: share(1, 1),
            inbound_messages: share(1, 1),
            crypto_retries: 1,
            ..Tally::default()
        };
        assert_eq!(queue.tally(), expected);
        queue.enter(5, worker);
        for seq in 1..=5 {
            queue.remove(seq);
        }
        assert_eq!(queue.tally(), Tally::default());
    }

    #[test]
    fn a_request_counts_while_it_has_jobs_to_do() {
        let kind = Kind::RpRequestUpdate;
        let mut timer = job(4, Kind::RpTimeOut, "request:b");
        timer.new.not_before = Some(Millis(5000));
        let mut queue = queue([
            job(1, kind, "request:a"),
            job(2, kind, "request:a"),
            job(3, kind, "request:b"),
            timer,
            job(5, Kind::Noop, "another"),
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
