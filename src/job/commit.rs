//! What a handler wants to happen: all of it or nothing.

use serde::{Deserialize, Serialize};

use super::{Caller, JobId, NewJob, codec};

macro_rules! tables {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// The node's state, by purpose. Rows that belong to one node behind a
        /// proxy start with its id (see `context::state`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Table { $($(#[$doc])* $variant,)* }

        impl Table {
            /// Every table.
            pub const ALL: &'static [Table] = &[$(Table::$variant),*];

            /// The name in stores. It never changes.
            pub fn name(self) -> &'static str {
                match self { $(Table::$variant => $name),* }
            }
        }
    };
}

tables! {
    /// RP: what the client asked and how far it has come, by request id. IdP:
    /// the same of its requests for consent to identity operations.
    RequestData = "request_data";
    /// RP: request id by reference id, while the request lives. IdP: identity
    /// operation by reference id, while it goes on, and its request for consent.
    RequestReference = "request_reference";
    /// RP: data from ASes that is not yet acknowledged on the ledger.
    PendingAsData = "pending_as_data";
    /// RP: acknowledged data; a column per AS and service.
    AsData = "as_data";
    /// IdP: the consent request received, by request id.
    ConsentRequest = "consent_request";
    /// AS: the data request received, by request id.
    DataRequest = "data_request";
    /// AS: RP of a data request that waits for an answer; a column per service.
    PendingDataRequest = "pending_data_request";
    /// AS: the packed answer until it is on the ledger and handed to the RP.
    DataAnswer = "data_answer";
    /// Callback URLs set by the client applications, by role; a column per URL.
    CallbackUrl = "callback_url";
    /// AS: callback URL of each service; a column per service.
    ServiceUrl = "service_url";
    /// Every message received and sent, by request id, in order.
    PrivateMessage = "private_message";
    /// Transactions whose outcome is not known yet, by hash (lower-case hex).
    ExpectedTransaction = "expected_transaction";
    /// Transactions to be signed anew once the chain takes them again.
    DisabledTransaction = "disabled_transaction";
    /// Calls of clients that must be accepted once only, by their content
    /// (`flows::call`).
    Call = "call";
    /// How far the ledger has been followed.
    Progress = "progress";
    /// Answers to calls whose clients wait, by [`Caller`], until they are
    /// taken.
    Answer = "answer";
}

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
