//! Reads the rows of the state.

use std::collections::HashSet;

use async_trait::async_trait;

use super::RedisStore;
use super::arguments::{INDEX_COMPLETE, INDEX_ROW, row_name};
use crate::job::{Column, Row, Table};
use crate::store::{State, StoreError};

/// Rows added to an index in one step.
const INDEX_PORTION: usize = 1000;

#[async_trait]
impl State for RedisStore {
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.row_key(table, row)).arg(column);
        let value = self.read(&self.reads.get, &command).await;
        value.map_err(|error: StoreError| error.in_row(table, row))
    }

    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.row_key(table, row));
        let columns = self.read(&self.reads.columns, &command).await;
        let mut columns: Vec<(Column, Vec<u8>)> =
            columns.map_err(|error: StoreError| error.in_row(table, row))?;
        columns.sort_unstable();
        Ok(columns)
    }

    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut command = self.scripts.get_many.call(&self.prefix);
        for row in rows {
            command.arg(row_name(table, row));
        }
        self.run(&self.scripts.get_many, &command).await
    }

    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        if !table.is_indexed() {
            return self.scan(table, prefix).await;
        }
        let rows = match self.indexed(table).await? {
            Some(rows) => rows,
            None => {
                self.complete_index(table).await?;
                self.indexed(table).await?.unwrap_or_default()
            }
        };
        Ok(rows
            .into_iter()
            .filter(|row| row.starts_with(prefix))
            .collect())
    }
}

impl RedisStore {
    /// The rows in the index of a table; `None` if it may lack some.
    async fn indexed(&self, table: Table) -> Result<Option<Vec<Row>>, StoreError> {
        let mut command = redis::cmd("HKEYS");
        command.arg(self.row_key(table, INDEX_ROW));
        let mut rows: Vec<Row> = self.read(&self.reads.rows, &command).await?;
        let before = rows.len();
        rows.retain(|row| row != INDEX_COMPLETE);
        Ok((rows.len() < before).then_some(rows))
    }

    /// Adds rows to an index that were written before it existed, once in the
    /// life of a store.
    async fn complete_index(&self, table: Table) -> Result<(), StoreError> {
        let mut rows = self.scan(table, "").await?;
        rows.retain(|row| row != INDEX_ROW);
        let script = &self.scripts.index;
        for portion in rows.chunks(INDEX_PORTION) {
            let mut command = script.call(&self.prefix);
            command.arg(table.name()).arg(INDEX_ROW).arg(portion);
            let _: u64 = self.run(script, &command).await?;
        }
        let mut command = redis::cmd("HSET");
        let index = self.row_key(table, INDEX_ROW);
        command.arg(index).arg(INDEX_COMPLETE).arg("");
        let _: u64 = self.read(&self.reads.rows, &command).await?;
        Ok(())
    }

    /// Walks all keys of Redis.
    async fn scan(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        let table_prefix = self.row_key(table, "");
        let pattern = format!("{}*", escape_glob(&self.row_key(table, prefix)));
        let mut rows = HashSet::new();
        let mut cursor = 0u64;
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(&pattern);
            command.arg("COUNT").arg(1000);
            let (next, keys): (u64, Vec<String>) = self.read(&self.reads.rows, &command).await?;
            rows.extend(
                keys.iter()
                    .filter_map(|key| key.strip_prefix(&table_prefix))
                    .map(str::to_owned),
            );
            if next == 0 {
                return Ok(rows.into_iter().collect());
            }
            cursor = next;
        }
    }
}

/// Escapes the characters that `SCAN MATCH` treats specially.
fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
