//! Jobs page by page, for screens. However many jobs there are, a page reads a
//! limited number.

use std::fmt;
use std::str::FromStr;

use super::listing::fits;
use super::message::{Filter, JobState, Shown};
use super::shown::{shown_failed, shown_open, state_of};
use crate::job::{Job, JobId, Millis};
use crate::store::{Store, StoreError};

/// Jobs read from the store at once.
const PART: usize = 200;
/// Most jobs that one page looks at.
const LOOKED_AT: u64 = 4000;
/// Most parked jobs that are found without a dispatcher.
const PARKED: usize = 10_000;

/// Where a page begins: behind the job with this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// Among open jobs, by place in the order of acceptance.
    Open(u64),
    /// Among failed jobs, by place in the order of failing.
    Failed(u64),
}

impl fmt::Display for PageStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(after) => write!(f, "open-{after}"),
            Self::Failed(after) => write!(f, "failed-{after}"),
        }
    }
}

impl FromStr for PageStart {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a page begins at open-NUMBER or failed-NUMBER";
        let (part, after) = text.split_once('-').ok_or(wrong)?;
        let after = after.parse().map_err(|_| wrong)?;
        match part {
            "open" => Ok(Self::Open(after)),
            "failed" => Ok(Self::Failed(after)),
            _ => Err(wrong),
        }
    }
}

/// Some jobs, and where to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    pub jobs: Vec<Shown>,
    /// `None`: these were the last ones.
    pub next: Option<PageStart>,
    /// How many jobs were looked at.
    pub looked_at: u64,
}

/// Parked jobs behind a place, by place.
pub(super) type Parked = Vec<(u64, JobId)>;

struct Pager<'a> {
    store: &'a dyn Store,
    filter: &'a Filter,
    page: JobPage,
    now: Millis,
}

/// A page of the matching jobs: open ones first, then failed ones.
/// # Errors
/// When the store fails.
pub(super) async fn page(
    store: &dyn Store,
    filter: &Filter,
    start: Option<PageStart>,
) -> Result<JobPage, StoreError> {
    let mut pager = Pager::new(store, filter);
    let start = start.unwrap_or(match filter.state {
        Some(JobState::Failed) => PageStart::Failed(0),
        _ => PageStart::Open(0),
    });
    let mut at = Some(start);
    while let Some(PageStart::Open(after)) = at
        && !pager.is_done()
    {
        at = pager.open_after(after).await?;
    }
    while let Some(PageStart::Failed(after)) = at
        && !pager.is_done()
    {
        at = pager.failed_after(after).await?;
    }
    pager.page.next = at;
    Ok(pager.page)
}

/// A page of these parked jobs, which are in order. `more`: there are others
/// behind them.
/// # Errors
/// When the store fails.
pub(super) async fn page_of_parked(
    store: &dyn Store,
    filter: &Filter,
    parked: Parked,
    more: bool,
) -> Result<JobPage, StoreError> {
    let mut pager = Pager::new(store, filter);
    let last = parked.last().map(|(place, _)| *place);
    let ids: Vec<JobId> = parked.into_iter().map(|(_, id)| id).collect();
    let mut left = &ids[..];
    while !left.is_empty() {
        let jobs = store.jobs(left).await?;
        left = &left[jobs.len().clamp(1, left.len())..];
        let jobs: Vec<Job> = jobs.into_iter().flatten().collect();
        pager.page.looked_at += jobs.len() as u64;
        let fitting = jobs.into_iter().filter(|job| fits(filter, job)).collect();
        pager.add_open(fitting).await?;
    }
    pager.page.next = last.filter(|_| more).map(PageStart::Open);
    Ok(pager.page)
}

/// Parked jobs by the store's own index, which leaves out unreadable ones.
/// # Errors
/// When the store fails.
pub(super) async fn parked_by_store(
    store: &dyn Store,
    after: u64,
    limit: usize,
) -> Result<Parked, StoreError> {
    let ids = store.parked_ids(PARKED).await?;
    let mut parked = Vec::new();
    let mut left = &ids[..];
    while !left.is_empty() && parked.len() < limit {
        let asked = &left[..left.len().min(PART)];
        let jobs = store.jobs(asked).await?;
        left = &left[jobs.len().clamp(1, asked.len())..];
        let jobs = jobs.into_iter().flatten().filter(|job| job.seq > after);
        parked.extend(jobs.map(|job| (job.seq, job.id())));
    }
    parked.truncate(limit);
    Ok(parked)
}

impl<'a> Pager<'a> {
    fn new(store: &'a dyn Store, filter: &'a Filter) -> Self {
        Self {
            store,
            filter,
            page: JobPage {
                jobs: Vec::new(),
                next: None,
                looked_at: 0,
            },
            now: Millis::now(),
        }
    }

    fn is_full(&self) -> bool {
        self.page.jobs.len() as u64 >= self.filter.limit
    }

    fn is_done(&self) -> bool {
        self.is_full() || self.page.looked_at >= LOOKED_AT
    }

    /// How many jobs to read at once: no more than a page shows, unless most of
    /// them do not match.
    fn part(&self) -> usize {
        let filter = self.filter;
        let all_match = filter.kind.is_none() && filter.key.is_none() && filter.before.is_none();
        let missing = filter.limit.saturating_sub(self.page.jobs.len() as u64);
        match usize::try_from(missing) {
            Ok(missing) if all_match => missing.clamp(1, PART),
            _ => PART,
        }
    }

    /// Where to go on.
    async fn open_after(&mut self, after: u64) -> Result<Option<PageStart>, StoreError> {
        let jobs = self.store.open_jobs(after, self.part()).await?;
        if jobs.is_empty() {
            // Failed jobs belong to this list only if no state is asked for.
            return Ok(self.filter.state.is_none().then_some(PageStart::Failed(0)));
        }
        let mut last = after;
        let mut fitting = Vec::new();
        for job in jobs {
            if (self.page.jobs.len() + fitting.len()) as u64 >= self.filter.limit {
                break;
            }
            last = job.seq;
            self.page.looked_at += 1;
            if self.is_of_state(&job) && fits(self.filter, &job) {
                fitting.push(job);
            }
        }
        self.add_open(fitting).await?;
        Ok(Some(PageStart::Open(last)))
    }

    fn is_of_state(&self, job: &Job) -> bool {
        match self.filter.state {
            Some(wanted @ (JobState::Waiting | JobState::Parked)) => {
                state_of(job, self.now) == wanted
            }
            _ => true,
        }
    }

    async fn add_open(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let ids: Vec<JobId> = jobs.iter().map(Job::id).collect();
        let errors = self.store.last_errors(&ids).await?;
        let shown = jobs.iter().zip(errors);
        let shown = shown.map(|(job, error)| shown_open(job, error));
        self.page.jobs.extend(shown);
        Ok(())
    }

    async fn failed_after(&mut self, after: u64) -> Result<Option<PageStart>, StoreError> {
        let failed = self.store.failed_jobs(after, self.part()).await?;
        let Some((first, _)) = failed.first() else {
            return Ok(None);
        };
        let mut last = *first;
        for (place, failed) in &failed {
            if self.is_full() {
                break;
            }
            last = *place;
            self.page.looked_at += 1;
            if fits(self.filter, &failed.job) {
                self.page.jobs.push(shown_failed(failed));
            }
        }
        Ok(Some(PageStart::Failed(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{NewJob, noop};
    use crate::store::Accept;
    use crate::store::embedded::{EmbeddedStore, Options};

    async fn store_with(directory: &tempfile::TempDir, jobs: Vec<NewJob>) -> EmbeddedStore {
        let options = Options {
            path: directory.path().join("store"),
            node_id: "rp1".to_owned(),
        };
        let store = EmbeddedStore::open(options).unwrap();
        let accept = Accept {
            jobs,
            ..Accept::default()
        };
        store.accept(accept).await.unwrap();
        store
    }

    fn jobs(count: usize, kind: crate::job::Kind) -> Vec<NewJob> {
        let new = |number| NewJob::new(kind, format!("key{number}"), &());
        (0..count).map(new).collect()
    }

    #[tokio::test]
    async fn pages_follow_each_other_and_miss_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = store_with(&directory, jobs(5, noop::NOOP)).await;
        let filter = Filter {
            limit: 2,
            ..Filter::default()
        };
        let (mut seen, mut start) = (Vec::new(), None);
        loop {
            let page = page(&store, &filter, start).await.unwrap();
            assert!(page.jobs.len() <= 2);
            seen.extend(page.jobs.into_iter().map(|shown| shown.key));
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["key0", "key1", "key2", "key3", "key4"]);
    }

    #[tokio::test]
    async fn a_page_looks_at_so_many_jobs_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let mut all = jobs(LOOKED_AT as usize + 10, noop::NOOP);
        all.extend(jobs(1, noop::CHAIN));
        let store = store_with(&directory, all).await;
        let filter = Filter {
            kind: Some(noop::CHAIN),
            limit: 50,
            ..Filter::default()
        };
        let first = page(&store, &filter, None).await.unwrap();
        assert_eq!((first.jobs.len(), first.looked_at), (0, LOOKED_AT));
        let second = page(&store, &filter, first.next).await.unwrap();
        assert_eq!(second.jobs.len(), 1);
        assert_eq!(second.next, None);
    }

    #[test]
    fn where_a_page_begins_is_one_word() {
        for start in [PageStart::Open(7), PageStart::Failed(0)] {
            assert_eq!(start.to_string().parse(), Ok(start));
        }
        assert!("open".parse::<PageStart>().is_err());
        assert!("parked-1".parse::<PageStart>().is_err());
    }
}
