//! What a handler wants to happen, all of it or nothing.

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

            /// The name in stores; never changes.
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
    /// Calls of clients that must not be accepted twice, by what they ask
    /// (`flows::call`).
    Call = "call";
    /// How far the ledger has been followed.
    Progress = "progress";
    /// What calls whose clients wait are answered, by [`Caller`], until it has
    /// been taken.
    Answer = "answer";
}

/// Name of a row in a table.
pub type Row = String;

/// Name of a column in a row; `""` where a row is one value. Columns are read
/// in byte order.
pub type Column = String;

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Write {
    /// Sets one column.
    Put {
        /// Where.
        table: Table,
        /// Which row.
        row: Row,
        /// Which column.
        column: Column,
        /// The value (codec or JSON, as the table's owner says).
        #[serde(with = "codec::bytes")]
        value: Vec<u8>,
    },
    /// Deletes a whole row.
    Delete {
        /// Where.
        table: Table,
        /// Which row.
        row: Row,
    },
    /// Deletes one column.
    DeleteColumn {
        /// Where.
        table: Table,
        /// Which row.
        row: Row,
        /// Which column.
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

    /// Deletes a row.
    pub fn delete(table: Table, row: impl Into<Row>) -> Self {
        Self::Delete {
            table,
            row: row.into(),
        }
    }
}

/// What must hold for an accept to take effect; otherwise nothing of it does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Guard {
    /// The row has no column at all.
    Absent {
        /// Where.
        table: Table,
        /// Which row.
        row: Row,
    },
    /// The row's only value is exactly this (compare-and-set of a checkpoint);
    /// `None`: the row is absent.
    Equals {
        /// Where.
        table: Table,
        /// Which row.
        row: Row,
        /// Expected value of column `""`.
        value: Option<Vec<u8>>,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum JobOutcome {
    /// As it should.
    #[default]
    Done,
    /// For good, but not as wished; kept for operators.
    Failed {
        /// What an operator reads.
        reason: String,
    },
}

/// What a handler returns: applied with the end of its job in one atomic step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Commit {
    /// State changes, in order.
    pub writes: Vec<Write>,
    /// Follow-up jobs, accepted in this order.
    pub jobs: Vec<NewJob>,
    /// Open jobs that are no longer needed (timers).
    pub cancel: Vec<JobId>,
    /// How the job ended.
    pub outcome: JobOutcome,
}

impl Commit {
    /// The calls that it answers.
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

    /// Adds a state change.
    pub fn write(&mut self, write: Write) -> &mut Self {
        self.writes.push(write);
        self
    }

    /// Adds a follow-up job.
    pub fn job(&mut self, job: NewJob) -> &mut Self {
        self.jobs.push(job);
        self
    }

    /// Cancels an open job.
    pub fn cancel(&mut self, id: JobId) -> &mut Self {
        self.cancel.push(id);
        self
    }

    /// Adds everything of `other` but its outcome.
    pub fn merge(&mut self, other: Commit) -> &mut Self {
        self.writes.extend(other.writes);
        self.jobs.extend(other.jobs);
        self.cancel.extend(other.cancel);
        self
    }
}
