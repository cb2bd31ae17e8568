//! Encodes operations as the arguments of the scripts.

use redis::Cmd;

use crate::job::{Guard, JobId, Millis, NewJob, Table, Write};
use crate::store::{SOURCE_RETENTION, record};

/// Name of a row's key behind `<prefix>s:`.
pub(super) fn row_name(table: Table, row: &str) -> String {
    format!("{}:{row}", table.name())
}

/// The arguments of `accept.lua` between the epoch and those of `apply`.
pub(super) fn guards(command: &mut Cmd, guards: &[Guard]) {
    command.arg(guards.len());
    for guard in guards {
        match guard {
            Guard::Absent { table, row }
            | Guard::Equals {
                table,
                row,
                value: None,
            } => {
                command.arg("A").arg(row_name(*table, row));
            }
            Guard::Equals {
                table,
                row,
                value: Some(value),
            } => {
                command.arg("E").arg(row_name(*table, row)).arg(&value[..]);
            }
        }
    }
}

/// The arguments of `apply` in `apply.lua`.
pub(super) fn apply(
    command: &mut Cmd,
    writes: &[Write],
    cancels: &[JobId],
    jobs: &[NewJob],
    accepted_at: Millis,
) {
    let indexing: Vec<Write> = writes.iter().filter_map(index).collect();
    command.arg(writes.len() + indexing.len());
    for change in writes.iter().chain(&indexing) {
        write(command, change);
    }
    command.arg(cancels.len());
    for id in cancels {
        command.arg(&id.as_bytes()[..]);
    }
    command.arg(SOURCE_RETENTION.as_millis() as u64);
    command.arg(jobs.len());
    for new in jobs {
        job(command, new, accepted_at);
    }
}

/// The row whose columns are the rows of an indexed table, and
/// [`INDEX_COMPLETE`].
pub(super) const INDEX_ROW: &str = "#rows";
/// Column of [`INDEX_ROW`]: the index also has the rows that an earlier release
/// wrote.
pub(super) const INDEX_COMPLETE: &str = "";

/// The index's part of a change.
fn index(change: &Write) -> Option<Write> {
    match change {
        Write::Put { table, row, .. } if table.is_indexed() => {
            Some(Write::put_column(*table, INDEX_ROW, row, Vec::new()))
        }
        Write::Delete { table, row } if table.is_indexed() => Some(Write::DeleteColumn {
            table: *table,
            row: INDEX_ROW.to_owned(),
            column: row.clone(),
        }),
        _ => None,
    }
}

fn write(command: &mut Cmd, change: &Write) {
    match change {
        Write::Put {
            table,
            row,
            column,
            value,
        } => {
            command.arg("P").arg(row_name(*table, row));
            command.arg(column).arg(&value[..]);
        }
        Write::Delete { table, row } => {
            command.arg("D").arg(row_name(*table, row));
        }
        Write::DeleteColumn { table, row, column } => {
            command.arg("C").arg(row_name(*table, row)).arg(column);
        }
    }
}

fn job(command: &mut Cmd, new: &NewJob, accepted_at: Millis) {
    let source = match &new.source {
        Some(source) => source_name(source),
        None => String::new(),
    };
    command.arg(&new.id.as_bytes()[..]).arg(source);
    command.arg(line_name(new));
    command.arg(record::unnumbered(new, accepted_at));
}

/// Name of the key that exists while a source is remembered.
pub(super) fn source_name(source: &str) -> String {
    format!("source:{source}")
}

/// Name of the key of a job's line; empty if it is in none.
pub(super) fn line_name(new: &NewJob) -> String {
    match record::is_in_line(new) {
        true => format!("line:{}", new.key),
        false => String::new(),
    }
}
