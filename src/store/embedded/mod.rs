//! The store of a standalone node or a small cluster: a file (redb) that the
//! process opens itself. Acknowledged operations are on disk. Operations that
//! arrive together share one sync ([`writer`]).

mod failure;
mod file;
mod jobs;
mod operate;
mod operations;
mod tables;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::RwLock;
use redb::{Database, ReadTransaction};

use self::failure::OperationFailure;
use self::file::StoreFile;
use self::tables::Tables;
use self::writer::{Shared, Writer};
use crate::job::{Attempt, Column, Commit, Epoch, Job, JobId, Millis, Row, Table, codec};
use crate::store::{
    Accept, Accepted, Audited, Committed, Counts, FailedJob, FailedLimits, LastError, Lease,
    Operated, Operation, PAGE_BYTES, Release, Released, State, Store, StoreError, Struck, record,
};

#[derive(Debug, Clone)]
pub struct Options {
    /// Created if it does not exist; its directory must.
    pub path: PathBuf,
    /// A file belongs to the node that created it.
    pub node_id: String,
}

pub struct EmbeddedStore {
    shared: Shared,
    writer: Writer,
    failed_limits: FailedLimits,
}

impl EmbeddedStore {
    /// Opens the file, and repairs it first if the last process was killed.
    /// Blocks meanwhile.
    /// # Errors
    /// [`StoreError::Unavailable`], naming the file, if another process has it
    /// open or it cannot be written; [`StoreError::Corrupt`] if it is not a
    /// store or belongs to another node.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let file = StoreFile { path: options.path };
        let database = file.create()?;
        file.prepare(&database, &options.node_id)?;
        let shared: Shared = Arc::new(RwLock::new(Some(Arc::new(database))));
        let writer = Writer::start(Arc::clone(&shared), file)?;
        Ok(Self {
            shared,
            writer,
            failed_limits: FailedLimits::default(),
        })
    }

    /// Changes how many failed jobs are kept.
    pub fn with_failed_limits(mut self, limits: FailedLimits) -> Self {
        self.failed_limits = limits;
        self
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let unavailable = || StoreError::Unavailable("the file is not open".to_owned());
        self.shared.read().clone().ok_or_else(unavailable)
    }

    /// A read of a few values, mostly from memory, on this thread.
    fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, OperationFailure>,
    ) -> Result<T, StoreError> {
        let database = self.database()?;
        Ok(read(&tables::begin_read(&database)?)?)
    }

    /// A read that may take a while, on a thread that may block.
    async fn walk<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, OperationFailure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.database()?;
        tokio::task::spawn_blocking(move || Ok(read(&tables::begin_read(&database)?)?))
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

#[async_trait]
impl State for EmbeddedStore {
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|transaction| {
            let state = transaction.open_table(tables::STATE)?;
            let value = state.get((table.name(), row, column))?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }

    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        self.read(|transaction| {
            let state = transaction.open_table(tables::STATE)?;
            tables::columns(&state, table.name(), row)
        })
    }

    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.read(|transaction| {
            let state = transaction.open_table(tables::STATE)?;
            rows.iter()
                .map(|row| {
                    let value = state.get((table.name(), row.as_str(), ""))?;
                    Ok(value.map(|value| value.value().to_vec()))
                })
                .collect()
        })
    }

    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        let prefix = prefix.to_owned();
        self.walk(move |transaction| {
            let state = transaction.open_table(tables::STATE)?;
            let mut rows: Vec<Row> = Vec::new();
            for entry in state.range((table.name(), prefix.as_str(), "")..)? {
                let (key, _) = entry?;
                let (found_table, row, _) = key.value();
                if found_table != table.name() || !row.starts_with(&prefix) {
                    break;
                }
                if rows.last().is_none_or(|last| last != row) {
                    rows.push(row.to_owned());
                }
            }
            Ok(rows)
        })
        .await
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        let run = move |tables: &mut Tables<'_>| operations::accept(tables, &accept);
        self.writer.write(run).await
    }

    async fn commit(&self, attempt: Attempt, commit: Arc<Commit>) -> Result<Committed, StoreError> {
        let limits = self.failed_limits;
        let run =
            move |tables: &mut Tables<'_>| operations::commit(tables, attempt, &commit, limits);
        let (committed, dropped) = self.writer.write(run).await?;
        super::note_dropped(dropped);
        Ok(committed)
    }

    async fn reschedule(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let reason = reason.to_owned();
        let run = move |tables: &mut Tables<'_>| {
            operations::reschedule(tables, attempt, not_before, &reason)
        };
        self.writer.write(run).await
    }

    async fn strike(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<Struck, StoreError> {
        let reason = reason.to_owned();
        let run =
            move |tables: &mut Tables<'_>| operations::strike(tables, attempt, not_before, &reason);
        self.writer.write(run).await
    }

    async fn park(&self, attempt: Attempt, reason: &str) -> Result<bool, StoreError> {
        let reason = reason.to_owned();
        let run = move |tables: &mut Tables<'_>| operations::park(tables, attempt, &reason);
        self.writer.write(run).await
    }

    async fn release(&self, epoch: Epoch, jobs: &[Release]) -> Result<Vec<Released>, StoreError> {
        let jobs = jobs.to_vec();
        let run = move |tables: &mut Tables<'_>| operations::release(tables, epoch, &jobs);
        self.writer.write(run).await
    }

    async fn claim(&self, attempt: Attempt) -> Result<bool, StoreError> {
        let run = move |tables: &mut Tables<'_>| operations::claim(tables, attempt);
        self.writer.write(run).await
    }

    async fn operate(&self, operation: Operation) -> Result<Operated, StoreError> {
        let run = move |tables: &mut Tables<'_>| operate::operate(tables, &operation);
        self.writer.write(run).await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<Audited>, StoreError> {
        self.walk(move |transaction| {
            let audit = transaction.open_table(tables::AUDIT)?;
            let mut found = Vec::new();
            for entry in audit.range(0..)?.rev().take(limit) {
                let (_, entry) = entry?;
                let audited: Audited = codec::decode(entry.value())
                    .map_err(|error| OperationFailure::Corrupt(error.to_string()))?;
                found.push(audited);
            }
            found.reverse();
            Ok(found)
        })
        .await
    }

    async fn last_errors(&self, ids: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        self.read(|transaction| {
            let errors = transaction.open_table(tables::ERRORS)?;
            ids.iter()
                .map(|id| match errors.get(id.as_bytes())? {
                    Some(error) => Ok(Some(record::read_error(error.value())?)),
                    None => Ok(None),
                })
                .collect()
        })
    }

    async fn parked_ids(&self, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.walk(move |transaction| {
            let parked = transaction.open_table(tables::PARKED)?;
            let mut ids = Vec::new();
            for entry in parked.range(0..)?.take(limit) {
                ids.push(tables::job_id(entry?.1.value())?);
            }
            Ok(ids)
        })
        .await
    }

    async fn open_jobs(&self, after: u64, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.walk(move |transaction| {
            let open = transaction.open_table(tables::OPEN)?;
            let records = transaction.open_table(tables::JOBS)?;
            let (mut jobs, mut bytes) = (Vec::new(), 0);
            for entry in open.range(after.saturating_add(1)..)?.take(limit) {
                let (seq, id) = entry?;
                let record = records.get(id.value())?;
                let record = record.as_ref().map_or(&[][..], |record| record.value());
                bytes += record.len() as u64;
                if bytes > PAGE_BYTES && !jobs.is_empty() {
                    break;
                }
                let id = tables::job_id(id.value())?;
                jobs.push(record::read_at(seq.value(), id, record));
            }
            Ok(jobs)
        })
        .await
    }

    async fn open_ids(&self, after: u64, limit: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        self.walk(move |transaction| {
            let open = transaction.open_table(tables::OPEN)?;
            let mut ids = Vec::new();
            for entry in open.range(after.saturating_add(1)..)?.take(limit) {
                let (seq, id) = entry?;
                ids.push((seq.value(), tables::job_id(id.value())?));
            }
            Ok(ids)
        })
        .await
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        let found = self.read(|transaction| jobs::first_if_readable(transaction, ids))?;
        if let Some(found) = found {
            return Ok(found);
        }
        let ids = ids.to_vec();
        self.walk(move |transaction| jobs::first_with_lost(transaction, &ids))
            .await
    }

    async fn failed_jobs(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FailedJob)>, StoreError> {
        self.walk(move |transaction| {
            let failed = transaction.open_table(tables::FAILED)?;
            let failures = transaction.open_table(tables::FAILURES)?;
            let (mut jobs, mut bytes) = (Vec::new(), 0);
            for entry in failed.range(after.saturating_add(1)..)?.take(limit) {
                let (place, id) = entry?;
                let entry = failures.get(id.value())?;
                let entry = entry.as_ref().map_or(&[][..], |entry| entry.value().1);
                bytes += entry.len() as u64;
                if bytes > PAGE_BYTES && !jobs.is_empty() {
                    break;
                }
                let failed = record::read_failed(tables::job_id(id.value())?, entry);
                jobs.push((place.value(), failed));
            }
            Ok(jobs)
        })
        .await
    }

    async fn failed_job(&self, id: JobId) -> Result<Option<FailedJob>, StoreError> {
        self.read(|transaction| {
            let failures = transaction.open_table(tables::FAILURES)?;
            let entry = failures.get(id.as_bytes())?;
            Ok(entry.map(|entry| record::read_failed(id, entry.value().1)))
        })
    }

    async fn known_sources(&self, sources: &[String]) -> Result<Vec<bool>, StoreError> {
        let now = Millis::now();
        self.read(|transaction| {
            let table = transaction.open_table(tables::SOURCES)?;
            let is_known = |source: &String| {
                let accepted_at = table.get(source.as_str())?;
                Ok(accepted_at.is_some_and(|at| operations::remembers(Millis(at.value()), now)))
            };
            sources.iter().map(is_known).collect()
        })
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.read(|transaction| {
            let numbers = transaction.open_table(tables::NUMBERS)?;
            let open_bytes = numbers.get("open_bytes")?;
            Ok(Counts {
                open: tables::length(&transaction.open_table(tables::OPEN)?)?,
                open_bytes: open_bytes.map_or(0, |number| number.value()),
                parked: tables::length(&transaction.open_table(tables::PARKED)?)?,
                failed: tables::length(&transaction.open_table(tables::FAILED)?)?,
            })
        })
    }

    async fn acquire_lease(
        &self,
        holder: &str,
        ttl: Duration,
        above: Epoch,
    ) -> Result<Lease, StoreError> {
        let holder = holder.to_owned();
        let run =
            move |tables: &mut Tables<'_>| operations::acquire_lease(tables, &holder, ttl, above);
        self.writer.write(run).await
    }

    async fn release_lease(&self, holder: &str) -> Result<(), StoreError> {
        let holder = holder.to_owned();
        let run = move |tables: &mut Tables<'_>| operations::release_lease(tables, &holder);
        self.writer.write(run).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database()?;
        if let Some(free) = self.writer.room_of_full_disk() {
            let problem = format!("the disk is full ({free} bytes are free)");
            return Err(StoreError::Unavailable(problem));
        }
        if self.writer.has_just_written() {
            return Ok(());
        }
        let run = |tables: &mut Tables<'_>| tables.write_for_nothing();
        self.writer.write(run).await
    }
}
