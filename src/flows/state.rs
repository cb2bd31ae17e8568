//! Rows of the node's state as typed values, stored as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, codes};
use crate::job::{Column, Table, Write};
use crate::node::Context;

/// One column of a row; `""` where the row is one value.
///
/// # Errors
/// Temporary when the store does not answer; 10028 when it holds something unreadable.
pub async fn load<T: DeserializeOwned>(
    context: &Context,
    table: Table,
    row: &str,
    column: &str,
) -> Result<Option<T>, Error> {
    let bytes = context.state.get(table, row, column).await?;
    bytes.map(|bytes| parse(table, &bytes)).transpose()
}

/// The columns of a row whose columns are of different types, read at once.
pub struct Columns {
    table: Table,
    columns: Vec<(Column, Vec<u8>)>,
}

impl Columns {
    /// One of them; `None` if it is absent.
    ///
    /// # Errors
    /// 10028 when it is unreadable.
    pub fn parse<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Error> {
        let mut columns = self.columns.iter();
        let found = columns.find(|(name, _)| name == column);
        found.map(|(_, bytes)| parse(self.table, bytes)).transpose()
    }
}

/// Reads a row; without columns if it is absent.
///
/// # Errors
/// Temporary when the store does not answer.
pub async fn row(context: &Context, table: Table, row: &str) -> Result<Columns, Error> {
    let columns = context.state.columns(table, row).await?;
    Ok(Columns { table, columns })
}

/// All columns of a row in byte order of their names; empty if absent.
///
/// # Errors
/// Those of [`load`].
pub async fn load_columns<T: DeserializeOwned>(
    context: &Context,
    table: Table,
    row: &str,
) -> Result<Vec<(String, T)>, Error> {
    let columns = context.state.columns(table, row).await?;
    columns
        .into_iter()
        .map(|(name, bytes)| Ok((name, parse(table, &bytes)?)))
        .collect()
}

/// Sets a row that is one value.
pub fn put<T: Serialize>(table: Table, row: impl Into<String>, value: &T) -> Write {
    Write::put(table, row, bytes(value))
}

/// Sets one column of a row.
pub fn put_column<T: Serialize>(
    table: Table,
    row: impl Into<String>,
    column: impl Into<String>,
    value: &T,
) -> Write {
    Write::put_column(table, row, column, bytes(value))
}

fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    // Only plain structs with text keys are stored, and memory does not fail.
    serde_json::to_vec(value).expect("plain data always becomes JSON")
}

fn parse<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = format!("{} is unreadable: {error}", table.name());
        Error::with_message(codes::DB_ERROR, text)
    })
}
