//! Workers come and go. Their jobs are adopted or given up.

use super::{Asked, Core, Step};
use crate::dispatch::event::{Action, SessionId};
use crate::dispatch::queue::Phase;
use crate::dispatch::sessions::Need;
use crate::job::{JobId, Pool};
use crate::mistake::{self, Mistake};
use crate::protocol::message::RunningAttempt;
use crate::store::Release;

impl Core {
    pub(super) fn session_up(
        &mut self,
        step: &mut Step,
        session: SessionId,
        worker: String,
        capacities: [u32; 2],
        running: Vec<RunningAttempt>,
    ) {
        let earlier = self.sessions.of_worker(&worker);
        self.sessions.add(session, worker, capacities);
        self.share_credit();
        for run in running {
            let (id, attempt) = (run.attempt.job, run.attempt.number);
            let known = self.queue.find(id).map(|(_, entry)| entry.job());
            let need = Need {
                pool: run.pool,
                apart: known.is_some_and(|job| job.runs_apart()),
            };
            self.sessions.occupy(session, id, attempt, need);
            self.claim(session, earlier, id, attempt);
        }
        if let Some(earlier) = earlier {
            // What the worker did not claim never reached it or has ended. The
            // worker itself is alive.
            self.session_down(step, earlier, false);
            step.actions.push(Action::Close(earlier));
        }
        self.count_down(step);
    }

    /// Takes a worker's word that it still runs this attempt.
    fn claim(&mut self, session: SessionId, earlier: Option<SessionId>, id: JobId, attempt: u32) {
        let Some((seq, entry)) = self.queue.find(id) else {
            let better = |(_, claimed): &(SessionId, u32)| *claimed >= attempt;
            let taken = self
                .claims
                .get(&id)
                .filter(|claim| Some(claim.0) != earlier)
                .is_some_and(better);
            if !taken && !self.unsettled.contains_key(&id) {
                self.claims.insert(id, (session, attempt));
            }
            return;
        };
        let is_free = match entry.phase() {
            Phase::Assigned(holder) => Some(holder) == earlier,
            Phase::Unsettled => false,
            _ => true,
        };
        if is_free && attempt >= entry.job().attempt {
            self.queue.enter(seq, Phase::Assigned(session));
        }
    }

    pub(super) fn session_down(&mut self, step: &mut Step, session: SessionId, is_lost: bool) {
        let Some((worker, running)) = self.sessions.remove(session) else {
            return;
        };
        let strike = is_lost.then(|| format!("its worker {worker} was lost while it had the job"));
        for (id, attempt) in running {
            match self.queue.find(id) {
                Some((seq, entry)) => {
                    if entry.phase() == Phase::Assigned(session)
                        && attempt >= entry.job().attempt
                        && !mistake::made(Mistake::LostSessionForgotten)
                    {
                        self.give_up(step, seq, id, strike.clone());
                    }
                }
                None => {
                    if self.claims.get(&id) == Some(&(session, attempt)) {
                        self.claims.remove(&id);
                        self.ask(step, id, strike.clone());
                    }
                }
            }
        }
        self.share_credit();
        // Its last outcomes and announcements may be lost.
        self.scan.no_later_than(step.now);
    }

    /// Divides the credit of all workers among receivers of deliveries and
    /// senders of messages.
    pub(super) fn share_credit(&mut self) {
        let credit = |pool| self.sessions.capacity(pool);
        let (run, delivery) = (credit(Pool::Run), credit(Pool::Delivery));
        self.queue.set_credit(run, delivery);
    }

    pub(super) fn give_up(&mut self, step: &mut Step, seq: u64, id: JobId, strike: Option<String>) {
        self.queue.enter(seq, Phase::Unsettled);
        self.ask(step, id, strike);
    }

    pub(super) fn ask(&mut self, step: &mut Step, id: JobId, strike: Option<String>) {
        if self.unsettled.insert(id, Asked::Releasing).is_none() {
            step.release.push(Release { job: id, strike });
        }
    }
}
