//! A worker's view of its master's embedded store: every operation is a
//! [`Call`] on the stream `Cluster.Store`, answered by a [`Reply`].
//!
//! Mastership is not for workers: leases and the release of attempts belong to
//! the process that has the file open, so there are no calls for them and
//! [`RemoteStore`] refuses them.

mod client;
mod link;
mod server;

use serde::{Deserialize, Serialize};

pub use client::RemoteStore;
pub use server::serve_stream;

use super::{Accept, Accepted, Attempt, Committed, Counts, FailedJob, Store, StoreError};
use crate::job::{Column, Commit, Job, JobId, Millis, Row, Table};

/// Limit of a gRPC message in both directions; for `ClusterServer` and
/// `ClusterClient`.
pub const MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// An operation of [`Store`] or [`super::State`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Call {
    /// [`super::State::get`].
    Get {
        /// Where.
        table: Table,
        /// Which row.
        row: Row,
        /// Which column.
        column: Column,
    },
    /// [`super::State::columns`].
    Columns {
        /// Where.
        table: Table,
        /// Which row.
        row: Row,
    },
    /// [`super::State::get_many`].
    GetMany {
        /// Where.
        table: Table,
        /// Which rows.
        rows: Vec<Row>,
    },
    /// [`super::State::rows`].
    Rows {
        /// Where.
        table: Table,
        /// What their names start with.
        prefix: String,
    },
    /// [`Store::accept`].
    Accept(Accept),
    /// [`Store::commit`].
    Commit(Attempt, Commit),
    /// [`Store::reschedule`].
    Reschedule {
        /// Who asks.
        attempt: Attempt,
        /// Until when.
        not_before: Millis,
        /// Why.
        reason: String,
    },
    /// [`Store::claim`].
    Claim(Attempt),
    /// [`Store::open_jobs`].
    OpenJobs {
        /// The last seq of the page before.
        after: u64,
        /// Jobs in this page at most.
        limit: u64,
    },
    /// [`Store::open_ids`].
    OpenIds {
        /// The last seq of the page before.
        after: u64,
        /// Ids in this page at most.
        limit: u64,
    },
    /// [`Store::jobs`].
    Jobs(Vec<JobId>),
    /// [`Store::failed_jobs`].
    FailedJobs {
        /// At most so many.
        limit: u64,
    },
    /// [`Store::counts`].
    Counts,
    /// [`Store::ping`].
    Ping,
}

/// The answer to the [`Call`] of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Call::Get`].
    Get(Option<Vec<u8>>),
    /// To [`Call::Columns`].
    Columns(Vec<(Column, Vec<u8>)>),
    /// To [`Call::GetMany`].
    GetMany(Vec<Option<Vec<u8>>>),
    /// To [`Call::Rows`].
    Rows(Vec<Row>),
    /// To [`Call::Accept`].
    Accept(Accepted),
    /// To [`Call::Commit`].
    Commit(Committed),
    /// To [`Call::Reschedule`].
    Reschedule(bool),
    /// To [`Call::Claim`].
    Claim(bool),
    /// To [`Call::OpenJobs`].
    OpenJobs(Vec<Job>),
    /// To [`Call::OpenIds`].
    OpenIds(Vec<(u64, JobId)>),
    /// To [`Call::Jobs`].
    Jobs(Vec<Option<Job>>),
    /// To [`Call::FailedJobs`].
    FailedJobs(Vec<FailedJob>),
    /// To [`Call::Counts`].
    Counts(Counts),
    /// To [`Call::Ping`].
    Ping,
    /// To any call: it failed.
    Failed(StoreError),
    /// To any call: it was done, but its answer does not fit a message.
    TooLarge,
}

/// Does what a call asks for.
pub async fn answer(store: &dyn Store, call: Call) -> Reply {
    let reply = match call {
        Call::Get { table, row, column } => store.get(table, &row, &column).await.map(Reply::Get),
        Call::Columns { table, row } => store.columns(table, &row).await.map(Reply::Columns),
        Call::GetMany { table, rows } => store.get_many(table, &rows).await.map(Reply::GetMany),
        Call::Rows { table, prefix } => store.rows(table, &prefix).await.map(Reply::Rows),
        Call::Accept(accept) => store.accept(accept).await.map(Reply::Accept),
        Call::Commit(attempt, commit) => store.commit(attempt, commit).await.map(Reply::Commit),
        Call::Reschedule {
            attempt,
            not_before,
            reason,
        } => {
            let kept = store.reschedule(attempt, not_before, &reason).await;
            kept.map(Reply::Reschedule)
        }
        Call::Claim(attempt) => store.claim(attempt).await.map(Reply::Claim),
        Call::OpenJobs { after, limit } => {
            let jobs = store.open_jobs(after, to_usize(limit)).await;
            jobs.map(Reply::OpenJobs)
        }
        Call::OpenIds { after, limit } => {
            let ids = store.open_ids(after, to_usize(limit)).await;
            ids.map(Reply::OpenIds)
        }
        Call::Jobs(ids) => store.jobs(&ids).await.map(Reply::Jobs),
        Call::FailedJobs { limit } => {
            let jobs = store.failed_jobs(to_usize(limit)).await;
            jobs.map(Reply::FailedJobs)
        }
        Call::Counts => store.counts().await.map(Reply::Counts),
        Call::Ping => store.ping().await.map(|()| Reply::Ping),
    };
    reply.unwrap_or_else(Reply::Failed)
}

fn to_usize(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
