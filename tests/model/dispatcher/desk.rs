//! A dispatcher core to try single cases on.

use std::time::Duration;

use erawan::dispatch::{Action, Core, Event, Options, SessionId};
use erawan::job::{Attempt, Job, JobId, Kind, Millis, NewJob, noop};
use erawan::protocol::message::{AttemptOutcome, End, RunningAttempt};
use erawan::store::Released;

pub const NOW: Millis = Millis(1_000_000);
pub const ONE: SessionId = SessionId(1);
pub const TWO: SessionId = SessionId(2);

/// A core, and what it wants done.
pub struct Desk {
    pub core: Core,
    pub now: Millis,
    pub actions: Vec<Action>,
}

impl Desk {
    /// A dispatcher that found these jobs at its start.
    pub fn loaded(jobs: Vec<Job>) -> Self {
        let mut desk = Self {
            core: Core::new(Options::default()),
            now: NOW,
            actions: Vec::new(),
        };
        desk.happen(Event::Start);
        desk.happen(Event::Loaded { jobs, full: false });
        desk
    }

    /// One whose only worker runs what it can of these jobs.
    pub fn at_work(jobs: &[&Job]) -> Self {
        let mut desk = Self::loaded(Vec::new());
        desk.connect(ONE, 5, &[]);
        desk.announce(jobs);
        desk.assigned();
        desk
    }

    pub fn happen(&mut self, event: Event) {
        self.actions.extend(self.core.handle(self.now, event));
    }

    pub fn announce(&mut self, jobs: &[&Job]) {
        let jobs = jobs.iter().map(|job| (*job).clone()).collect();
        self.happen(Event::Announced(jobs));
    }

    pub fn pass(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
        self.happen(Event::Wake);
    }

    pub fn connect(&mut self, session: SessionId, capacity: u32, running: &[(&Job, u32)]) {
        let running = running.iter().map(|(job, number)| RunningAttempt {
            attempt: Attempt {
                job: job.id(),
                number: *number,
            },
            pool: job.kind().pool(),
        });
        self.happen(Event::SessionUp {
            session,
            worker: format!("worker{}", session.0),
            run_capacity: capacity,
            delivery_capacity: capacity,
            running: running.collect(),
        });
    }

    pub fn end(&mut self, session: SessionId, job: &Job, attempt: u32, end: End) {
        let attempt = Attempt {
            job: job.id(),
            number: attempt,
        };
        self.happen(Event::Outcomes {
            session,
            outcomes: vec![AttemptOutcome { attempt, end }],
        });
    }

    /// What was wanted since the last look, of one kind: it is taken off the rest.
    fn take<T>(&mut self, wanted: impl Fn(&Action) -> Option<Vec<T>>) -> Vec<T> {
        let mut taken = Vec::new();
        self.actions.retain(|action| match wanted(action) {
            Some(wanted) => {
                taken.extend(wanted);
                false
            }
            None => true,
        });
        taken
    }

    /// Assignments since the last look: session, `seq`, attempt.
    pub fn assigned(&mut self) -> Vec<(SessionId, u64, u32)> {
        self.take(|action| match action {
            Action::Assign { session, jobs } => {
                let assigned = jobs.iter().map(|job| (*session, job.seq, job.attempt));
                Some(assigned.collect())
            }
            _ => None,
        })
    }

    /// Ids whose attempts were to be raised since the last look.
    pub fn released(&mut self) -> Vec<JobId> {
        self.struck().into_iter().map(|(job, _)| job).collect()
    }

    /// The same, with whether it counts against the job.
    pub fn struck(&mut self) -> Vec<(JobId, bool)> {
        self.take(|action| match action {
            Action::Release(jobs) => {
                let released = jobs.iter().map(|job| (job.job, job.strike.is_some()));
                Some(released.collect())
            }
            _ => None,
        })
    }

    /// Ids that were to be read since the last look.
    pub fn fetched(&mut self) -> Vec<JobId> {
        self.take(|action| match action {
            Action::Fetch(ids) => Some(ids.clone()),
            _ => None,
        })
    }

    /// The store says this of a job that is being read.
    pub fn found(&mut self, job: &Job) {
        self.happen(Event::Fetched(vec![(job.id(), Some(job.clone()))]));
    }

    /// Raises the attempt of a job if that was asked for.
    pub fn raised_if_asked(&mut self, job: &Job) {
        if self.released().contains(&job.id()) {
            self.raised(job, job.attempt + 1);
        }
    }

    pub fn scans(&mut self) -> usize {
        let before = self.actions.len();
        self.actions
            .retain(|action| !matches!(action, Action::Scan { .. }));
        before - self.actions.len()
    }

    /// The store raised the attempt, and this is the job now.
    pub fn raised(&mut self, job: &Job, attempt: u32) {
        let job = Job {
            attempt,
            ..job.clone()
        };
        self.happen(Event::Released(vec![(
            job.id(),
            Released::Open { attempt },
        )]));
        self.happen(Event::Fetched(vec![(job.id(), Some(job))]));
    }
}

pub fn job(seq: u64, prev: u64, key: &str) -> Job {
    job_of(noop::NOOP, seq, prev, key)
}

pub fn job_of(kind: Kind, seq: u64, prev: u64, key: &str) -> Job {
    Job {
        new: NewJob::new(kind, key, &()),
        seq,
        prev,
        attempt: 1,
        tries: 0,
        strikes: 0,
        parked: false,
        accepted_at: NOW,
    }
}

pub fn done() -> End {
    End::Committed {
        failed: false,
        jobs: Vec::new(),
        cancelled: Vec::new(),
        callers: Vec::new(),
    }
}

/// A job that its fifth lost worker got parked.
pub fn parked(job: &Job) -> Job {
    Job {
        attempt: job.attempt + 1,
        strikes: 5,
        parked: true,
        ..job.clone()
    }
}

pub fn raised_to(job: &Job, attempt: u32) -> Job {
    Job {
        attempt,
        ..job.clone()
    }
}
