//! Remembers jobs that workers reported as ended and that are not known here. A
//! new master has never heard of them, but answers of the store and
//! announcements on their way may still show them as open.

use std::collections::{BTreeMap, VecDeque};

use crate::job::JobId;

/// How many are remembered. News of an older one arrived long ago.
const REMEMBERED: usize = 1024;

/// The latest of them, each with the attempt that ended it.
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

    /// Whether the job has ended with this attempt or a later one. An operator
    /// may run a failed one again, with a higher attempt.
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
