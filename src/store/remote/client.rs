//! The store as a worker sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tonic::transport::Channel;

use super::link::{Current, OpenStream, keep_open};
use super::way::Way;
use super::{CALL_BYTES, RemoteCall, RemoteReply};
use crate::job::{Attempt, Column, Commit, Epoch, Job, JobId, Millis, Row, Table, codec};
use crate::protocol::client::{MasterTarget, ServingMaster};
use crate::store::{
    Accept, Accepted, Audited, Committed, Counts, FailedJob, LastError, Lease, Operated, Operation,
    Release, Released, State, Store, StoreError, Struck,
};

/// Most calls without an answer; further ones wait.
const AT_ONCE: usize = 1024;
/// How long a call waits for the master and for its turn.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a call waits for its answer, or for the next part of it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that give a large call one more second.
const BYTES_A_SECOND: usize = 4 * 1024 * 1024;

pub struct RemoteStore {
    link: watch::Receiver<Current>,
    turns: Semaphore,
    last_id: AtomicU64,
}

impl RemoteStore {
    /// Connects when it can, as a worker of this node, and again whenever the
    /// connection breaks. Meanwhile calls fail with [`StoreError::Unavailable`]
    /// after about a second. Must be called within a tokio runtime. The channel
    /// sets the keepalive.
    pub fn connect(channel: Channel, node_id: impl Into<String>) -> Self {
        Self::by(Way::Fixed(channel), node_id.into())
    }

    /// The same, with the master that this process's link has found, and later
    /// with each next one.
    pub fn follow(
        target: MasterTarget,
        found: watch::Receiver<Option<ServingMaster>>,
        node_id: impl Into<String>,
    ) -> Self {
        Self::by(Way::Followed { target, found }, node_id.into())
    }

    fn by(way: Way, node_id: String) -> Self {
        let (sender, link) = watch::channel(Current::not_there());
        tokio::spawn(keep_open(way, node_id, sender));
        Self {
            link,
            turns: Semaphore::new(AT_ONCE),
            last_id: AtomicU64::new(0),
        }
    }

    async fn call(&self, call: &RemoteCall) -> Result<RemoteReply, StoreError> {
        let call = Bytes::from(codec::encode(call));
        if call.len() > CALL_BYTES {
            return Err(StoreError::TooLarge(format!(
                "{} bytes, of {CALL_BYTES} at most",
                call.len()
            )));
        }
        let ready = async {
            let turn = self.turns.acquire().await.ok()?;
            let mut link = self.link.clone();
            let link = link.wait_for(|current| current.link().is_some()).await;
            let link = link.ok()?.link()?.clone();
            Some((turn, link))
        };
        let ready = timeout(PATIENCE, ready).await.ok().flatten();
        let Some((_turn, link)) = ready else {
            let current = self.link.borrow();
            return Err(unavailable(current.why_away().unwrap_or("too many calls")));
        };

        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let answered = exchange_frames(&link, id, call).await;
        link.waiting.forget(id);
        match codec::decode(&answered?) {
            Ok(RemoteReply::Failed(error)) => Err(error),
            Ok(reply) => Ok(reply),
            Err(error) => Err(StoreError::Corrupt(format!(
                "unreadable reply of the master: {error}"
            ))),
        }
    }
}

/// Sends a call and waits for its answer.
async fn exchange_frames(link: &OpenStream, id: u64, call: Bytes) -> Result<Bytes, StoreError> {
    let lost = || unavailable("lost the connection to the master");
    let late = || unavailable("the master did not answer in time");
    let extra = Duration::from_secs((call.len() / BYTES_A_SECOND) as u64);
    let mut answer = link.waiting.register(id);
    let mut patience = ANSWER_TIMEOUT + extra;
    let sent = timeout(patience, link.send(id, call)).await;
    sent.map_err(|_| late())?.ok_or_else(lost)?;
    let mut arrived = 0;
    loop {
        match timeout(patience, &mut answer).await {
            Ok(answer) => return answer.map_err(|_| lost()),
            Err(_) => {
                let before = std::mem::replace(&mut arrived, link.waiting.arrived(id));
                if arrived == before {
                    return Err(late());
                }
                patience = ANSWER_TIMEOUT;
            }
        }
    }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

fn too_large() -> StoreError {
    StoreError::TooLarge("the answer does not fit".to_owned())
}

fn not_for_workers() -> StoreError {
    unavailable("mastership belongs to the process that has the store open")
}

fn mismatch(reply: &RemoteReply) -> StoreError {
    let reply = std::mem::discriminant(reply);
    StoreError::Corrupt(format!("the master answered another question: {reply:?}"))
}

/// Makes a call and takes the answer out of its reply.
macro_rules! exchange {
    ($store:expr, $call:expr, $reply:pat => $value:expr) => {
        match $store.call(&$call).await? {
            $reply => Ok($value),
            RemoteReply::TooLarge => Err(too_large()),
            other => Err(mismatch(&other)),
        }
    };
}

#[async_trait]
impl State for RemoteStore {
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (row, column) = (row.to_owned(), column.to_owned());
        exchange!(self, RemoteCall::Get { table, row, column }, RemoteReply::Get(value) => value.map(Vec::from))
    }

    /// Reads one column at a time when they are too large together, and leaves
    /// out those that are deleted meanwhile.
    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        let of = row.to_owned();
        match self.call(&RemoteCall::Columns { table, row: of }).await? {
            RemoteReply::Columns(columns) => Ok(columns
                .into_iter()
                .map(|(column, value)| (column, value.into()))
                .collect()),
            RemoteReply::TooLarge => self.columns_one_by_one(table, row).await,
            other => Err(mismatch(&other)),
        }
    }

    /// Asks for half of the rows at a time when the answer is too large.
    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let all = rows.to_vec();
        match self.call(&RemoteCall::GetMany { table, rows: all }).await? {
            RemoteReply::TooLarge if rows.len() > 1 => {
                let (left, right) = rows.split_at(rows.len() / 2);
                let mut values = self.get_many(table, left).await?;
                values.extend(self.get_many(table, right).await?);
                Ok(values)
            }
            RemoteReply::GetMany(values) => Ok(values
                .into_iter()
                .map(|value| value.map(Vec::from))
                .collect()),
            RemoteReply::TooLarge => Err(too_large()),
            other => Err(mismatch(&other)),
        }
    }

    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        let prefix = prefix.to_owned();
        exchange!(self, RemoteCall::Rows { table, prefix }, RemoteReply::Rows(rows) => rows)
    }
}

impl RemoteStore {
    async fn columns_one_by_one(
        &self,
        table: Table,
        row: &str,
    ) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        let of = row.to_owned();
        let names = RemoteCall::ColumnNames { table, row: of };
        let names = exchange!(self, names, RemoteReply::ColumnNames(names) => names)?;
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let value = self.get(table, row, &name).await?;
            columns.extend(value.map(|value| (name, value)));
        }
        Ok(columns)
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        exchange!(self, RemoteCall::Accept(accept), RemoteReply::Accept(accepted) => accepted)
    }

    async fn commit(&self, attempt: Attempt, commit: Arc<Commit>) -> Result<Committed, StoreError> {
        exchange!(self, RemoteCall::Commit(attempt, commit), RemoteReply::Commit(committed) => committed)
    }

    async fn reschedule(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let call = RemoteCall::Reschedule {
            attempt,
            not_before,
            reason: reason.to_owned(),
        };
        exchange!(self, call, RemoteReply::Reschedule(kept) => kept)
    }

    async fn strike(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<Struck, StoreError> {
        let call = RemoteCall::Strike {
            attempt,
            not_before,
            reason: reason.to_owned(),
        };
        exchange!(self, call, RemoteReply::Strike(struck) => struck)
    }

    async fn park(&self, attempt: Attempt, reason: &str) -> Result<bool, StoreError> {
        let reason = reason.to_owned();
        exchange!(self, RemoteCall::Park { attempt, reason }, RemoteReply::Park(parked) => parked)
    }

    /// Always refused: only a master gives attempts up.
    async fn release(&self, _: Epoch, _: &[Release]) -> Result<Vec<Released>, StoreError> {
        Err(not_for_workers())
    }

    async fn claim(&self, attempt: Attempt) -> Result<bool, StoreError> {
        exchange!(self, RemoteCall::Claim(attempt), RemoteReply::Claim(claimed) => claimed)
    }

    async fn operate(&self, operation: Operation) -> Result<Operated, StoreError> {
        exchange!(self, RemoteCall::Operate(operation), RemoteReply::Operate(operated) => operated)
    }

    async fn audit(&self, limit: usize) -> Result<Vec<Audited>, StoreError> {
        let limit = limit as u64;
        exchange!(self, RemoteCall::Audit { limit }, RemoteReply::Audit(audited) => audited)
    }

    async fn last_errors(&self, ids: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        let ids = ids.to_vec();
        exchange!(self, RemoteCall::LastErrors(ids), RemoteReply::LastErrors(errors) => errors)
    }

    async fn parked_ids(&self, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let limit = limit as u64;
        exchange!(self, RemoteCall::ParkedIds { limit }, RemoteReply::ParkedIds(ids) => ids)
    }

    async fn open_jobs(&self, after: u64, limit: usize) -> Result<Vec<Job>, StoreError> {
        let limit = limit as u64;
        exchange!(self, RemoteCall::OpenJobs { after, limit }, RemoteReply::OpenJobs(jobs) => jobs)
    }

    async fn open_ids(&self, after: u64, limit: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        let limit = limit as u64;
        exchange!(self, RemoteCall::OpenIds { after, limit }, RemoteReply::OpenIds(ids) => ids)
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        exchange!(self, RemoteCall::Jobs(ids.to_vec()), RemoteReply::Jobs(jobs) => jobs)
    }

    async fn failed_jobs(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FailedJob)>, StoreError> {
        let limit = limit as u64;
        exchange!(self, RemoteCall::FailedJobs { after, limit }, RemoteReply::FailedJobs(jobs) => jobs)
    }

    async fn failed_job(&self, id: JobId) -> Result<Option<FailedJob>, StoreError> {
        exchange!(self, RemoteCall::FailedJob(id), RemoteReply::FailedJob(job) => job)
    }

    async fn known_sources(&self, sources: &[String]) -> Result<Vec<bool>, StoreError> {
        let call = RemoteCall::KnownSources(sources.to_vec());
        exchange!(self, call, RemoteReply::KnownSources(known) => known)
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        exchange!(self, RemoteCall::Counts, RemoteReply::Counts(counts) => counts)
    }

    /// Always refused.
    async fn acquire_lease(&self, _: &str, _: Duration, _: Epoch) -> Result<Lease, StoreError> {
        Err(not_for_workers())
    }

    /// Always refused.
    async fn release_lease(&self, _: &str) -> Result<(), StoreError> {
        Err(not_for_workers())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        exchange!(self, RemoteCall::Ping, RemoteReply::Ping => ())
    }
}
