//! Reads of several values.

use super::answers::signed;
use super::{RedisStore, arguments};
use crate::job::{Job, JobId, codec};
use crate::store::{Audited, Counts, LastError, PAGE_BYTES, StoreError, record};

impl RedisStore {
    pub(super) async fn read_audit(&self, limit: usize) -> Result<Vec<Audited>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("LRANGE");
        command.arg(self.key("audit")).arg(-signed(limit)).arg(-1);
        let entries: Vec<Vec<u8>> = self.read(&self.reads.audit, &command).await?;
        entries
            .iter()
            .map(|bytes| {
                codec::decode(bytes).map_err(|error| StoreError::Corrupt(error.to_string()))
            })
            .collect()
    }

    pub(super) async fn read_last_errors(
        &self,
        ids: &[JobId],
    ) -> Result<Vec<Option<LastError>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.key("errors"));
        for id in ids {
            command.arg(&id.as_bytes()[..]);
        }
        let errors: Vec<Option<Vec<u8>>> = self.read(&self.reads.last_errors, &command).await?;
        errors
            .into_iter()
            .map(|bytes| bytes.map(|bytes| record::read_error(&bytes)).transpose())
            .collect()
    }

    pub(super) async fn read_jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let script = &self.scripts.jobs;
        let mut command = script.call(&self.prefix);
        command.arg(PAGE_BYTES);
        for id in ids {
            command.arg(&id.as_bytes()[..]);
        }
        let found: Vec<(u64, Vec<u8>)> = self.run(script, &command).await?;
        let job = |(id, (seq, bytes)): (&JobId, (u64, Vec<u8>))| match record::read(*id, &bytes) {
            Ok(job) => Some(job),
            Err(_) => (seq > 0).then(|| record::lost(seq, *id, &bytes)),
        };
        Ok(ids.iter().zip(found).map(job).collect())
    }

    pub(super) async fn look_for_sources(
        &self,
        sources: &[String],
    ) -> Result<Vec<bool>, StoreError> {
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("MGET");
        for source in sources {
            command.arg(self.key(&arguments::source_name(source)));
        }
        let found: Vec<Option<Vec<u8>>> = self.read(&self.reads.known_sources, &command).await?;
        Ok(found.iter().map(Option::is_some).collect())
    }

    pub(super) async fn count(&self) -> Result<Counts, StoreError> {
        let of = |command: &str, key: &str| {
            let mut command = redis::cmd(command);
            command.arg(self.key(key));
            command
        };
        let (open, open_bytes) = (of("ZCARD", "open"), of("GET", "open_bytes"));
        let (parked, failed) = (of("ZCARD", "parked"), of("ZCARD", "failed"));
        let ((), open, open_bytes, parked, failed) = tokio::try_join!(
            self.check_history(),
            self.read(&self.reads.counts, &open),
            self.read::<Option<i64>>(&self.reads.counts, &open_bytes),
            self.read(&self.reads.counts, &parked),
            self.read(&self.reads.counts, &failed)
        )?;
        Ok(Counts {
            open,
            // A lost counter starts again from nothing and may fall below zero.
            open_bytes: open_bytes.unwrap_or(0).try_into().unwrap_or(0),
            parked,
            failed,
        })
    }
}
