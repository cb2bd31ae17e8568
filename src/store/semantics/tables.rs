//! The tables of the state.

use super::StoreState;
use crate::job::{Column, Guard, Row, Table, Write};

impl StoreState {
    /// [`crate::store::State::get`].
    pub fn get(&self, table: Table, row: &str, column: &str) -> Option<Vec<u8>> {
        let columns = self.rows.get(&(table, row.to_owned()))?;
        columns.get(column).cloned()
    }

    /// [`crate::store::State::columns`].
    pub fn columns(&self, table: Table, row: &str) -> Vec<(Column, Vec<u8>)> {
        let columns = self.rows.get(&(table, row.to_owned()));
        columns.cloned().unwrap_or_default().into_iter().collect()
    }

    /// [`crate::store::State::rows`].
    pub fn rows(&self, table: Table, prefix: &str) -> Vec<Row> {
        let rows = self.rows.keys().filter(|(of, _)| *of == table);
        let names = rows.map(|(_, row)| row);
        let names = names.filter(|row| row.starts_with(prefix));
        names.cloned().collect()
    }

    pub(super) fn holds(&self, guard: &Guard) -> bool {
        let row = |table: &Table, row: &Row| self.rows.get(&(*table, row.clone()));
        match guard {
            Guard::Absent { table, row: name }
            | Guard::Equals {
                table,
                row: name,
                value: None,
            } => row(table, name).is_none(),
            Guard::Equals {
                table,
                row: name,
                value: Some(value),
            } => row(table, name)
                .is_some_and(|columns| columns.len() == 1 && columns.get("") == Some(value)),
        }
    }

    pub(super) fn write(&mut self, write: Write) {
        match write {
            Write::Put {
                table,
                row,
                column,
                value,
            } => {
                let columns = self.rows.entry((table, row)).or_default();
                columns.insert(column, value);
            }
            Write::Delete { table, row } => {
                self.rows.remove(&(table, row));
            }
            Write::DeleteColumn { table, row, column } => {
                if let Some(columns) = self.rows.get_mut(&(table, row.clone())) {
                    columns.remove(&column);
                    if columns.is_empty() {
                        self.rows.remove(&(table, row));
                    }
                }
            }
        }
    }
}
