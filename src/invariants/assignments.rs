//! Checks what one dispatcher assigns. It follows the events and actions of the
//! core and remembers only what each session was given and has not given back,
//! which the workers' credit bounds.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use crate::dispatch::{Action, Event, SessionId};
use crate::job::{Job, JobId, Pool};
use crate::protocol::message::{AttemptOutcome, End, RunningAttempt};
use crate::store::Released;

use super::{Invariant, Violation};

/// How many ended jobs are remembered, to notice when one is assigned again.
const ENDED_REMEMBERED: usize = 1024;

/// An attempt that is on a worker, as far as the dispatcher knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Out {
    attempt: u32,
    session: SessionId,
    /// Hash of its key; unknown if a worker brought it from another master.
    key: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Session {
    worker: String,
    capacities: [u32; 2],
    in_use: [u32; 2],
    has: BTreeMap<(JobId, u32), Pool>,
}

impl Session {
    fn gets(&mut self, id: JobId, attempt: u32, pool: Pool) {
        if self.has.insert((id, attempt), pool).is_none() {
            self.in_use[index(pool)] += 1;
        }
    }

    fn gives_back(&mut self, id: JobId, attempt: u32) {
        if let Some(pool) = self.has.remove(&(id, attempt)) {
            self.in_use[index(pool)] -= 1;
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Assignments {
    sessions: BTreeMap<SessionId, Session>,
    out: BTreeMap<JobId, Out>,
    /// The assigned job of each key.
    keys: BTreeMap<u64, JobId>,
    /// The last attempt of each of the latest ended jobs. An operator may run a
    /// failed one again, with a higher attempt.
    ended: BTreeMap<JobId, u32>,
    ended_order: VecDeque<JobId>,
}

impl Assignments {
    /// Takes an event. Must be called before the core handles it.
    pub fn told(&mut self, event: &Event) -> Option<Violation> {
        match event {
            Event::SessionUp {
                session,
                worker,
                run_capacity,
                delivery_capacity,
                running,
            } => {
                let capacities = [*run_capacity, *delivery_capacity];
                self.session_up(*session, worker, capacities, running);
            }
            Event::SessionDown(session) => self.session_down(*session),
            Event::Outcomes { session, outcomes } => {
                for outcome in outcomes {
                    self.reported(*session, outcome);
                }
            }
            Event::Released(released) => {
                let mut seen = None;
                for (id, fate) in released {
                    seen = seen.or(self.released(*id, fate));
                }
                return seen;
            }
            Event::Changed(job) => self.heard_of(job),
            Event::Announced(jobs) | Event::Loaded { jobs, .. } => {
                jobs.iter().for_each(|job| self.heard_of(job));
            }
            Event::Fetched(found) => {
                let jobs = found.iter().filter_map(|(_, job)| job.as_ref());
                jobs.for_each(|job| self.heard_of(job));
            }
            Event::Gone(id) => {
                self.take_back(*id);
            }
            _ => {}
        }
        None
    }

    /// Takes an action of the core. Returns the first violation.
    pub fn wants(&mut self, action: &Action) -> Option<Violation> {
        let Action::Assign { session, jobs } = action else {
            return None;
        };
        let mut seen = None;
        for job in jobs {
            seen = seen.or(self.assigned(*session, job));
        }
        seen
    }

    fn session_up(
        &mut self,
        session: SessionId,
        worker: &str,
        capacities: [u32; 2],
        running: &[RunningAttempt],
    ) {
        let earlier = self
            .sessions
            .iter()
            .find(|(_, known)| known.worker == worker)
            .map(|(id, _)| *id);
        let mut known = Session {
            worker: worker.to_owned(),
            capacities,
            in_use: [0; 2],
            has: BTreeMap::new(),
        };
        for run in running {
            let (id, attempt) = (run.attempt.job, run.attempt.number);
            known.gets(id, attempt, run.pool);
            self.brought(session, earlier, id, attempt);
        }
        self.sessions.insert(session, known);
        if let Some(earlier) = earlier {
            self.session_down(earlier);
        }
    }

    /// A worker claims this attempt when it connects.
    fn brought(&mut self, session: SessionId, earlier: Option<SessionId>, id: JobId, attempt: u32) {
        match self.out.get_mut(&id) {
            Some(out) if out.attempt > attempt => {}
            Some(out) if Some(out.session) == earlier => {
                out.session = session;
                out.attempt = attempt;
            }
            Some(_) => {}
            None => {
                let key = None;
                let out = Out {
                    attempt,
                    session,
                    key,
                };
                self.out.insert(id, out);
            }
        }
    }

    /// Attempts that were assigned to a lost session stay out until they are
    /// raised. Attempts that the worker only claimed are forgotten.
    fn session_down(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        self.out
            .retain(|_, out| out.session != session || out.key.is_some());
    }

    /// An operator can raise an attempt too: that of a failed job whose end may
    /// not have been reported yet.
    fn heard_of(&mut self, job: &Job) {
        if (self.out.get(&job.id())).is_some_and(|out| out.attempt < job.attempt) {
            self.take_back(job.id());
        }
    }

    fn reported(&mut self, session: SessionId, outcome: &AttemptOutcome) {
        let (id, attempt) = (outcome.attempt.job, outcome.attempt.number);
        if let Some(known) = self.sessions.get_mut(&session) {
            known.gives_back(id, attempt);
        }
        let Some(out) = self.out.get(&id).copied() else {
            return;
        };
        let committed = matches!(outcome.end, End::Committed { .. });
        if committed && out.attempt <= attempt {
            if let Some(holder) = self.sessions.get_mut(&out.session) {
                holder.gives_back(id, attempt);
            }
            self.remember_ended(id, attempt);
        } else if out.attempt != attempt || out.session != session {
            return;
        }
        self.take_back(id);
    }

    fn released(&mut self, id: JobId, fate: &Released) -> Option<Violation> {
        let out = self.take_back(id)?;
        match fate {
            Released::Open { attempt } if *attempt <= out.attempt => {
                let detail = format!(
                    "job {id} was given up with attempt {} and has attempt {attempt} now",
                    out.attempt
                );
                Some(Violation::new(Invariant::AssignedOnce, detail))
            }
            Released::Open { .. } => None,
            Released::Ended => {
                self.remember_ended(id, out.attempt);
                None
            }
        }
    }

    fn assigned(&mut self, session: SessionId, job: &Job) -> Option<Violation> {
        let (id, attempt, pool) = (job.id(), job.attempt, job.kind().pool());
        let key = hash(job.key());
        let seen = self
            .twice(job)
            .or_else(|| self.beside(key, job))
            .or_else(|| self.beyond_credit(session, job));
        if let Some(known) = self.sessions.get_mut(&session) {
            known.gets(id, attempt, pool);
        }
        self.take_back(id);
        let key = Some(key);
        self.out.insert(
            id,
            Out {
                attempt,
                session,
                key,
            },
        );
        if let Some(key) = key {
            self.keys.insert(key, id);
        }
        seen
    }

    fn twice(&self, job: &Job) -> Option<Violation> {
        let id = job.id();
        if (self.ended.get(&id)).is_some_and(|ended| *ended >= job.attempt) {
            let detail = format!("job {id} is assigned after it has ended");
            return Some(Violation::new(Invariant::AssignedOnce, detail));
        }
        // An attempt on a worker is taken back, or raised in the store, before
        // its job is assigned again.
        let out = (self.out.get(&id)).filter(|out| out.attempt >= job.attempt)?;
        let detail = format!(
            "attempt {} of job {id} is assigned while attempt {} is on session {}",
            job.attempt, out.attempt, out.session.0
        );
        Some(Violation::new(Invariant::AssignedOnce, detail))
    }

    fn beside(&self, key: u64, job: &Job) -> Option<Violation> {
        let other = *self.keys.get(&key)?;
        if other == job.id() {
            return None;
        }
        let detail = format!(
            "job {} is assigned while job {other} of its key {:?} is out",
            job.id(),
            job.key()
        );
        Some(Violation::new(Invariant::KeyAlone, detail))
    }

    fn beyond_credit(&self, session: SessionId, job: &Job) -> Option<Violation> {
        let (id, pool) = (job.id(), job.kind().pool());
        let Some(known) = self.sessions.get(&session) else {
            let detail = format!(
                "job {id} is assigned to session {}, which is gone",
                session.0
            );
            return Some(Violation::new(Invariant::CreditKept, detail));
        };
        let (has, capacity) = (known.in_use[index(pool)], known.capacities[index(pool)]);
        if has < capacity {
            return None;
        }
        let detail = format!(
            "job {id} is assigned to {}, which has {has} of {capacity} in pool {pool:?}",
            known.worker
        );
        Some(Violation::new(Invariant::CreditKept, detail))
    }

    fn take_back(&mut self, id: JobId) -> Option<Out> {
        let out = self.out.remove(&id)?;
        if let Some(key) = out.key
            && self.keys.get(&key) == Some(&id)
        {
            self.keys.remove(&key);
        }
        Some(out)
    }

    fn remember_ended(&mut self, id: JobId, attempt: u32) {
        if self.ended.insert(id, attempt).is_none() {
            self.ended_order.push_back(id);
        }
        if self.ended_order.len() > ENDED_REMEMBERED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}

fn index(pool: Pool) -> usize {
    match pool {
        Pool::Run => 0,
        Pool::Delivery => 1,
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::job::{Attempt, Millis, NewJob, noop};

    const SESSION: SessionId = SessionId(1);

    fn job(seq: u64) -> Arc<Job> {
        Arc::new(Job {
            new: NewJob::new(noop::NOOP, format!("key{seq}"), &()),
            seq,
            prev: 0,
            attempt: 1,
            tries: 0,
            strikes: 0,
            parked: false,
            accepted_at: Millis(0),
        })
    }

    fn with_worker() -> Assignments {
        let mut seen = Assignments::default();
        let up = Event::SessionUp {
            session: SESSION,
            worker: "worker".to_owned(),
            run_capacity: 2,
            delivery_capacity: 2,
            running: Vec::new(),
        };
        assert_eq!(seen.told(&up), None);
        seen
    }

    fn assign(job: &Arc<Job>) -> Action {
        Action::Assign {
            session: SESSION,
            jobs: vec![job.clone()],
        }
    }

    fn committed(job: &Job) -> Event {
        let attempt = Attempt {
            job: job.id(),
            number: job.attempt,
        };
        let end = End::Committed {
            failed: false,
            jobs: Vec::new(),
            cancelled: Vec::new(),
            callers: Vec::new(),
        };
        Event::Outcomes {
            session: SESSION,
            outcomes: vec![AttemptOutcome { attempt, end }],
        }
    }

    fn broken(seen: Option<Violation>) -> Option<Invariant> {
        seen.map(|violation| violation.invariant)
    }

    #[test]
    fn what_must_not_be_assigned_is_noticed() {
        let mut seen = with_worker();
        let (one, two, three) = (job(1), job(2), job(3));
        assert_eq!(seen.wants(&assign(&one)), None);
        let again = seen.wants(&assign(&one));
        assert_eq!(broken(again), Some(Invariant::AssignedOnce));
        assert_eq!(seen.wants(&assign(&two)), None);
        let beyond = seen.wants(&assign(&three));
        assert_eq!(broken(beyond), Some(Invariant::CreditKept));
        assert_eq!(seen.told(&committed(&one)), None);
        let ended = seen.wants(&assign(&one));
        assert_eq!(broken(ended), Some(Invariant::AssignedOnce));
    }

    #[test]
    fn ten_thousand_jobs_leave_little_in_memory_and_cost_little() {
        let mut seen = with_worker();
        let jobs: Vec<Arc<Job>> = (1..=10_000).map(job).collect();
        let started = Instant::now();
        for job in &jobs {
            assert_eq!(seen.wants(&assign(job)), None);
            assert_eq!(seen.told(&committed(job)), None);
        }
        let each = started.elapsed() / 10_000;
        println!("{each:?} for each job, with the making of its events");
        assert!(seen.out.is_empty() && seen.keys.is_empty());
        assert_eq!(seen.ended.len(), ENDED_REMEMBERED);
        assert_eq!(seen.ended_order.len(), ENDED_REMEMBERED);
    }
}
