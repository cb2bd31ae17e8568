//! The outcome of a call: what to store, and the answer.

use bytes::Bytes;
use serde_json::Value;

use crate::error::{Code, Error};
use crate::job::Write;
use crate::store::Accept;

/// What to store and what to answer after an endpoint succeeded. Endpoints change
/// nothing themselves: HTTP stores this, then answers.
#[derive(Debug, Clone, PartialEq)]
pub enum CallOutcome {
    /// Store this, then answer 202.
    Accepted {
        /// State and jobs.
        accept: Accept,
        /// Body of the answer; `None`: empty.
        body: Option<Value>,
        /// The answer when a guard of `accept` does not hold; `None`: the same
        /// call was accepted before, and is answered as it was then.
        refused: Option<Code>,
    },
    /// Store this, then wait: the job that settles it answers the call
    /// ([`super::SettledAnswer::tell`], [`super::ApiCall::caller`]).
    Waits(Accept),
    /// Store this, then answer 204.
    StoredJobs(Accept),
    /// Store these writes, in portions if there are many, then answer 204. No
    /// guards, no jobs.
    Stored(Vec<Write>),
    /// Store these writes, then answer the error that came after them.
    StoredBefore(Vec<Write>, Error),
    /// 200 with this body.
    Ok(Value),
    /// 200 with a text that is no JSON.
    Text {
        /// Its media type.
        content_type: &'static str,
        /// The text.
        text: Bytes,
    },
    /// 204.
    NoContent,
    /// 404 without a body.
    NotFound,
    /// No success: this status with this body, which is no error object.
    Failed(u16, Value),
    /// 501 without a body: the replaced system does not support it either.
    Unsupported,
}

impl CallOutcome {
    /// The accept is refused only if the same call was accepted before.
    pub fn started(accept: Accept) -> Self {
        CallOutcome::Accepted {
            accept,
            body: None,
            refused: None,
        }
    }

    /// 200 with what was found, or 404.
    pub fn found(body: Option<Value>) -> Self {
        body.map_or(CallOutcome::NotFound, CallOutcome::Ok)
    }
}
