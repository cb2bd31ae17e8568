//! Calls of a store that tests share.

use erawan::job::{Attempt, Commit, Epoch, Job, JobId, NewJob, Write, noop};
use erawan::store::{Accept, Accepted, Committed, FailedJob, Release, Released, Store};

// What the tests say often.

/// Above which epoch a term is to begin, if that is no matter.
pub const ANY: Epoch = Epoch(0);

pub fn job(key: &str) -> NewJob {
    NewJob::new(noop::NOOP, key, &())
}

pub fn accept_of(jobs: Vec<NewJob>) -> Accept {
    Accept {
        jobs,
        ..Accept::default()
    }
}

pub async fn accept_all(store: &dyn Store, accept: Accept) -> (Vec<Job>, Vec<JobId>) {
    match store.accept(accept).await.expect("accept") {
        Accepted::Stored { jobs, duplicates } => (jobs, duplicates),
        refused => panic!("{refused:?}"),
    }
}

/// Accepts one job.
pub async fn accept_job(store: &dyn Store, new: NewJob) -> Job {
    let (mut jobs, _) = accept_all(store, accept_of(vec![new])).await;
    jobs.pop().expect("not a duplicate")
}

pub fn attempt(job: &Job) -> Attempt {
    Attempt {
        job: job.id(),
        number: job.attempt,
    }
}

/// Commits and expects it to be applied.
pub async fn apply(store: &dyn Store, attempt: Attempt, commit: Commit) -> (Vec<Job>, Vec<JobId>) {
    match store.commit(attempt, commit.into()).await.expect("commit") {
        Committed::Applied { jobs, cancelled } => (jobs, cancelled),
        Committed::Fenced => panic!("fenced"),
    }
}

/// Ends a job.
pub async fn end(store: &dyn Store, job: &Job) {
    apply(store, attempt(job), Commit::nothing()).await;
}

/// Raises the attempts of jobs, without a strike.
pub fn releases(ids: &[JobId]) -> Vec<Release> {
    let release = |id: &JobId| Release {
        job: *id,
        strike: None,
    };
    ids.iter().map(release).collect()
}

/// Raises the attempt of a job whose worker was lost; the job as it is then.
pub async fn lose_worker(master: &dyn Store, job: &Job, why: &str) -> Job {
    let release = Release {
        job: job.id(),
        strike: Some(why.to_owned()),
    };
    let epoch = Epoch(u64::MAX);
    let released = master.release(epoch, &[release]).await.expect("release");
    let attempt = job.attempt + 1;
    assert_eq!(released, [Released::Open { attempt }]);
    stored(master, job).await
}

/// An open job as it is stored.
pub async fn stored(store: &dyn Store, job: &Job) -> Job {
    let found = store.jobs(&[job.id()]).await.expect("jobs");
    found.into_iter().next().flatten().expect("it is open")
}

pub async fn last_error(store: &dyn Store, job: &Job) -> Option<String> {
    let errors = store.last_errors(&[job.id()]).await.expect("last_errors");
    let error = errors.into_iter().next().flatten()?;
    assert!(error.at >= job.accepted_at);
    Some(error.reason)
}

/// Another one that differs in its id only.
pub fn another(job: &NewJob) -> NewJob {
    NewJob {
        id: JobId::generate(),
        ..job.clone()
    }
}

/// All failed jobs, read this many at a time.
pub async fn failed_jobs(store: &dyn Store, at_a_time: usize) -> Vec<FailedJob> {
    let (mut failed, mut after) = (Vec::new(), 0);
    loop {
        let page = store.failed_jobs(after, at_a_time).await;
        let page = page.expect("failed_jobs");
        assert!(page.len() <= at_a_time);
        if page.is_empty() {
            return failed;
        }
        for (place, job) in page {
            assert!(place > after, "in order");
            after = place;
            failed.push(job);
        }
    }
}

pub async fn open_ids(store: &dyn Store) -> Vec<JobId> {
    let found = store.open_ids(0, 10_000).await.expect("open_ids");
    found.into_iter().map(|(_, id)| id).collect()
}

pub fn put(row: &str, value: &str) -> Write {
    Write::put(erawan::job::Table::RequestData, row, value.into())
}

pub async fn value(store: &dyn Store, row: &str) -> Option<String> {
    let value = store.get(erawan::job::Table::RequestData, row, "").await;
    let value = value.expect("get");
    value.map(|bytes| String::from_utf8(bytes).expect("text"))
}
