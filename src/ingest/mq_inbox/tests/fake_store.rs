//! A store that remembers accepts and answers nothing else.

use super::*;

/// Remembers accepts; can be down.
#[derive(Default)]
pub(super) struct FakeStore {
    pub(super) accepted: Mutex<Vec<Job>>,
    pub(super) failure: Mutex<Option<StoreError>>,
    /// An accept with a job of this key fails as unreadable.
    pub(super) unreadable: Mutex<Option<String>>,
    pub(super) panics: AtomicBool,
    pub(super) accepts: AtomicUsize,
    pub(super) questions: AtomicUsize,
}

fn unused() -> StoreError {
    StoreError::Unavailable("not needed here".to_owned())
}

#[async_trait]
impl State for FakeStore {
    async fn get(&self, _: Table, _: &str, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Err(unused())
    }
    async fn columns(&self, _: Table, _: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        Err(unused())
    }
    async fn get_many(&self, _: Table, _: &[Row]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        Err(unused())
    }
    async fn rows(&self, _: Table, _: &str) -> Result<Vec<Row>, StoreError> {
        Err(unused())
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        assert_eq!(accept.epoch, None, "any process of the node may");
        self.accepts.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.swap(false, Ordering::SeqCst), "a defect");
        if let Some(failure) = self.failure.lock().clone() {
            return Err(failure);
        }
        let unreadable = self.unreadable.lock().clone();
        let mut keys = accept.jobs.iter().map(|job| &*job.key);
        if keys.any(|key| Some(key) == unreadable.as_deref()) {
            return Err(StoreError::Corrupt("its line".to_owned()));
        }
        let mut accepted = self.accepted.lock();
        let (mut jobs, mut duplicates) = (Vec::new(), Vec::new());
        for new in accept.jobs {
            let is_known = accepted
                .iter()
                .any(|job| job.new.source.is_some() && job.new.source == new.source);
            if is_known {
                duplicates.push(new.id);
            } else {
                let job = testing::accepted(new);
                accepted.push(job.clone());
                jobs.push(job);
            }
        }
        Ok(Accepted::Stored { jobs, duplicates })
    }
    async fn commit(&self, _: Attempt, _: Arc<Commit>) -> Result<Committed, StoreError> {
        Err(unused())
    }
    async fn reschedule(&self, _: Attempt, _: Millis, _: &str) -> Result<bool, StoreError> {
        Err(unused())
    }
    async fn strike(&self, _: Attempt, _: Millis, _: &str) -> Result<Struck, StoreError> {
        Err(unused())
    }

    async fn park(&self, _: Attempt, _: &str) -> Result<bool, StoreError> {
        Err(unused())
    }

    async fn operate(&self, _: Operation) -> Result<Operated, StoreError> {
        Err(unused())
    }

    async fn audit(&self, _: usize) -> Result<Vec<Audited>, StoreError> {
        Err(unused())
    }

    async fn last_errors(&self, _: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        Err(unused())
    }

    async fn parked_ids(&self, _: usize) -> Result<Vec<JobId>, StoreError> {
        Err(unused())
    }

    async fn release(&self, _: Epoch, _: &[Release]) -> Result<Vec<Released>, StoreError> {
        Err(unused())
    }
    async fn claim(&self, _: Attempt) -> Result<bool, StoreError> {
        Err(unused())
    }
    async fn open_jobs(&self, _: u64, _: usize) -> Result<Vec<Job>, StoreError> {
        Err(unused())
    }
    async fn open_ids(&self, _: u64, _: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        Err(unused())
    }
    async fn jobs(&self, _: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        Err(unused())
    }
    async fn failed_jobs(&self, _: u64, _: usize) -> Result<Vec<(u64, FailedJob)>, StoreError> {
        Err(unused())
    }
    async fn failed_job(&self, _: JobId) -> Result<Option<FailedJob>, StoreError> {
        Err(unused())
    }

    async fn known_sources(&self, sources: &[String]) -> Result<Vec<bool>, StoreError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        if let Some(failure) = self.failure.lock().clone() {
            return Err(failure);
        }
        let accepted = self.accepted.lock();
        let is_known = |source: &String| {
            let mut known = accepted.iter().map(|job| job.new.source.as_ref());
            known.any(|known| known == Some(source))
        };
        Ok(sources.iter().map(is_known).collect())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        Ok(Counts::default())
    }
    async fn acquire_lease(&self, _: &str, _: Duration, _: Epoch) -> Result<Lease, StoreError> {
        Err(unused())
    }
    async fn release_lease(&self, _: &str) -> Result<(), StoreError> {
        Err(unused())
    }
    async fn ping(&self) -> Result<(), StoreError> {
        Err(unused())
    }
}
