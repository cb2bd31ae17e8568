//! Answers of the store.

use super::{Asked, Core, Step};
use crate::dispatch::event::Action;
use crate::dispatch::queue::Phase;
use crate::dispatch::scan;
use crate::job::{Job, JobId};
use crate::store::Released;

impl Core {
    pub(super) fn released(&mut self, step: &mut Step, released: Vec<(JobId, Released)>) {
        let mut read = Vec::new();
        for (id, fate) in released {
            if self.unsettled.get(&id) == Some(&Asked::Overtaken) {
                self.unsettled.remove(&id);
                self.ask(step, id, None);
                continue;
            }
            match fate {
                Released::Open { attempt } => {
                    self.unsettled.insert(id, Asked::Reading(attempt));
                    read.push(id);
                }
                Released::Ended => self.found_ended(step, id),
            }
        }
        if !read.is_empty() {
            step.actions.push(Action::Fetch(read));
        }
    }

    pub(super) fn found_ended(&mut self, step: &mut Step, id: JobId) {
        self.unsettled.remove(&id);
        if let Some((seq, _)) = self.queue.find(id) {
            self.queue.remove(seq);
        }
        // Its end may have made follow-up jobs that were not announced.
        self.scan.no_later_than(step.now);
    }

    /// Tells the scan, whatever the answer is: a scan that went on waiting for
    /// an answer it had missed would be the last one.
    pub(super) fn fetched(&mut self, step: &mut Step, id: JobId, job: Option<Job>) {
        let looked_at = self.parked_look.answered(id);
        if self.is_parked(id) && !self.unsettled.contains_key(&id) {
            self.looked_at(step, id, looked_at, job);
        } else {
            self.read(step, id, job);
        }
        if let Some((through, full)) = self.scan.found(id) {
            self.complete(step, through, full);
        }
    }

    fn read(&mut self, step: &mut Step, id: JobId, job: Option<Job>) {
        match (self.unsettled.get(&id), job) {
            (Some(Asked::Overtaken), _) => {
                self.unsettled.remove(&id);
                self.ask(step, id, None);
            }
            (Some(Asked::Reading(_)), None) => self.found_ended(step, id),
            (Some(Asked::Reading(attempt)), Some(job)) if job.attempt >= *attempt => {
                self.unsettled.remove(&id);
                match self.queue.find(id) {
                    Some((seq, entry)) if seq == job.seq => {
                        if entry.phase() == Phase::Unsettled {
                            self.queue.refresh(job, step.now);
                        }
                    }
                    _ => self.learn(step, job),
                }
            }
            // An older answer, read for a scan before the attempt was raised.
            (_, Some(job)) => self.learn(step, job),
            (_, None) => {}
        }
    }

    /// The store has returned a job that is parked here, for the question about
    /// the job accepted at `seq`.
    fn looked_at(&mut self, step: &mut Step, id: JobId, seq: Option<u64>, job: Option<Job>) {
        let known = self.queue.find(id).map(|(seq, _)| seq);
        match job {
            Some(job) => self.changed(step, job),
            None if seq.is_some() && seq == known => self.found_ended(step, id),
            None => {}
        }
    }

    pub(super) fn scanned(&mut self, step: &mut Step, ids: Vec<(u64, JobId)>, full: bool) {
        let scan::ScanStage::Asked { top } = self.scan.stage else {
            return;
        };
        let last = ids.last().map_or(0, |(seq, _)| *seq);
        // A page that is not full shows every open job that was accepted before
        // the question. Jobs below `top` that it does not show have ended.
        let through = if full { last } else { last.max(top) };
        let missing: Vec<JobId> = ids
            .into_iter()
            .filter(|(seq, _)| !self.queue.knows(*seq))
            .map(|(_, id)| id)
            .collect();
        if missing.is_empty() {
            self.scan.stage = scan::ScanStage::Idle;
            self.complete(step, through, full);
            return;
        }
        self.scan.stage = scan::ScanStage::Missing {
            through,
            ids: missing.iter().copied().collect(),
            full,
        };
        step.actions.push(Action::Fetch(missing));
    }

    fn complete(&mut self, step: &mut Step, through: u64, full: bool) {
        self.queue.advance(through);
        if full {
            self.scan.no_later_than(step.now);
        }
    }
}
