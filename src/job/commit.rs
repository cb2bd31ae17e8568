//! What a handler wants to happen: all of it or nothing.

use serde::{Deserialize, Serialize};

use super::{Caller, JobId, NewJob, Table, codec};

pub type Row = String;

/// `""` where a row is one value. Columns are read in byte order.
pub type Column = String;

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Write {
    /// Sets one column.
    Put {
        table: Table,
        row: Row,
        column: Column,
        /// In the codec's form or as JSON; the table's owner decides.
        #[serde(with = "codec::bytes")]
        value: Vec<u8>,
    },
    /// Deletes a whole row.
    Delete { table: Table, row: Row },
    DeleteColumn {
        table: Table,
        row: Row,
        column: Column,
    },
}

impl Write {
    /// Sets a row that is one value.
    pub fn put(table: Table, row: impl Into<Row>, value: Vec<u8>) -> Self {
        Self::Put {
            table,
            row: row.into(),
            column: Column::new(),
            value,
        }
    }

    /// Sets one column of a row.
    pub fn put_column(
        table: Table,
        row: impl Into<Row>,
        column: impl Into<Column>,
        value: Vec<u8>,
    ) -> Self {
        Self::Put {
            table,
            row: row.into(),
            column: column.into(),
            value,
        }
    }

    pub fn delete(table: Table, row: impl Into<Row>) -> Self {
        Self::Delete {
            table,
            row: row.into(),
        }
    }
}

/// A condition of an accept. If it does not hold, nothing of the accept takes
/// effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Guard {
    /// The row has no column.
    Absent { table: Table, row: Row },
    /// The row's only value is exactly this (compare and set); `None`: the row
    /// is absent.
    Equals {
        table: Table,
        row: Row,
        /// Expected value of column `""`.
        value: Option<Vec<u8>>,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum JobOutcome {
    /// Successfully.
    #[default]
    Done,
    /// For good, and without success. Operators can see it.
    Failed {
        /// For operators.
        reason: String,
    },
}

/// What a handler returns. The store applies it with the end of the job in one
/// atomic step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Commit {
    /// In order.
    pub writes: Vec<Write>,
    /// Accepted in this order.
    pub jobs: Vec<NewJob>,
    /// Open jobs that are no longer needed, such as timers.
    pub cancel: Vec<JobId>,
    pub outcome: JobOutcome,
}

impl Commit {
    /// The waiting calls that it answers.
    pub fn callers(&self) -> Vec<Caller> {
        let answers = self.writes.iter().filter_map(|write| match write {
            Write::Put {
                table: Table::Answer,
                row,
                ..
            } => Caller::of_row(row),
            _ => None,
        });
        answers.collect()
    }

    /// Ends the job without any effect.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Ends the job as failed.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self {
            outcome: JobOutcome::Failed {
                reason: reason.into(),
            },
            ..Self::default()
        }
    }

    pub fn write(&mut self, write: Write) -> &mut Self {
        self.writes.push(write);
        self
    }

    pub fn job(&mut self, job: NewJob) -> &mut Self {
        self.jobs.push(job);
        self
    }

    pub fn cancel(&mut self, id: JobId) -> &mut Self {
        self.cancel.push(id);
        self
    }

    /// Adds everything of `other` except its outcome.
    pub fn merge(&mut self, other: Commit) -> &mut Self {
        self.writes.extend(other.writes);
        self.jobs.extend(other.jobs);
        self.cancel.extend(other.cancel);
        self
    }
}
