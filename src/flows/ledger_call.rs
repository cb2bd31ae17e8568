//! A call that makes one transaction (spec/flows.md 1.2). Its endpoint checks it;
//! this module signs and stores the transaction, and tells the client once whether
//! the ledger accepted it: the client waits, or gets a callback.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::accept;
use super::dispatch::Flow;
use super::reply::ReplyTo;
use crate::api::{CallOutcome, SettledAnswer};
use crate::context::Context;
use crate::delivery::transaction::{
    Continuation, Fate, Settled, Transact, transact, transact_for_call,
};
use crate::error::{Error, Refusal};
use crate::job::{Caller, Commit, Job, Kind, Spec, Stored, Write, codec};
use crate::store::Accept;

crate::job::stored! {
    "call_asked": LedgerCallContext = 1,
}

/// The transaction of a call has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(16, "call.settled"));

pub(super) const FLOW: Flow = Flow::new(KIND, |_, job| Box::pin(async move { handle(job) }));

/// Who hears of the result of the transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ResultRecipient {
    /// The waiting client.
    Caller {
        /// Its call.
        caller: Caller,
        /// Status of the answer after success.
        status: u16,
    },
    /// A callback to the client application.
    Callback {
        /// URL and reference id.
        reply: ReplyTo,
        /// `type` of the callback.
        kind: String,
        /// The acting node.
        node_id: String,
    },
}

impl ResultRecipient {
    fn tell(&self, failure: Option<&Refusal>, commit: &mut Commit) {
        match self {
            Self::Caller { caller, status } => {
                let answer = failure.map_or(SettledAnswer::done(*status), SettledAnswer::refused);
                answer.tell(caller, commit);
            }
            Self::Callback {
                reply,
                kind,
                node_id,
            } => {
                commit.job(reply.about_node(node_id, kind, failure));
            }
        }
    }
}

/// A call and its transaction.
pub struct LedgerCall {
    /// Who signs.
    pub node_id: String,
    /// Method of the transaction.
    pub method: &'static str,
    /// Its parameters.
    pub params: Value,
    /// Key of the job that settles the transaction.
    pub key: String,
    /// Changes of state once the transaction is on the ledger.
    pub writes: Vec<Write>,
    /// Who hears of the result.
    pub recipient: ResultRecipient,
}

/// Context of the continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LedgerCallContext {
    writes: Vec<Write>,
    recipient: ResultRecipient,
}

impl LedgerCall {
    /// Signs the transaction; the outcome stores it.
    ///
    /// # Errors
    /// Those of ledger and signing. A final error of signing is an error of the call
    /// if its client waits, otherwise it comes by the callback.
    pub async fn start(self, context: &Context) -> Result<CallOutcome, Error> {
        let waits = matches!(self.recipient, ResultRecipient::Caller { .. });
        let asked = LedgerCallContext {
            writes: self.writes,
            recipient: self.recipient,
        };
        let then = Continuation::new(KIND, self.key, &asked);
        let request = Transact::new(&self.node_id, self.method, &self.params, Some(then));
        Ok(match waits {
            true => CallOutcome::Waits(accept(transact(context, request).await?)),
            false => CallOutcome::started(accept_transaction(context, request).await?),
        })
    }
}

/// Handler of `call.settled`.
///
/// # Errors
/// Those of the payload.
pub fn handle(job: &Job) -> Result<Commit, Error> {
    let (asked, result) = settlement::<LedgerCallContext>(job)?;
    let mut commit = Commit::nothing();
    if result.is_ok() {
        commit.writes.extend(asked.writes);
    }
    asked.recipient.tell(result.err().as_ref(), &mut commit);
    Ok(commit)
}

/// The jobs and writes of a call that is answered before its transaction is signed.
///
/// # Errors
/// Those that are not final: of a final one the continuation tells.
pub async fn accept_transaction(context: &Context, request: Transact) -> Result<Accept, Error> {
    Ok(accept(transact_for_call(context, request).await?))
}

/// The context of a continuation, and the result of its transaction: the height of
/// the block, or the ledger's refusal.
///
/// # Errors
/// Those of the payload.
pub fn settlement<C: Stored>(job: &Job) -> Result<(C, Result<u64, Refusal>), Error> {
    let settled: Settled = job.payload()?;
    let context = codec::decode(&settled.context)?;
    let result = match settled.fate {
        Fate::Committed { height } => Ok(height),
        Fate::Refused { code, message } => Err(Refusal::of_ledger(code, message)),
    };
    Ok((context, result))
}
