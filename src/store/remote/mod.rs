//! A worker's access to its master's embedded store. Every operation is a
//! [`RemoteCall`] on the stream `Cluster.Store` with a [`RemoteReply`]; both
//! travel in frames.
//!
//! Workers have no part in mastership: leases and the release of attempts
//! belong to the process that has the file open, so there are no calls for
//! them, and [`RemoteStore`] refuses them.

mod client;
mod frame;
mod link;
mod server;
mod way;

use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub use client::RemoteStore;
pub use server::serve_stream;

use crate::job::{Attempt, Column, Commit, Job, JobId, Millis, Row, Table, codec};
use crate::store::{
    Accept, Accepted, Audited, Committed, Counts, FailedJob, LARGEST_WRITE, LastError, Operated,
    Operation, Store, StoreError, Struck,
};

crate::job::sent! {
    crate::protocol::message::PROTOCOL_VERSION;
    "store_call": RemoteCall,
    "store_reply": RemoteReply,
}

/// The most bytes of a call.
const CALL_BYTES: usize = LARGEST_WRITE;
/// The most bytes of an answer. The answer to an accept or commit contains its
/// jobs as stored, so it is larger than the call.
const ANSWER_BYTES: usize = 2 * CALL_BYTES;

/// A value in transit, written and read as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value(#[serde(with = "codec::bytes")] Vec<u8>);

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self(value)
    }
}

impl From<Value> for Vec<u8> {
    fn from(value: Value) -> Self {
        value.0
    }
}

/// An operation of [`Store`] or [`super::State`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RemoteCall {
    /// [`super::State::get`].
    Get {
        table: Table,
        row: Row,
        column: Column,
    },
    /// [`super::State::columns`].
    Columns { table: Table, row: Row },
    /// The names of what [`super::State::columns`] returns.
    ColumnNames { table: Table, row: Row },
    /// [`super::State::get_many`].
    GetMany { table: Table, rows: Vec<Row> },
    /// [`super::State::rows`].
    Rows { table: Table, prefix: String },
    /// [`Store::accept`].
    Accept(Accept),
    /// [`Store::commit`].
    Commit(Attempt, Arc<Commit>),
    /// [`Store::reschedule`].
    Reschedule {
        attempt: Attempt,
        not_before: Millis,
        reason: String,
    },
    /// [`Store::strike`].
    Strike {
        attempt: Attempt,
        not_before: Millis,
        reason: String,
    },
    /// [`Store::park`].
    Park { attempt: Attempt, reason: String },
    /// [`Store::claim`].
    Claim(Attempt),
    /// [`Store::operate`].
    Operate(Operation),
    /// [`Store::audit`].
    Audit { limit: u64 },
    /// [`Store::last_errors`].
    LastErrors(Vec<JobId>),
    /// [`Store::parked_ids`].
    ParkedIds { limit: u64 },
    /// [`Store::open_jobs`].
    OpenJobs {
        /// The last seq of the previous page.
        after: u64,
        limit: u64,
    },
    /// [`Store::open_ids`].
    OpenIds {
        /// The last seq of the previous page.
        after: u64,
        limit: u64,
    },
    /// [`Store::jobs`].
    Jobs(Vec<JobId>),
    /// [`Store::failed_jobs`].
    FailedJobs {
        /// The last place of the previous page.
        after: u64,
        limit: u64,
    },
    /// [`Store::failed_job`].
    FailedJob(JobId),
    /// [`Store::known_sources`].
    KnownSources(Vec<String>),
    /// [`Store::counts`].
    Counts,
    /// [`Store::ping`].
    Ping,
}

/// The answer to the [`RemoteCall`] of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RemoteReply {
    /// To [`RemoteCall::Get`].
    Get(Option<Value>),
    /// To [`RemoteCall::Columns`].
    Columns(Vec<(Column, Value)>),
    /// To [`RemoteCall::ColumnNames`].
    ColumnNames(Vec<Column>),
    /// To [`RemoteCall::GetMany`].
    GetMany(Vec<Option<Value>>),
    /// To [`RemoteCall::Rows`].
    Rows(Vec<Row>),
    /// To [`RemoteCall::Accept`].
    Accept(Accepted),
    /// To [`RemoteCall::Commit`].
    Commit(Committed),
    /// To [`RemoteCall::Reschedule`].
    Reschedule(bool),
    /// To [`RemoteCall::Strike`].
    Strike(Struck),
    /// To [`RemoteCall::Park`].
    Park(bool),
    /// To [`RemoteCall::Claim`].
    Claim(bool),
    /// To [`RemoteCall::Operate`].
    Operate(Operated),
    /// To [`RemoteCall::Audit`].
    Audit(Vec<Audited>),
    /// To [`RemoteCall::LastErrors`].
    LastErrors(Vec<Option<LastError>>),
    /// To [`RemoteCall::ParkedIds`].
    ParkedIds(Vec<JobId>),
    /// To [`RemoteCall::OpenJobs`].
    OpenJobs(Vec<Job>),
    /// To [`RemoteCall::OpenIds`].
    OpenIds(Vec<(u64, JobId)>),
    /// To [`RemoteCall::Jobs`].
    Jobs(Vec<Option<Job>>),
    /// To [`RemoteCall::FailedJobs`].
    FailedJobs(Vec<(u64, FailedJob)>),
    /// To [`RemoteCall::FailedJob`].
    FailedJob(Option<FailedJob>),
    /// To [`RemoteCall::KnownSources`].
    KnownSources(Vec<bool>),
    /// To [`RemoteCall::Counts`].
    Counts(Counts),
    /// To [`RemoteCall::Ping`].
    Ping,
    /// To any call: it failed.
    Failed(StoreError),
    /// To any call: it was done, but its answer is too large.
    TooLarge,
}

/// Performs a call.
pub async fn answer(store: &dyn Store, call: RemoteCall) -> RemoteReply {
    let reply = match call {
        RemoteCall::Get { table, row, column } => {
            let value = store.get(table, &row, &column).await;
            value.map(|value| RemoteReply::Get(value.map(Value)))
        }
        RemoteCall::Columns { table, row } => {
            let columns = store.columns(table, &row).await;
            let value = |(column, value)| (column, Value(value));
            columns.map(|columns| RemoteReply::Columns(columns.into_iter().map(value).collect()))
        }
        RemoteCall::ColumnNames { table, row } => {
            let columns = store.columns(table, &row).await;
            let name = |(column, _)| column;
            columns.map(|columns| RemoteReply::ColumnNames(columns.into_iter().map(name).collect()))
        }
        RemoteCall::GetMany { table, rows } => {
            let values = store.get_many(table, &rows).await;
            let value = |value: Option<Vec<u8>>| value.map(Value);
            values.map(|values| RemoteReply::GetMany(values.into_iter().map(value).collect()))
        }
        RemoteCall::Rows { table, prefix } => {
            store.rows(table, &prefix).await.map(RemoteReply::Rows)
        }
        RemoteCall::Accept(accept) => store.accept(accept).await.map(RemoteReply::Accept),
        RemoteCall::Commit(attempt, commit) => {
            store.commit(attempt, commit).await.map(RemoteReply::Commit)
        }
        RemoteCall::Reschedule {
            attempt,
            not_before,
            reason,
        } => {
            let kept = store.reschedule(attempt, not_before, &reason).await;
            kept.map(RemoteReply::Reschedule)
        }
        RemoteCall::Strike {
            attempt,
            not_before,
            reason,
        } => {
            let struck = store.strike(attempt, not_before, &reason).await;
            struck.map(RemoteReply::Strike)
        }
        RemoteCall::Park { attempt, reason } => {
            store.park(attempt, &reason).await.map(RemoteReply::Park)
        }
        RemoteCall::Operate(operation) => store.operate(operation).await.map(RemoteReply::Operate),
        RemoteCall::Audit { limit } => store.audit(to_usize(limit)).await.map(RemoteReply::Audit),
        RemoteCall::LastErrors(ids) => store.last_errors(&ids).await.map(RemoteReply::LastErrors),
        RemoteCall::ParkedIds { limit } => {
            let ids = store.parked_ids(to_usize(limit)).await;
            ids.map(RemoteReply::ParkedIds)
        }
        RemoteCall::Claim(attempt) => store.claim(attempt).await.map(RemoteReply::Claim),
        RemoteCall::OpenJobs { after, limit } => {
            let jobs = store.open_jobs(after, to_usize(limit)).await;
            jobs.map(RemoteReply::OpenJobs)
        }
        RemoteCall::OpenIds { after, limit } => {
            let ids = store.open_ids(after, to_usize(limit)).await;
            ids.map(RemoteReply::OpenIds)
        }
        RemoteCall::Jobs(ids) => store.jobs(&ids).await.map(RemoteReply::Jobs),
        RemoteCall::FailedJobs { after, limit } => {
            let jobs = store.failed_jobs(after, to_usize(limit)).await;
            jobs.map(RemoteReply::FailedJobs)
        }
        RemoteCall::FailedJob(id) => store.failed_job(id).await.map(RemoteReply::FailedJob),
        RemoteCall::KnownSources(sources) => {
            let known = store.known_sources(&sources).await;
            known.map(RemoteReply::KnownSources)
        }
        RemoteCall::Counts => store.counts().await.map(RemoteReply::Counts),
        RemoteCall::Ping => store.ping().await.map(|()| RemoteReply::Ping),
    };
    reply.unwrap_or_else(RemoteReply::Failed)
}

fn to_usize(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
