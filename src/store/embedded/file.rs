//! Opens the file, and opens it again.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableTable};

use super::tables::{self, Tables};
use super::{OperationFailure, operations};
use crate::store::StoreError;

#[derive(Debug, Clone)]
pub(super) struct StoreFile {
    pub path: PathBuf,
}

/// Most memory for pages of the file, in bytes; redb's own default is 1 GiB.
/// Other pages come from the system's cache of the file.
const PAGE_CACHE: usize = 128 * 1024 * 1024;

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(PAGE_CACHE);
    builder
}

impl StoreFile {
    /// Opens the file, or creates it.
    pub fn create(&self) -> Result<Database, StoreError> {
        if !self.path.exists() {
            self.make()
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        }
        builder()
            .create(&self.path)
            .map_err(|error| self.explain(error))
    }

    /// Creates the store under another name first: a file whose creator was
    /// killed half-way would be refused at every later start.
    fn make(&self) -> io::Result<()> {
        let directory = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let unfinished = tempfile::Builder::new()
            .prefix("unfinished-")
            .tempfile_in(directory)?;
        drop(Database::create(unfinished.path()).map_err(io::Error::other)?);
        match unfinished.persist_noclobber(&self.path) {
            Ok(_) => File::open(directory)?.sync_all(),
            // Another process was faster.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.error),
        }
    }

    /// Opens the file, which must exist.
    pub fn open(&self) -> Result<Database, StoreError> {
        builder()
            .open(&self.path)
            .map_err(|error| self.explain(error))
    }

    fn explain(&self, error: DatabaseError) -> StoreError {
        let path = self.path.display();
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                StoreError::Unavailable(format!(
                    "{path}: another process has it open. With STORE=embedded a node has one \
                     master (or standalone process); for one that stands by, use STORE=redis"
                ))
            }
            DatabaseError::UpgradeRequired(version) => StoreError::Corrupt(format!(
                "{path}: written by an older release (file format {version})"
            )),
            DatabaseError::Storage(redb::StorageError::Corrupted(error)) => {
                StoreError::Corrupt(format!("{path}: {error}"))
            }
            DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                StoreError::Corrupt(format!("{path}: not a store ({error})"))
            }
            error => StoreError::Unavailable(format!("{path}: {error}")),
        }
    }

    /// Makes sure that all tables exist and that the file is this node's. Ends
    /// the lease of the former master, which is gone: it had the file open.
    pub fn prepare(&self, database: &Database, node_id: &str) -> Result<(), StoreError> {
        let transaction = tables::begin_write(database)?;
        {
            let mut tables = Tables::open(&transaction)?;
            let owner = {
                let text = tables
                    .texts
                    .get("node_id")
                    .map_err(OperationFailure::from)?;
                text.map(|text| text.value().to_owned())
            };
            match owner {
                Some(owner) if owner != node_id => {
                    return Err(StoreError::Corrupt(format!(
                        "{}: belongs to node {owner}, not to {node_id}",
                        self.path.display()
                    )));
                }
                Some(_) => {}
                None => {
                    let inserted = tables.texts.insert("node_id", node_id);
                    inserted.map_err(OperationFailure::from)?;
                }
            }
            operations::end_lease(&mut tables)?;
        }
        transaction.commit().map_err(OperationFailure::from)?;
        Ok(())
    }
}
