//! The consequences of an event: jobs to assign, questions to the store, the
//! next wake.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Core, Stage, Step};
use crate::dispatch::event::{Action, SessionId};
use crate::dispatch::queue::Phase;
use crate::dispatch::sessions::Need;
use crate::job::{Job, Pool};
use crate::mistake::{self, Mistake};

/// The needs of jobs, in the order in which they are served.
const NEEDS: [Need; 4] = [
    Need {
        pool: Pool::Run,
        apart: true,
    },
    Need {
        pool: Pool::Run,
        apart: false,
    },
    Need {
        pool: Pool::Delivery,
        apart: true,
    },
    Need {
        pool: Pool::Delivery,
        apart: false,
    },
];

impl Core {
    /// Whether all jobs that were open at the start are known.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Adopting(_) | Stage::Running)
    }

    pub(super) fn dispatch(&mut self, step: &mut Step) {
        if !self.is_open() || self.draining {
            return;
        }
        let mut batches: BTreeMap<SessionId, Vec<Arc<Job>>> = BTreeMap::new();
        for need in NEEDS {
            while let Some(session) = self.sessions.freest(need)
                && let Some((seq, entry)) = self.queue.first_ready(need)
            {
                let job = entry.job().clone();
                let suspects = self.queue.suspects_beside(seq);
                if !suspects.is_empty() {
                    if self.unsettled.len() >= self.options.release_batch {
                        break;
                    }
                    for (seq, id) in suspects {
                        self.give_up(step, seq, id, None);
                    }
                    continue;
                }
                self.queue.enter(seq, Phase::Assigned(session));
                self.sessions.occupy(session, job.id(), job.attempt, need);
                batches.entry(session).or_default().push(job);
            }
        }
        for (session, jobs) in batches {
            step.actions.push(Action::Assign { session, jobs });
        }
    }

    pub(super) fn start_scan(&mut self, step: &mut Step) {
        if !self.is_open() {
            return;
        }
        if self.queue.has_gap() {
            let soon = step.now.after(self.options.gap_delay);
            self.scan.no_later_than(soon);
        }
        if self.scan.is_due(step.now, self.options.scan_interval)
            && !mistake::made(Mistake::ScanForgotten)
        {
            let next = step.now.after(self.options.scan_interval);
            self.scan.start(self.queue.horizon().top(), next);
            step.actions.push(Action::Scan {
                after: self.queue.horizon().complete(),
                limit: self.options.page,
            });
        }
    }

    pub(super) fn release(&mut self, step: &mut Step) {
        if !step.release.is_empty() {
            let jobs = std::mem::take(&mut step.release);
            step.actions.push(Action::Release(jobs));
        }
    }

    pub(super) fn set_wake(&mut self, step: &mut Step) {
        let stage = match self.stage {
            Stage::LoadingAgain(instant) => Some(instant),
            Stage::Adopting(until) => until,
            Stage::Running | Stage::Created | Stage::Loading => None,
        };
        let look = match self.queue.parked(0).next() {
            Some(_) if self.is_open() => Some(self.parked_look.due()),
            _ => None,
        };
        let scan = self.is_open().then(|| self.scan.next_instant()).flatten();
        let next = [stage, scan, look, self.queue.next_instant()]
            .into_iter()
            .flatten()
            .min();
        if let Some(instant) = next
            && self.wake_at != Some(instant)
        {
            self.wake_at = Some(instant);
            step.actions.push(Action::WakeAt(instant));
        }
    }
}
