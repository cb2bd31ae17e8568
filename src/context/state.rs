//! Rows of the node's state as typed values, stored as JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::{Error, codes};
use crate::job::{Column, Stored, StoredAsJson, Table, Write, codec};

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
    bytes
        .map(|bytes| parse(table, row, column, &bytes))
        .transpose()
}

/// A value that is UTF-8 text.
///
/// # Errors
/// Those of [`load`].
pub async fn load_text(
    context: &Context,
    table: Table,
    row: &str,
    column: &str,
) -> Result<Option<String>, Error> {
    let bytes = context.state.get(table, row, column).await?;
    bytes
        .map(|bytes| text(table, row, column, bytes))
        .transpose()
}

/// UTF-8 text that was read.
///
/// # Errors
/// When it is something else.
pub fn text(table: Table, row: &str, column: &str, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| unreadable(table, row, column, &error))
}

/// A record of [`codec`] in column `""`.
///
/// # Errors
/// When it is unreadable.
pub fn decode<T: Stored>(table: Table, row: &str, bytes: &[u8]) -> Result<T, Error> {
    codec::decode(bytes).map_err(|error| unreadable(table, row, "", &error))
}

/// The error of a row that cannot be decoded. It parks a job; an API call
/// answers 500, and the log names the row.
pub fn unreadable(table: Table, row: &str, column: &str, reason: &dyn std::fmt::Display) -> Error {
    let column = match column {
        "" => String::new(),
        column => format!(", column {column}"),
    };
    let text = format!("{} {row}{column} is unreadable: {reason}", table.name());
    Error::with_message(codes::DB_ERROR, text).unreadable()
}

/// The columns of a row whose columns are of different types, read at once.
pub struct Columns {
    table: Table,
    row: String,
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
        found
            .map(|(_, bytes)| parse(self.table, &self.row, column, bytes))
            .transpose()
    }

    /// Those whose names begin so, by the rest of their names.
    ///
    /// # Errors
    /// 10028 when one is unreadable.
    pub fn parse_all<T: DeserializeOwned>(
        &self,
        prefix: &str,
    ) -> Result<BTreeMap<String, T>, Error> {
        let named = self.columns.iter().filter_map(|(name, bytes)| {
            let rest = name.strip_prefix(prefix)?;
            Some((name, rest, bytes))
        });
        named
            .map(|(name, rest, bytes)| {
                let value = parse(self.table, &self.row, name, bytes)?;
                Ok((rest.to_owned(), value))
            })
            .collect()
    }

    /// The rests of the names that begin so.
    pub fn names(&self, prefix: &str) -> BTreeSet<String> {
        let names = self
            .columns
            .iter()
            .filter_map(|(name, _)| name.strip_prefix(prefix));
        names.map(str::to_owned).collect()
    }
}

/// Reads a row; without columns if it is absent.
///
/// # Errors
/// Temporary when the store does not answer.
pub async fn row(context: &Context, table: Table, row: &str) -> Result<Columns, Error> {
    let columns = context.state.columns(table, row).await?;
    Ok(Columns {
        table,
        row: row.to_owned(),
        columns,
    })
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
        .map(|(name, bytes)| {
            let value = parse(table, row, &name, &bytes)?;
            Ok((name, value))
        })
        .collect()
}

/// Sets a row that is one value.
pub fn put<T: StoredAsJson>(table: Table, row: impl Into<String>, value: &T) -> Write {
    Write::put(table, row, bytes(value))
}

/// Sets one column of a row.
pub fn put_column<T: StoredAsJson>(
    table: Table,
    row: impl Into<String>,
    column: impl Into<String>,
    value: &T,
) -> Write {
    Write::put_column(table, row, column, bytes(value))
}

fn bytes<T: StoredAsJson>(value: &T) -> Vec<u8> {
    // Only plain structs with text keys are stored, and memory does not fail.
    serde_json::to_vec(value).expect("plain data always becomes JSON")
}

fn parse<T: DeserializeOwned>(
    table: Table,
    row: &str,
    column: &str,
    bytes: &[u8],
) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(table, row, column, &error))
}
