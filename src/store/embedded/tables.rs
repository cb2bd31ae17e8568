//! The tables of the file, and one transaction's view of them.

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    Table as RedbTable, TableDefinition, WriteTransaction,
};

use super::OperationFailure;
use crate::job::JobId;

/// Numbers: `seq`, `open_bytes`, `failed_seq`, `failed_bytes`, `audit_seq`,
/// `epoch`, `lease_until`.
pub(super) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// Texts: `node_id`, `lease_holder`.
pub(super) const TEXTS: TableDefinition<&str, &str> = TableDefinition::new("texts");
/// Records of the open jobs by id ([`crate::store::record`]).
pub(super) const JOBS: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("jobs");
/// Ids of the open jobs by seq.
pub(super) const OPEN: TableDefinition<u64, &[u8; 16]> = TableDefinition::new("open");
/// Ordering key and seq of the open jobs that are in line.
pub(super) const LINE: TableDefinition<(&str, u64), ()> = TableDefinition::new("line");
/// When a source was accepted (ms).
pub(super) const SOURCES: TableDefinition<&str, u64> = TableDefinition::new("sources");
/// The same by time, to find the expired ones.
pub(super) const SOURCES_BY_TIME: TableDefinition<(u64, &str), ()> =
    TableDefinition::new("sources_by_time");
/// State by table name, row and column.
pub(super) const STATE: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("state");
/// Ids of the parked jobs by seq.
pub(super) const PARKED: TableDefinition<u64, &[u8; 16]> = TableDefinition::new("parked");
/// Last error of the open jobs whose head says that there is one.
pub(super) const ERRORS: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("errors");
/// Ids of failed jobs, oldest first.
pub(super) const FAILED: TableDefinition<u64, &[u8; 16]> = TableDefinition::new("failed");
/// Place in [`FAILED`], reason and record of each failed job.
pub(super) const FAILURES: TableDefinition<&[u8; 16], (u64, &[u8])> =
    TableDefinition::new("failures");
/// What operators did (codec), oldest first.
pub(super) const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");
/// Written only to see whether writing works.
pub(super) const PING: TableDefinition<u64, &[u8]> = TableDefinition::new("ping");
/// As large as an ordinary transaction, because a few bytes may fit even on a
/// full disk.
const PING_BYTES: usize = 32 * 1024;

macro_rules! tables {
    ($($field:ident: $definition:ident, $key:ty, $value:ty;)*) => {
        /// All tables, open for writing.
        pub(super) struct Tables<'t> { $(pub $field: RedbTable<'t, $key, $value>,)* }

        impl<'t> Tables<'t> {
            pub fn open(transaction: &'t WriteTransaction) -> Result<Self, OperationFailure> {
                Ok(Self { $($field: transaction.open_table($definition)?,)* })
            }
        }
    };
}

tables! {
    numbers: NUMBERS, &'static str, u64;
    texts: TEXTS, &'static str, &'static str;
    jobs: JOBS, &'static [u8; 16], &'static [u8];
    open: OPEN, u64, &'static [u8; 16];
    line: LINE, (&'static str, u64), ();
    sources: SOURCES, &'static str, u64;
    sources_by_time: SOURCES_BY_TIME, (u64, &'static str), ();
    state: STATE, (&'static str, &'static str, &'static str), &'static [u8];
    parked: PARKED, u64, &'static [u8; 16];
    errors: ERRORS, &'static [u8; 16], &'static [u8];
    failed: FAILED, u64, &'static [u8; 16];
    failures: FAILURES, &'static [u8; 16], (u64, &'static [u8]);
    audit: AUDIT, u64, &'static [u8];
    ping: PING, u64, &'static [u8];
}

impl Tables<'_> {
    /// A number, 0 until it is set.
    pub fn number(&self, name: &str) -> Result<u64, OperationFailure> {
        Ok(self.numbers.get(name)?.map_or(0, |number| number.value()))
    }

    pub fn set_number(&mut self, name: &str, number: u64) -> Result<(), OperationFailure> {
        self.numbers.insert(name, number)?;
        Ok(())
    }

    /// Writes a value that nobody reads.
    pub fn write_for_nothing(&mut self) -> Result<(), OperationFailure> {
        self.ping.insert(0, &[0; PING_BYTES][..])?;
        Ok(())
    }

    /// Columns of a row, by name.
    pub fn row(&self, table: &str, row: &str) -> Result<Vec<(String, Vec<u8>)>, OperationFailure> {
        columns(&self.state, table, row)
    }
}

/// Columns of a row, in byte order of their names.
pub(super) fn columns(
    state: &impl ReadableTable<(&'static str, &'static str, &'static str), &'static [u8]>,
    table: &str,
    row: &str,
) -> Result<Vec<(String, Vec<u8>)>, OperationFailure> {
    let mut columns = Vec::new();
    for entry in state.range((table, row, "")..)? {
        let (key, value) = entry?;
        let (found_table, found_row, column) = key.value();
        if (found_table, found_row) != (table, row) {
            break;
        }
        columns.push((column.to_owned(), value.value().to_vec()));
    }
    Ok(columns)
}

/// Whether a row has any column.
pub(super) fn has_columns(
    state: &impl ReadableTable<(&'static str, &'static str, &'static str), &'static [u8]>,
    table: &str,
    row: &str,
) -> Result<bool, OperationFailure> {
    let Some(entry) = state.range((table, row, "")..)?.next() else {
        return Ok(false);
    };
    let (key, _) = entry?;
    let (found_table, found_row, _) = key.value();
    Ok((found_table, found_row) == (table, row))
}

/// Begins a transaction whose commit is on disk when it returns.
pub(super) fn begin_write(database: &Database) -> Result<WriteTransaction, OperationFailure> {
    let mut transaction = database.begin_write()?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(|error| OperationFailure::File(error.to_string()))?;
    Ok(transaction)
}

/// Begins a transaction that sees every earlier commit.
pub(super) fn begin_read(database: &Database) -> Result<ReadTransaction, OperationFailure> {
    Ok(database.begin_read()?)
}

/// Number of entries.
pub(super) fn length(table: &impl ReadableTableMetadata) -> Result<u64, OperationFailure> {
    Ok(table.len()?)
}

/// A stored id.
pub(super) fn job_id(bytes: &[u8; 16]) -> Result<JobId, OperationFailure> {
    JobId::from_slice(bytes).ok_or_else(|| OperationFailure::Corrupt("job id".to_owned()))
}
