//! Outcomes that workers report.

use super::{Core, Step};
use crate::dispatch::event::SessionId;
use crate::dispatch::queue::Phase;
use crate::job::{Job, JobId};
use crate::protocol::message::{AttemptOutcome, End};

impl Core {
    pub(super) fn outcome(&mut self, step: &mut Step, session: SessionId, outcome: AttemptOutcome) {
        let (id, attempt) = (outcome.attempt.job, outcome.attempt.number);
        self.sessions.vacate(session, id, attempt);
        if self.claims.get(&id) == Some(&(session, attempt)) {
            self.claims.remove(&id);
        }
        let Some((seq, entry)) = self.queue.find(id) else {
            if let End::Committed {
                jobs, cancelled, ..
            } = outcome.end
            {
                self.ended.note(id, attempt);
                self.follow_up(step, jobs, cancelled);
            }
            return;
        };
        if attempt < entry.job().attempt {
            self.stale_outcomes += 1;
            return;
        }
        let holder = match entry.phase() {
            Phase::Assigned(holder) => Some(holder),
            _ => None,
        };
        match &outcome.end {
            End::Committed { failed, .. } => self.queue.judge(seq, *failed),
            End::Rescheduled { .. } | End::Parked => self.queue.judge(seq, true),
            End::Fenced | End::HandedBack | End::Abandoned => {}
        }
        match outcome.end {
            End::Committed {
                jobs, cancelled, ..
            } => {
                if let Some(holder) = holder {
                    self.sessions.vacate(holder, id, attempt);
                }
                self.queue.remove(seq);
                self.follow_up(step, jobs, cancelled);
            }
            // The store is being asked already, or will be when this worker's
            // other session is lost.
            _ if holder != Some(session) => self.stale_outcomes += 1,
            End::Rescheduled {
                not_before,
                tries,
                strikes,
            } => {
                let again = |job: &mut Job| {
                    job.new.not_before = Some(not_before);
                    job.tries = tries;
                    job.strikes = strikes;
                };
                self.queue.change(seq, step.now, again);
            }
            // The store is not asked, because an answer on its way may be
            // older. If an operator decides meanwhile, the dispatcher is told
            // or looks it up with the other parked jobs.
            End::Parked => self.queue.park(seq, step.now),
            // It is not the job's fault, so no strike.
            End::Fenced | End::Abandoned => self.give_up(step, seq, id, None),
            End::HandedBack => self.queue.requeue(seq, step.now),
        }
    }

    fn follow_up(&mut self, step: &mut Step, jobs: Vec<Job>, cancelled: Vec<JobId>) {
        for job in jobs {
            self.learn(step, job);
        }
        for id in cancelled {
            // A running job keeps its key until its worker finds it fenced.
            if let Some((seq, entry)) = self.queue.find(id)
                && !matches!(entry.phase(), Phase::Assigned(_) | Phase::Unsettled)
            {
                self.queue.remove(seq);
            }
        }
    }
}
