//! Decisions of operators.

use super::{Asked, Core, Step};
use crate::dispatch::event::Action;
use crate::dispatch::queue::{Phase, QueueEntry};
use crate::job::{Job, JobId};

impl Core {
    pub(super) fn changed(&mut self, step: &mut Step, job: Job) {
        let id = job.id();
        let Some((seq, entry)) = self.queue.find(id) else {
            return self.learn(step, job);
        };
        if seq != job.seq {
            return self.learn(step, job);
        }
        let is_news = match (entry.phase(), self.unsettled.get(&id)) {
            // The answer will tell.
            (Phase::Unsettled, Some(Asked::Releasing | Asked::Overtaken) | None) => false,
            (Phase::Unsettled, Some(Asked::Reading(attempt))) => job.attempt > *attempt,
            _ => job.attempt > entry.job().attempt || is_hurried(entry, &job),
        };
        if is_news {
            self.unsettled.remove(&id);
            self.queue.refresh(job, step.now);
        }
    }

    pub(super) fn gone(&mut self, step: &mut Step, id: JobId) {
        let phase = self.queue.find(id).map(|(_, entry)| entry.phase());
        match (phase, self.unsettled.get(&id)) {
            // Its worker, or the store, is about to tell.
            (Some(Phase::Assigned(_)), _) | (_, Some(Asked::Releasing | Asked::Overtaken)) => {}
            _ => self.found_ended(step, id),
        }
    }

    /// Looks at parked jobs, because an operator may have decided about one
    /// while no dispatcher could be told.
    pub(super) fn look_at_parked(&mut self, step: &mut Step) {
        let interval = self.options.parked_interval;
        if !self.is_open() || !self.parked_look.is_due(step.now, interval) {
            return;
        }
        let next = step.now.after(interval);
        let page = self.queue.parked(self.parked_look.after());
        let page: Vec<_> = page.take(self.options.page).collect();
        self.parked_look.start(&page, next);
        if !page.is_empty() {
            let ids = page.into_iter().map(|(_, id)| id).collect();
            step.actions.push(Action::Fetch(ids));
        }
    }
}

/// Whether an operator has ended a job's wait for its next try.
fn is_hurried(known: &QueueEntry, job: &Job) -> bool {
    let waits = matches!(known.phase(), Phase::Blocked(_) | Phase::HeldUntil(_));
    let of = |job: &Job| (job.attempt, job.tries);
    waits && job.tries > 0 && of(known.job()) == of(job) && job.new.not_before.is_none()
}
