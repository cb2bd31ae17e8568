//! Searches the store, a page at a time, for the jobs to list.

use super::message::{ANSWER_BYTES, Filter, JobState, Shown, too_large};
use super::shown::{shown_failed, shown_open, state_of};
use crate::job::{Job, JobId, Millis, codec};
use crate::store::{Store, StoreError};

/// Jobs read from the store at once.
const PAGE: usize = 500;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unlisted {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", too_large())]
    TooLarge,
}

/// The matching jobs: open ones in the order of acceptance, then failed ones in
/// the order in which they failed.
/// # Errors
/// When the store fails, or the jobs do not fit into one answer.
pub(super) async fn list(store: &dyn Store, filter: &Filter) -> Result<Vec<Shown>, Unlisted> {
    let mut listing = Listing {
        store,
        filter,
        found: Vec::new(),
        bytes: 0,
    };
    if filter.state != Some(JobState::Failed) {
        listing.look_at_open().await?;
    }
    if matches!(filter.state, None | Some(JobState::Failed)) {
        listing.look_at_failed().await?;
    }
    Ok(listing.found)
}

struct Listing<'a> {
    store: &'a dyn Store,
    filter: &'a Filter,
    found: Vec<Shown>,
    /// Their encoded size.
    bytes: usize,
}

impl Listing<'_> {
    /// Searches all open jobs, also for parked ones: the index of parked jobs
    /// leaves out unreadable ones.
    async fn look_at_open(&mut self) -> Result<(), Unlisted> {
        let (mut after, now) = (0, Millis::now());
        while !self.is_full() {
            let page = self.store.open_jobs(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.seq;
            let is_asked_for = |job: &Job| {
                let state = state_of(job, now);
                let fits_state = match self.filter.state {
                    Some(wanted @ (JobState::Waiting | JobState::Parked)) => state == wanted,
                    _ => true,
                };
                fits_state && fits(self.filter, job)
            };
            let jobs: Vec<Job> = page.into_iter().filter(is_asked_for).collect();
            let ids: Vec<JobId> = jobs.iter().map(Job::id).collect();
            let errors = self.store.last_errors(&ids).await?;
            for (job, error) in jobs.iter().zip(errors) {
                self.add(shown_open(job, error))?;
            }
        }
        Ok(())
    }

    async fn look_at_failed(&mut self) -> Result<(), Unlisted> {
        let mut after = 0;
        while !self.is_full() {
            let page = self.store.failed_jobs(after, PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            for (_, failed) in &page {
                if fits(self.filter, &failed.job) {
                    self.add(shown_failed(failed))?;
                }
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.found.len() as u64 >= self.filter.limit
    }

    fn add(&mut self, shown: Shown) -> Result<(), Unlisted> {
        if self.is_full() {
            return Ok(());
        }
        self.bytes += codec::encode(&shown).len();
        if self.bytes > ANSWER_BYTES {
            return Err(Unlisted::TooLarge);
        }
        self.found.push(shown);
        Ok(())
    }
}

pub(super) fn fits(filter: &Filter, job: &Job) -> bool {
    let key = filter.key.as_deref();
    filter.kind.is_none_or(|kind| job.kind() == kind)
        && key.is_none_or(|key| job.key().contains(key))
        && filter.before.is_none_or(|before| job.accepted_at < before)
}
