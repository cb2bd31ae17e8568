//! State in memory, which a test may damage.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::job::{Column, Guard, Row, Table, Write};
use crate::store::{State, StoreError};

type Columns = BTreeMap<Column, Vec<u8>>;

/// Rows in memory.
#[derive(Default)]
pub(crate) struct MemoryState {
    rows: Mutex<BTreeMap<(Table, Row), Columns>>,
    damage: Mutex<Option<Damage>>,
}

/// What one read, after some others, meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoilt {
    /// The store cannot read it.
    Unreadable,
    /// It is there, but means nothing.
    Rubbish,
}

struct Damage {
    reads_before: usize,
    how: Spoilt,
}

const RUBBISH: &[u8] = b"\xffrubbish";

impl MemoryState {
    /// Spoils what will be read after so many other reads.
    pub(super) fn spoil(&self, reads_before: usize, how: Spoilt) {
        *self.damage.lock() = Some(Damage { reads_before, how });
    }

    /// Whether something spoilt was read since; nothing is spoilt any more.
    pub(super) fn mend(&self) -> bool {
        self.damage.lock().take().is_none()
    }

    /// Whether this read meets rubbish.
    fn look(&self) -> Result<bool, StoreError> {
        let mut damage = self.damage.lock();
        match damage.take() {
            Some(Damage {
                reads_before: 0,
                how,
            }) => match how {
                Spoilt::Unreadable => Err(StoreError::Corrupt("damaged".to_owned())),
                Spoilt::Rubbish => Ok(true),
            },
            Some(Damage { reads_before, how }) => {
                let reads_before = reads_before - 1;
                *damage = Some(Damage { reads_before, how });
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Applies state changes.
    pub(crate) fn apply(&self, writes: &[Write]) {
        let mut rows = self.rows.lock();
        for write in writes.iter().cloned() {
            match write {
                Write::Put {
                    table,
                    row,
                    column,
                    value,
                } => {
                    rows.entry((table, row)).or_default().insert(column, value);
                }
                Write::Delete { table, row } => {
                    rows.remove(&(table, row));
                }
                Write::DeleteColumn { table, row, column } => {
                    let key = (table, row);
                    if let Some(columns) = rows.get_mut(&key) {
                        columns.remove(&column);
                        if columns.is_empty() {
                            rows.remove(&key);
                        }
                    }
                }
            }
        }
    }

    /// Whether a guard holds.
    pub(crate) fn holds(&self, guard: &Guard) -> bool {
        let rows = self.rows.lock();
        match guard {
            Guard::Absent { table, row } => !rows.contains_key(&(*table, row.clone())),
            Guard::Equals { table, row, value } => {
                let found = rows
                    .get(&(*table, row.clone()))
                    .and_then(|columns| columns.get(""));
                found == value.as_ref()
            }
        }
    }

    /// Names of all rows of a table.
    pub(crate) fn names(&self, table: Table) -> Vec<Row> {
        let rows = self.rows.lock();
        rows.keys()
            .filter(|(of, _)| *of == table)
            .map(|(_, row)| row.clone())
            .collect()
    }
}

#[async_trait]
impl State for MemoryState {
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let is_rubbish = self.look()?;
        let rows = self.rows.lock();
        let columns = rows.get(&(table, row.to_owned()));
        let value = columns.and_then(|columns| columns.get(column)).cloned();
        Ok(value.map(|value| match is_rubbish {
            true => RUBBISH.to_vec(),
            false => value,
        }))
    }

    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        let is_rubbish = self.look()?;
        let rows = self.rows.lock();
        let columns = rows.get(&(table, row.to_owned())).cloned();
        let mut columns: Vec<_> = columns.unwrap_or_default().into_iter().collect();
        if is_rubbish {
            for (_, value) in &mut columns {
                *value = RUBBISH.to_vec();
            }
        }
        Ok(columns)
    }

    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut values = Vec::new();
        for row in rows {
            values.push(self.get(table, row, "").await?);
        }
        Ok(values)
    }

    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        self.look()?;
        let names = self.names(table);
        Ok(names
            .into_iter()
            .filter(|row| row.starts_with(prefix))
            .collect())
    }
}
