//! An amount of jobs, by number and by size.

use crate::job::Job;

/// A number of jobs and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Amount {
    pub jobs: u64,
    /// About the size of their records, as far as this process knows it.
    pub bytes: u64,
    /// How many of them have a payload that is in the store only, which `bytes`
    /// leaves out.
    pub unsized_jobs: u64,
}

/// Size of a job's record without its key and payload.
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

    /// Adds `other` or takes it away.
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
