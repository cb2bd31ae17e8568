//! How much some jobs are, by number and by size.

use crate::job::Job;

/// A number of jobs and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Amount {
    /// How many.
    pub jobs: u64,
    /// About the size of their records, as far as it is known here.
    pub bytes: u64,
    /// How many of them have a payload so large that it is in the store only:
    /// `bytes` is without it.
    pub unsized_jobs: u64,
}

/// What the record of a job has beside its key and its payload.
const FRAME: u64 = 96;

impl Amount {
    pub(crate) fn of(job: &Job) -> Self {
        let payload = job.new.payload.len() as u64;
        Self {
            jobs: 1,
            bytes: FRAME + job.new.key.len() as u64 + payload,
            unsized_jobs: u64::from(payload == 0),
        }
    }

    /// They come, or go.
    pub(crate) fn step(&mut self, other: Self, comes: bool) {
        let step = |mine: &mut u64, other: u64| match comes {
            true => *mine += other,
            false => *mine -= other,
        };
        step(&mut self.jobs, other.jobs);
        step(&mut self.bytes, other.bytes);
        step(&mut self.unsized_jobs, other.unsized_jobs);
    }

    pub(crate) fn plus(mut self, other: Self) -> Self {
        self.step(other, true);
        self
    }
}
