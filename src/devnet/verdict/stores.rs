//! What the stores hold when the nodes have stopped.

use std::io;

use crate::job::{Job, JobId, Millis, Table};
use crate::store::{FailedJob, LastError, Store, StoreError};

/// Jobs told one by one; more are only counted.
const MOST_TOLD: usize = 20;
const PAGE: usize = 500;
/// Tables whose rows end with the request, operation or transaction they are of.
const EMPTY_AT_THE_END: [Table; 9] = [
    Table::RequestData,
    Table::RequestReference,
    Table::PendingAsData,
    Table::ConsentRequest,
    Table::DataRequest,
    Table::PendingDataRequest,
    Table::DataAnswer,
    Table::ExpectedTransaction,
    Table::DisabledTransaction,
];

/// What is left in a store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Leftovers {
    /// Accepted and not ended (parked ones too), with what went wrong last.
    pub open: Vec<(Job, Option<LastError>)>,
    /// Ended as failed.
    pub failed: Vec<FailedJob>,
    /// Rows whose request has ended.
    pub rows: Vec<(Table, String)>,
}

impl Leftovers {
    /// What should not be there: anything at all.
    pub fn findings(&self) -> impl Iterator<Item = String> {
        let now = Millis::now();
        let open = self.open.iter().map(move |job| open_job(job, now));
        let failed = self.failed.iter().map(|failed| {
            let (kind, key) = (failed.job.kind().name(), failed.job.key());
            format!("{kind} of {key} failed: {}", failed.reason)
        });
        let rows = self.rows.iter();
        let rows = rows.map(|(table, row)| format!("{} of {row} is left", table.name()));
        let mut all: Vec<String> = open.chain(failed).chain(rows).collect();
        let untold = all.len().saturating_sub(MOST_TOLD);
        all.truncate(MOST_TOLD);
        if untold > 0 {
            all.push(format!("{untold} more are left"));
        }
        all.into_iter()
    }
}

fn open_job((job, error): &(Job, Option<LastError>), now: Millis) -> String {
    let (kind, key) = (job.kind().name(), job.key());
    let state = if job.parked { "parked" } else { "open" };
    let mut text = format!("{kind} of {key} is {state}");
    let mut add = |more: String| {
        text.push_str(", ");
        text.push_str(&more);
    };
    if job.attempt > 1 {
        add(format!("attempt {}", job.attempt));
    }
    if job.tries > 0 {
        add(format!("tried {} times", job.tries));
    }
    if let Some(start) = job.new.not_before.filter(|start| *start > now) {
        add(format!(
            "not before {} s from now",
            now.until(start).as_secs()
        ));
    }
    if let Some(height) = job.new.after_height {
        add(format!("waits for a block above {height}"));
    }
    if let Some(error) = error {
        add(error.reason.clone());
    }
    text
}

/// Reads a store whose node has stopped.
///
/// # Errors
/// When it cannot be read.
pub async fn read_store(store: &dyn Store) -> io::Result<Leftovers> {
    let open = open_jobs(store).await.map_err(io::Error::other)?;
    let failed = failed_jobs(store).await.map_err(io::Error::other)?;
    let mut rows = Vec::new();
    for table in EMPTY_AT_THE_END {
        let of_table = store.rows(table, "").await.map_err(io::Error::other)?;
        rows.extend(of_table.into_iter().map(|row| (table, row)));
    }
    Ok(Leftovers { open, failed, rows })
}

async fn open_jobs(store: &dyn Store) -> Result<Vec<(Job, Option<LastError>)>, StoreError> {
    let mut open: Vec<(Job, Option<LastError>)> = Vec::new();
    loop {
        let after = open.last().map_or(0, |(job, _)| job.seq);
        let page = store.open_jobs(after, PAGE).await?;
        if page.is_empty() {
            return Ok(open);
        }
        let ids: Vec<JobId> = page.iter().map(Job::id).collect();
        let errors = store.last_errors(&ids).await?;
        open.extend(page.into_iter().zip(errors));
    }
}

async fn failed_jobs(store: &dyn Store) -> Result<Vec<FailedJob>, StoreError> {
    let (mut failed, mut after) = (Vec::new(), 0);
    loop {
        let page = store.failed_jobs(after, PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(failed);
        };
        after = *last;
        failed.extend(page.into_iter().map(|(_, failed)| failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::rp;
    use crate::job::{Attempt, Commit, NewJob, Write, noop};
    use crate::store::embedded::{EmbeddedStore, Options};
    use crate::store::{Accept, Accepted};

    #[tokio::test]
    async fn whatever_is_left_in_a_store_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(Options {
            path: directory.path().join("store"),
            node_id: "rp1".to_owned(),
        })
        .unwrap();
        let empty = read_store(&store).await.unwrap();
        assert_eq!(empty.findings().count(), 0);

        let timer = NewJob::new(rp::time_out::KIND, "request:a", &());
        let timer = timer.not_before(Millis::now().after(std::time::Duration::from_secs(90)));
        let fails = NewJob::new(noop::NOOP, "request:b", &());
        let accept = Accept {
            writes: vec![Write::put(Table::RequestData, "a", vec![1])],
            jobs: vec![timer, fails],
            ..Accept::default()
        };
        let Accepted::Stored { jobs, .. } = store.accept(accept).await.unwrap() else {
            panic!("refused");
        };
        let attempt = Attempt {
            job: jobs[1].id(),
            number: 1,
        };
        let commit = Commit::failed("no such luck");
        store.commit(attempt, commit.into()).await.unwrap();

        let left = read_store(&store).await.unwrap();
        let findings: Vec<String> = left.findings().collect();
        assert_eq!(findings.len(), 3);
        assert!(findings[0].contains("rp.time_out of request:a is open, not before 8"));
        assert_eq!(findings[1], "bench.noop of request:b failed: no such luck");
        assert_eq!(findings[2], "request_data of a is left");
    }

    #[tokio::test]
    async fn failed_jobs_behind_a_page_of_large_ones_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(Options {
            path: directory.path().join("store"),
            node_id: "rp1".to_owned(),
        })
        .unwrap();
        for _ in 0..3 {
            let mut large = NewJob::new(noop::NOOP, "k", &());
            large.payload = vec![7; 9 * 1024 * 1024];
            let attempt = Attempt {
                job: large.id,
                number: 1,
            };
            let accept = Accept {
                jobs: vec![large],
                ..Accept::default()
            };
            store.accept(accept).await.unwrap();
            store
                .commit(attempt, Commit::failed("x").into())
                .await
                .unwrap();
        }
        let left = read_store(&store).await.unwrap();
        assert_eq!(left.failed.len(), 3);
    }
}
