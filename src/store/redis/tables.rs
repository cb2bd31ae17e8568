//! Reading of what flows keep.

use std::collections::HashSet;

use async_trait::async_trait;

use super::RedisStore;
use super::arguments::{INDEX_ROW, is_indexed, row_name};
use crate::job::{Column, Row, Table};
use crate::store::{State, StoreError};

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
        if is_indexed(table) {
            let columns = self.columns(table, INDEX_ROW).await?;
            let rows = columns.into_iter().map(|(row, _)| row);
            return Ok(rows.filter(|row| row.starts_with(prefix)).collect());
        }
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

/// Takes away the meaning that `SCAN MATCH` gives to some characters.
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
