//! Jobs that workers say have ended, and that are not known here: a master that
//! began meanwhile never heard of them, but what is on its way from the store,
//! or from whoever accepted them, may still show them as open.

use std::collections::{BTreeMap, VecDeque};

use crate::job::JobId;

/// So many are remembered; whatever is older has arrived long ago.
const REMEMBERED: usize = 1024;

/// The latest of them, with the attempt that ended each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Ended {
    attempts: BTreeMap<JobId, u32>,
    order: VecDeque<JobId>,
}

impl Ended {
    pub(super) fn note(&mut self, id: JobId, attempt: u32) {
        if self.attempts.insert(id, attempt).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.attempts.remove(&oldest);
        }
    }

    /// Whether the job has ended with this attempt or a later one. (One that
    /// failed may be run again by an operator, with a higher attempt.)
    pub(super) fn has(&self, id: JobId, attempt: u32) -> bool {
        self.attempts
            .get(&id)
            .is_some_and(|ended| *ended >= attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_a_later_attempt_has_not_ended() {
        let mut ended = Ended::default();
        let first = JobId::generate();
        ended.note(first, 2);
        assert!(ended.has(first, 1) && ended.has(first, 2) && !ended.has(first, 3));
        for _ in 0..REMEMBERED {
            ended.note(JobId::generate(), 1);
        }
        assert!(!ended.has(first, 2));
        assert_eq!(ended.attempts.len(), REMEMBERED);
    }
}
