//! The answer to a call whose client waits.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Refusal, codes};
use crate::job::{Caller, Commit, Job, Kind, Millis, NewJob, Spec, Table, Write, codec};
use crate::store::State;

crate::job::stored! {
    "call_answered": SettledAnswer = 1,
}

/// No client has taken an answer.
pub const EXPIRED: Kind = Kind::new(&Spec::transactional(37, "answer.expired"));

/// How long an answer waits for its client. The client, or the process that had its
/// connection, may be gone. Longer than clients wait.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// The answer (a row of [`Table::Answer`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SettledAnswer {
    /// The operation succeeded.
    Done {
        /// Status of the answer.
        status: u16,
        /// Its body as JSON text; `None`: empty.
        body: Option<String>,
    },
    /// The operation was refused.
    Refused {
        /// API error code.
        code: u32,
        /// Text for the client.
        message: String,
    },
}

impl SettledAnswer {
    /// Success without a body.
    pub fn done(status: u16) -> Self {
        Self::Done { status, body: None }
    }

    /// A refusal.
    pub fn refused(refusal: &Refusal) -> Self {
        Self::Refused {
            code: refusal.code().number,
            message: refusal.message().to_owned(),
        }
    }

    /// Status and body.
    ///
    /// # Errors
    /// The refusal.
    pub fn into_result(self) -> Result<(u16, Option<Value>), Error> {
        match self {
            Self::Done { status, body } => {
                let body = body.map(|body| serde_json::from_str(&body)).transpose();
                let body = body.map_err(|error| unreadable(&error))?;
                Ok((status, body))
            }
            Self::Refused { code, message } => Err(Refusal::of_ledger(code, message).into()),
        }
    }

    /// Answers a call, as part of the commit that settles it.
    pub fn tell(&self, caller: &Caller, commit: &mut Commit) {
        let row = caller.row();
        commit.write(Write::put(Table::Answer, &row, codec::encode(self)));
        let key = format!("answer:{row}");
        let expiry = NewJob::new(EXPIRED, key, &row);
        commit.job(expiry.not_before(Millis::now().after(KEPT)));
    }

    /// The answer of a call, if it is there.
    ///
    /// # Errors
    /// Temporary when the store does not answer.
    pub async fn load(state: &dyn State, caller: &Caller) -> Result<Option<Self>, Error> {
        let bytes = state.get(Table::Answer, &caller.row(), "").await?;
        let answer = bytes.map(|bytes| codec::decode(&bytes)).transpose();
        answer.map_err(|error| unreadable(&error))
    }
}

fn unreadable(reason: &dyn std::fmt::Display) -> Error {
    let text = format!("the answer of a call cannot be read: {reason}");
    Error::with_message(codes::UNKNOWN_ERROR, text)
}

/// Column of an answer's row: the mark (row of [`Table::Call`]) that identifies the
/// call when it is repeated.
pub const REPEAT: &str = "repeat";

/// Writes that forget a call, by the row of its answer.
///
/// # Errors
/// Those of the store.
pub async fn forget(state: &dyn State, row: &str) -> Result<Vec<Write>, Error> {
    let mut writes = vec![Write::delete(Table::Answer, row)];
    let mark = state.get(Table::Answer, row, REPEAT).await?;
    if let Some(mark) = mark.and_then(|mark| String::from_utf8(mark).ok()) {
        // A later call may have taken the mark over.
        let of = state.get(Table::Call, &mark, "").await?;
        if of.as_deref() == Some(row.as_bytes()) {
            writes.push(Write::delete(Table::Call, mark));
        }
    }
    Ok(writes)
}

/// Handler of `answer.expired`: no client has taken the answer.
///
/// # Errors
/// Those of the payload and the store.
pub async fn expire(state: &dyn State, job: &Job) -> Result<Commit, Error> {
    let row: String = job.payload()?;
    let mut commit = Commit::nothing();
    commit.writes.extend(forget(state, &row).await?);
    Ok(commit)
}
