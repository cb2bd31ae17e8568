//! The embedded file.

use std::sync::Arc;

use async_trait::async_trait;
use erawan::job::JobId;
use erawan::store::embedded::{self, EmbeddedStore};
use erawan::store::{FailedLimits, SharedStore};

use super::{Harness, RUBBISH, Spoil, Spoils};

pub struct Embedded {
    directory: tempfile::TempDir,
    pub(super) store: Arc<EmbeddedStore>,
    limits: FailedLimits,
}

impl Embedded {
    fn in_directory(directory: tempfile::TempDir, limits: FailedLimits) -> Self {
        erawan::node::kinds::give();
        let store = EmbeddedStore::open(embedded::Options {
            path: directory.path().join("store.redb"),
            node_id: "node".to_owned(),
        })
        .expect("the file opens");
        Self {
            directory,
            store: Arc::new(store.with_failed_limits(limits)),
            limits,
        }
    }
}

#[async_trait]
impl Harness for Embedded {
    async fn start_with(limits: FailedLimits) -> Self {
        Self::in_directory(tempfile::tempdir().expect("a directory"), limits)
    }

    fn store(&self) -> SharedStore {
        Arc::clone(&self.store) as SharedStore
    }

    fn master(&self) -> SharedStore {
        self.store()
    }

    async fn restart(self) -> Self {
        let alone = Arc::into_inner(self.store);
        drop(alone.expect("nobody else has the store"));
        Self::in_directory(self.directory, self.limits)
    }
}

impl Embedded {
    async fn changed(self, change: impl FnOnce(&redb::WriteTransaction)) -> Self {
        let alone = Arc::into_inner(self.store);
        drop(alone.expect("nobody else has the store"));
        let database = redb::Database::open(self.directory.path().join("store.redb"));
        let database = database.expect("it opens");
        let transaction = database.begin_write().expect("it can be written");
        change(&transaction);
        transaction.commit().expect("it is written");
        drop(database);
        Self::in_directory(self.directory, self.limits)
    }
}

#[async_trait]
impl Spoils for Embedded {
    async fn spoil(self, id: JobId, how: Spoil) -> Self {
        const JOBS: redb::TableDefinition<&[u8; 16], &[u8]> = redb::TableDefinition::new("jobs");
        self.changed(|transaction| {
            let mut jobs = transaction.open_table(JOBS).expect("a table");
            let record = jobs.remove(id.as_bytes()).expect("it is removed");
            let mut record = record.expect("it is there").value().to_vec();
            record[0] = 9;
            let record = match how {
                Spoil::Rubbish => RUBBISH,
                Spoil::Lost => return,
                Spoil::OtherLayout => &record[..],
                Spoil::OtherType => unreachable!("tables of redb have types"),
            };
            jobs.insert(id.as_bytes(), record).expect("it is written");
        })
        .await
    }

    async fn spoil_failed(self, id: JobId) -> Self {
        const FAILURES: redb::TableDefinition<&[u8; 16], (u64, &[u8])> =
            redb::TableDefinition::new("failures");
        self.changed(|transaction| {
            let mut failures = transaction.open_table(FAILURES).expect("a table");
            let written = failures.insert(id.as_bytes(), (1, RUBBISH));
            drop(written.expect("it is written"));
        })
        .await
    }
}
