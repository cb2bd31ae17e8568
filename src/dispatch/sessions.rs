//! Which workers can run jobs, what each runs, and which gets the next job.

use std::collections::{BTreeMap, BTreeSet};

use crate::job::{Job, JobId, Pool};
use crate::mistake::{self, Mistake};

use crate::dispatch::event::SessionId;

/// Use of one pool of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Load {
    pub in_use: u32,
    /// The credit it granted.
    pub capacity: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Session {
    pub(super) worker: String,
    pub(super) draining: bool,
    loads: [Load; 2],
    /// Attempts it runs, with the need of each.
    running: BTreeMap<(JobId, u32), Need>,
    /// How many of them run apart.
    apart: u32,
}

/// What a job needs of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) pool: Pool,
    /// The session may run no other job apart ([`Job::runs_apart`]).
    pub(super) apart: bool,
}

impl Need {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            pool: job.kind().pool(),
            apart: job.runs_apart(),
        }
    }
}

impl Session {
    pub(super) fn load(&self, pool: Pool) -> Load {
        self.loads[index(pool)]
    }

    fn has_room(&self, pool: Pool) -> bool {
        let load = self.load(pool);
        let has_credit = load.in_use < load.capacity || mistake::made(Mistake::CreditIgnored);
        !self.draining && has_credit
    }
}

fn index(pool: Pool) -> usize {
    match pool {
        Pool::Run => 0,
        Pool::Delivery => 1,
    }
}

const POOLS: [Pool; 2] = [Pool::Run, Pool::Delivery];

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    by_worker: BTreeMap<String, SessionId>,
    /// Sessions with free credit in each pool, least loaded first, then
    /// earliest.
    free: [BTreeSet<(u32, SessionId)>; 2],
}

impl Sessions {
    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn of_worker(&self, worker: &str) -> Option<SessionId> {
        self.by_worker.get(worker).copied()
    }

    pub(super) fn add(&mut self, id: SessionId, worker: String, capacities: [u32; 2]) {
        self.by_worker.insert(worker.clone(), id);
        let session = Session {
            worker,
            draining: false,
            loads: capacities.map(|capacity| Load {
                in_use: 0,
                capacity,
            }),
            running: BTreeMap::new(),
            apart: 0,
        };
        self.sessions.insert(id, session);
        self.change(id, |_| ());
    }

    /// Removes a session. Returns its worker and the attempts it was running.
    pub(super) fn remove(&mut self, id: SessionId) -> Option<(String, Vec<(JobId, u32)>)> {
        self.change(id, |session| session.draining = true);
        let session = self.sessions.remove(&id)?;
        if self.by_worker.get(&session.worker) == Some(&id) {
            self.by_worker.remove(&session.worker);
        }
        Some((session.worker, session.running.into_keys().collect()))
    }

    pub(super) fn drain(&mut self, id: SessionId) {
        self.change(id, |session| session.draining = true);
    }

    /// Credit of all workers that take jobs.
    pub(super) fn capacity(&self, pool: Pool) -> u32 {
        let taking = self.sessions.values().filter(|session| !session.draining);
        let capacities = taking.map(|session| session.load(pool).capacity);
        capacities.fold(0, u32::saturating_add)
    }

    /// Counts an attempt as running. Harmless if it is counted already.
    pub(super) fn occupy(&mut self, id: SessionId, job: JobId, attempt: u32, need: Need) {
        self.change(id, |session| {
            if session.running.insert((job, attempt), need).is_none() {
                session.loads[index(need.pool)].in_use += 1;
                session.apart += u32::from(need.apart);
            }
        });
    }

    /// Counts an attempt as no longer running. Harmless if it was not counted.
    pub(super) fn vacate(&mut self, id: SessionId, job: JobId, attempt: u32) {
        self.change(id, |session| {
            if let Some(need) = session.running.remove(&(job, attempt)) {
                session.loads[index(need.pool)].in_use -= 1;
                session.apart -= u32::from(need.apart);
            }
        });
    }

    /// The least loaded session that fits the need, the earliest of several.
    pub(super) fn freest(&self, need: Need) -> Option<SessionId> {
        let fits = |id: &SessionId| !need.apart || self.sessions[id].apart == 0;
        let mut free = self.free[index(need.pool)].iter().map(|(_, id)| *id);
        free.find(fits)
    }

    fn change(&mut self, id: SessionId, how: impl FnOnce(&mut Session)) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        for pool in POOLS {
            self.free[index(pool)].remove(&(session.load(pool).in_use, id));
        }
        how(session);
        for pool in POOLS {
            if session.has_room(pool) {
                self.free[index(pool)].insert((session.load(pool).in_use, id));
            }
        }
    }
}
