//! A call whose client waits for the result of its jobs.

use serde::{Deserialize, Serialize};

use super::{JobId, Row};

/// Identifies a waiting call of a process. The answer is a row of
/// [`Table::Answer`](super::Table::Answer): the commit that settles the call
/// writes it, its dispatcher tells the process, and the process takes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// The worker that has the client's connection (`Hello::worker_id`).
    pub process: String,
    pub call: JobId,
}

impl Caller {
    /// A new call of this process.
    pub fn new(process: &str) -> Self {
        Self {
            process: process.to_owned(),
            call: JobId::generate(),
        }
    }

    /// Row of its answer.
    pub fn row(&self) -> Row {
        format!("{}/{}", self.process, self.call)
    }

    /// The call that a row answers.
    pub fn of_row(row: &str) -> Option<Self> {
        let (process, call) = row.rsplit_once('/')?;
        Some(Self {
            process: process.to_owned(),
            call: call.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Commit, Table, Write};

    #[test]
    fn a_commit_says_whom_it_answers() {
        let caller = Caller::new("ndid1-worker/1");
        assert_eq!(Caller::of_row(&caller.row()).as_ref(), Some(&caller));
        assert_eq!(Caller::of_row("no row of a caller"), None);
        let mut commit = Commit::nothing();
        commit.write(Write::put(Table::Answer, caller.row(), b"yes".to_vec()));
        commit.write(Write::put(Table::Call, "another", b"table".to_vec()));
        commit.write(Write::delete(Table::Answer, Caller::new("taken").row()));
        assert_eq!(commit.callers(), [caller]);
    }
}
