//! Decisions of operators about jobs.

use super::StoreState;
use crate::store::operation::again;
use crate::store::{AUDIT_KEPT, Audited, Operated, Operation, OperatorAction, Was};

impl StoreState {
    /// [`crate::store::Store::operate`].
    pub fn operate(&mut self, operation: Operation) -> Operated {
        if let Some(open) = self.find(operation.job) {
            let Some(was) = operation.finds(&open.job) else {
                return Operated::not_parked();
            };
            let reason = open.last_error.as_ref().map_or("", |error| &error.reason);
            let audited = Audited::new(operation, &open.job, was, reason);
            return self.operate_open(audited);
        }
        let id = operation.job;
        let mut failed = self.failed.iter();
        let place = failed.find_map(|(place, failed)| (failed.job.id() == id).then_some(*place));
        let Some(failed) = place.and_then(|place| self.failed.remove(&place)) else {
            return Operated::NotFound;
        };
        let audited = Audited::new(operation, &failed.job, Was::Failed, &failed.reason);
        let operated = match audited.operation.action {
            OperatorAction::Retry => {
                let at = audited.operation.at;
                let (new, attempt) = again(&failed.job, at);
                Operated::Open(self.put(at, new, attempt.number))
            }
            OperatorAction::Resolve | OperatorAction::Drop => Operated::Ended,
        };
        self.record(audited);
        operated
    }

    fn operate_open(&mut self, audited: Audited) -> Operated {
        let Operation { job, action, .. } = audited.operation;
        let operated = match (action, self.find_mut(job)) {
            (_, None) => return Operated::NotFound,
            (OperatorAction::Retry, Some(open)) if audited.was == Was::Waiting => {
                open.job.new.not_before = None;
                Operated::Open(open.job.clone())
            }
            (OperatorAction::Retry, Some(open)) => {
                open.job.attempt += 1;
                open.job.strikes = 0;
                open.job.parked = false;
                open.job.new.not_before = None;
                open.claimed = false;
                Operated::Open(open.job.clone())
            }
            (OperatorAction::Resolve | OperatorAction::Drop, Some(open)) => {
                let seq = open.job.seq;
                self.end(seq);
                Operated::Ended
            }
        };
        self.record(audited);
        operated
    }

    fn record(&mut self, audited: Audited) {
        self.audit.push_back(audited);
        while self.audit.len() > AUDIT_KEPT {
            self.audit.pop_front();
        }
    }

    /// [`crate::store::Store::audit`].
    pub fn audit(&self, limit: usize) -> Vec<Audited> {
        let older = self.audit.len().saturating_sub(limit);
        self.audit.iter().skip(older).cloned().collect()
    }
}
