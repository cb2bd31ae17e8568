//! The start: open jobs are read, and workers may claim what they run.

use std::time::Duration;

use super::{Asked, Core, Stage, Step};
use crate::dispatch::event::Action;
use crate::dispatch::queue::Phase;
use crate::job::{Job, JobId};

/// Pause before a store that did not answer is asked again.
const LOAD_RETRY: Duration = Duration::from_millis(200);

impl Core {
    pub(super) fn load(&mut self, step: &mut Step) {
        self.stage = Stage::Loading;
        step.actions.push(Action::Load {
            after: self.queue.horizon().complete(),
            limit: self.options.page,
        });
    }

    pub(super) fn load_later(&mut self, step: &Step) {
        self.stage = Stage::LoadingAgain(step.now.after(LOAD_RETRY));
    }

    pub(super) fn loaded(&mut self, step: &mut Step, jobs: Vec<Job>, full: bool) {
        if self.stage != Stage::Loading {
            return;
        }
        let through = jobs.last().map(|job| job.seq);
        for job in jobs {
            self.learn(step, job);
        }
        if let Some(through) = through {
            self.queue.advance(through);
        }
        if full && through.is_some() {
            self.load(step);
            return;
        }
        if self.queue.is_empty() {
            self.begin(step);
            return;
        }
        self.stage = Stage::Adopting(None);
        self.scan.no_later_than(step.now);
        self.queue.begin_adoption();
        self.count_down(step);
    }

    /// Starts the adoption window at the first worker: the others find this
    /// master at about the same time.
    pub(super) fn count_down(&mut self, step: &Step) {
        if self.stage == Stage::Adopting(None) && !self.sessions.is_empty() {
            self.stage = Stage::Adopting(Some(step.now.after(self.options.adoption_window)));
        }
    }

    fn begin(&mut self, step: &mut Step) {
        self.stage = Stage::Running;
        self.queue.end_adoption();
        self.scan.no_later_than(step.now);
    }

    pub(super) fn move_on(&mut self, step: &mut Step) {
        let window = self.options.adoption_window;
        match self.stage {
            Stage::LoadingAgain(instant) if instant.has_come(step.now, LOAD_RETRY) => {
                self.load(step);
            }
            Stage::Adopting(Some(until)) if until.has_come(step.now, window) => {
                self.begin(step);
            }
            _ => {}
        }
    }

    /// Takes an open job from any source. A known or ended one changes nothing.
    pub(super) fn learn(&mut self, step: &mut Step, job: Job) {
        let (id, seq, attempt) = (job.id(), job.seq, job.attempt);
        if self.ended.has(id, attempt) {
            self.queue.has_ended(seq);
            return;
        }
        self.replace_earlier(step, id, seq);
        let loaded = !self.is_open();
        if !self.queue.insert(job, loaded, step.now) {
            return;
        }
        if self.unsettled.contains_key(&id) {
            self.queue.enter(seq, Phase::Unsettled);
        } else if let Some((session, claimed)) = self.claims.remove(&id)
            && claimed >= attempt
        {
            self.queue.enter(seq, Phase::Assigned(session));
        }
    }

    /// The job is known at an earlier place: it has ended as failed, which its
    /// worker is about to report, and was accepted again.
    fn replace_earlier(&mut self, step: &mut Step, id: JobId, seq: u64) {
        let known = self.queue.find(id).map(|(seq, _)| seq);
        if let Some(earlier) = known.filter(|earlier| *earlier < seq) {
            if let Some(asked) = self.unsettled.get_mut(&id) {
                *asked = Asked::Overtaken;
            }
            self.queue.remove(earlier);
            self.scan.no_later_than(step.now);
        }
    }
}
