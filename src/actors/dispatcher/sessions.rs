//! Who can run jobs, what each runs, and who gets the next one.

use std::collections::{BTreeMap, BTreeSet};

use crate::job::{JobId, Pool};

use super::event::SessionId;

/// Use of one pool of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Jobs it runs.
    pub in_use: u32,
    /// Jobs it granted credit for.
    pub capacity: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) worker: String,
    pub(super) draining: bool,
    loads: [Load; 2],
    /// Attempts it runs, with the pool each uses up.
    running: BTreeMap<(JobId, u32), Pool>,
}

impl Session {
    pub(super) fn load(&self, pool: Pool) -> Load {
        self.loads[index(pool)]
    }

    fn has_room(&self, pool: Pool) -> bool {
        let load = self.load(pool);
        !self.draining && load.in_use < load.capacity
    }
}

fn index(pool: Pool) -> usize {
    match pool {
        Pool::Run => 0,
        Pool::Delivery => 1,
    }
}

const POOLS: [Pool; 2] = [Pool::Run, Pool::Delivery];

/// All sessions.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    by_worker: BTreeMap<String, SessionId>,
    /// Sessions with free credit in each pool, least loaded first, then earliest.
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
        };
        self.sessions.insert(id, session);
        self.change(id, |_| ());
    }

    /// Forgets a session; the attempts it was running.
    pub(super) fn remove(&mut self, id: SessionId) -> Vec<(JobId, u32)> {
        self.change(id, |session| session.draining = true);
        let Some(session) = self.sessions.remove(&id) else {
            return Vec::new();
        };
        if self.by_worker.get(&session.worker) == Some(&id) {
            self.by_worker.remove(&session.worker);
        }
        session.running.into_keys().collect()
    }

    pub(super) fn drain(&mut self, id: SessionId) {
        self.change(id, |session| session.draining = true);
    }

    /// Credit granted by all workers that take jobs.
    pub(super) fn capacity(&self, pool: Pool) -> u32 {
        let taking = self.sessions.values().filter(|session| !session.draining);
        let capacities = taking.map(|session| session.load(pool).capacity);
        capacities.fold(0, u32::saturating_add)
    }

    /// Counts an attempt as running; harmless when it is counted already.
    pub(super) fn occupy(&mut self, id: SessionId, job: JobId, attempt: u32, pool: Pool) {
        self.change(id, |session| {
            if session.running.insert((job, attempt), pool).is_none() {
                session.loads[index(pool)].in_use += 1;
            }
        });
    }

    /// The attempt runs no more; harmless when it did not.
    pub(super) fn vacate(&mut self, id: SessionId, job: JobId, attempt: u32) {
        self.change(id, |session| {
            if let Some(pool) = session.running.remove(&(job, attempt)) {
                session.loads[index(pool)].in_use -= 1;
            }
        });
    }

    /// The least loaded session with free credit, the earliest of several.
    pub(super) fn freest(&self, pool: Pool) -> Option<SessionId> {
        self.free[index(pool)].first().map(|(_, id)| *id)
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
