//! Questions of the dispatcher to the store, repeated until it answers.

use std::future::Future;
use std::time::Duration;

use tracing::{error, warn};

use crate::job::{Epoch, Job, JobId};
use crate::protocol::message::light;
use crate::store::{Release, Released, SharedStore, StoreError};

use crate::dispatch::Event;

/// First and longest pause before the store is asked again.
const STORE_RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Most jobs read from the store in one call, because each has its payload.
const FETCH_CHUNK: usize = 64;

/// The store knows a later master.
pub(super) struct Deposed(pub(super) Epoch);

pub(super) async fn load(store: SharedStore, after: u64, limit: usize) -> Result<Event, Deposed> {
    match store.open_jobs(after, limit).await {
        Ok(jobs) => Ok(Event::Loaded {
            // A page of large jobs ends before the limit, so only an empty page
            // is the last.
            full: !jobs.is_empty(),
            jobs,
        }),
        Err(error) => failed(error, Event::LoadFailed),
    }
}

pub(super) async fn scan(store: SharedStore, after: u64, limit: usize) -> Result<Event, Deposed> {
    match store.open_ids(after, limit).await {
        Ok(ids) => Ok(Event::Scanned {
            full: ids.len() >= limit,
            ids,
        }),
        Err(error) => failed(error, Event::ScanFailed),
    }
}

fn failed(error: StoreError, event: Event) -> Result<Event, Deposed> {
    if let StoreError::Deposed { current } = error {
        return Err(Deposed(current));
    }
    warn!(%error, "cannot look for open jobs");
    Ok(event)
}

/// Reads jobs in pages as large as the store allows. Drops the large payloads
/// of one page before it reads the next.
pub(super) async fn fetch(store: SharedStore, ids: Vec<JobId>) -> Result<Event, Deposed> {
    let mut found = Vec::with_capacity(ids.len());
    let mut left = &ids[..];
    while !left.is_empty() {
        let asked = &left[..left.len().min(FETCH_CHUNK)];
        let jobs = match persist("read jobs", || store.jobs(asked)).await {
            Ok(jobs) => jobs,
            Err(Given::Up(later)) => return Err(later),
            Err(Given::Unreadable) => {
                // The first job cannot be read with others, so it is read
                // alone.
                vec![fetch_one(&store, asked[0]).await?]
            }
        };
        let count = jobs.len().clamp(1, asked.len());
        let jobs = jobs.into_iter().chain([None]);
        let jobs = jobs.map(|job| job.map(light));
        found.extend(asked[..count].iter().copied().zip(jobs));
        left = &left[count..];
    }
    Ok(Event::Fetched(found))
}

/// Skips a job that cannot be read at all, so that it holds up no other.
async fn fetch_one(store: &SharedStore, id: JobId) -> Result<Option<Job>, Deposed> {
    match persist("read a job", || store.jobs(std::slice::from_ref(&id))).await {
        Ok(jobs) => Ok(jobs.into_iter().next().flatten()),
        Err(Given::Up(later)) => Err(later),
        Err(Given::Unreadable) => {
            error!(job = %id, "the job cannot be read at all and is not run");
            Ok(None)
        }
    }
}

pub(super) async fn release(
    store: SharedStore,
    epoch: Epoch,
    jobs: Vec<Release>,
) -> Result<Event, Deposed> {
    let released = match persist("release jobs", || store.release(epoch, &jobs)).await {
        Ok(released) => released,
        Err(Given::Up(later)) => return Err(later),
        Err(Given::Unreadable) => {
            let mut released = Vec::with_capacity(jobs.len());
            for job in &jobs {
                released.push(release_one(&store, epoch, job).await?);
            }
            released
        }
    };
    let is_open = |released: &&Released| matches!(released, Released::Open { .. });
    let rerun = released.iter().filter(is_open).count();
    metrics::counter!("erawan_jobs_rerun_total").increment(rerun as u64);
    let ids = jobs.iter().map(|release| release.job);
    Ok(Event::Released(ids.zip(released).collect()))
}

/// A job whose head cannot be read belongs to no attempt. The next read of it
/// shows that it is parked.
async fn release_one(
    store: &SharedStore,
    epoch: Epoch,
    job: &Release,
) -> Result<Released, Deposed> {
    let release = std::slice::from_ref(job);
    match persist("release a job", || store.release(epoch, release)).await {
        Ok(released) => Ok(released.into_iter().next().unwrap_or(Released::Ended)),
        Err(Given::Up(later)) => Err(later),
        Err(Given::Unreadable) => {
            error!(job = %job.job, "the job cannot be read and is not run again");
            Ok(Released::Open { attempt: 0 })
        }
    }
}

/// Why a question has no answer.
enum Given {
    Up(Deposed),
    /// The stored bytes cannot be decoded or are too large to send. Asking
    /// again does not help.
    Unreadable,
}

/// Asks until the store answers.
async fn persist<T, F>(what: &str, mut ask: impl FnMut() -> F) -> Result<T, Given>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let (mut pause, longest) = STORE_RETRY;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(StoreError::Deposed { current }) => return Err(Given::Up(Deposed(current))),
            Err(StoreError::Corrupt(problem) | StoreError::TooLarge(problem)) => {
                error!(problem, "cannot {what}");
                return Err(Given::Unreadable);
            }
            Err(error) => warn!(%error, "cannot {what}; trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dispatch::{Action, Core};
    use crate::job::{Millis, NewJob, noop};
    use crate::store::Accept;
    use crate::store::embedded::{EmbeddedStore, Options};

    fn store_in(directory: &tempfile::TempDir) -> SharedStore {
        let store = EmbeddedStore::open(Options {
            path: directory.path().join("store"),
            node_id: "rp1".to_owned(),
        });
        Arc::new(store.unwrap())
    }

    /// Two of them do not fit one page.
    fn large_job(number: u64) -> NewJob {
        let large = vec![0u8; 9 * 1024 * 1024];
        NewJob::new(noop::NOOP, format!("key{number}"), &large)
    }

    #[tokio::test]
    async fn loading_goes_on_behind_a_page_that_large_jobs_cut_short() {
        let directory = tempfile::tempdir().unwrap();
        let store = store_in(&directory);
        let jobs = (0..3).map(large_job);
        let accept = Accept {
            jobs: jobs.collect(),
            ..Accept::default()
        };
        store.accept(accept).await.unwrap();
        let mut core = Core::new(crate::dispatch::Options::default());
        let now = Millis::now();
        let mut actions = core.handle(now, Event::Start);
        while let Some(Action::Load { after, limit }) = actions.pop() {
            let Ok(event) = load(store.clone(), after, limit).await else {
                panic!("deposed");
            };
            actions = core.handle(now, event);
        }
        assert_eq!(core.snapshot(now).jobs.total(), 3);
    }

    #[tokio::test]
    async fn large_jobs_are_fetched_in_several_calls_and_without_their_payloads() {
        let directory = tempfile::tempdir().unwrap();
        let store = store_in(&directory);
        let jobs = (0..5).map(large_job);
        let mut ids: Vec<JobId> = Vec::new();
        for new in jobs {
            ids.push(new.id);
            let accept = Accept {
                jobs: vec![new],
                ..Accept::default()
            };
            store.accept(accept).await.unwrap();
        }
        ids.insert(2, JobId::generate());
        let Ok(Event::Fetched(found)) = fetch(store, ids.clone()).await else {
            panic!("not fetched");
        };
        let found_ids: Vec<JobId> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(found_ids, ids);
        for (id, job) in found {
            assert_eq!(job.is_some(), id != ids[2]);
            assert!(job.is_none_or(|job| job.id() == id && job.new.payload.is_empty()));
        }
    }
}
