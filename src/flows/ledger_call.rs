//! A call that asks the ledger for one thing: checked by its endpoint, signed
//! and stored here, and told what became of it (spec/flows.md 1.2). Its client
//! waits for that, or hears of it by a callback.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::accept;
use super::dispatch::Flow;
use super::reply::Reply;
use crate::api::{Answered, Outcome};
use crate::context::Context;
use crate::delivery::transaction::{
    Continuation, Fate, Settled, Transact, transact, transact_for_call,
};
use crate::error::{Error, Refusal};
use crate::job::{Caller, Commit, Job, Kind, Spec, Write, codec};

crate::job::stored! {
    "call_asked": Asked = 1,
}

/// The transaction that a call asked for has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(16, "call.settled"));

pub(super) const FLOW: Flow = Flow::new(KIND, |_, job| Box::pin(async move { handle(job) }));

/// Who hears what became of the transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Hearer {
    /// The client that waits.
    Caller {
        /// Its call.
        caller: Caller,
        /// Status of the answer when it was done.
        status: u16,
    },
    /// The client application, by a callback.
    Callback {
        /// Where to.
        reply: Reply,
        /// `type` of the callback.
        kind: String,
        /// The acting node.
        node_id: String,
    },
}

impl Hearer {
    fn tell(&self, failure: Option<&Refusal>, commit: &mut Commit) {
        match self {
            Self::Caller { caller, status } => {
                let answer = failure.map_or(Answered::done(*status), Answered::refused);
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

/// What a call asks of the ledger.
pub struct LedgerCall {
    /// Who signs.
    pub node_id: String,
    /// Method of the transaction.
    pub method: &'static str,
    /// Its parameters.
    pub params: Value,
    /// What is settled one after the other, in the order asked for.
    pub key: String,
    /// State that changes when the ledger has it.
    pub writes: Vec<Write>,
    /// Who hears of it.
    pub hearer: Hearer,
}

/// Handed through the transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    writes: Vec<Write>,
    hearer: Hearer,
}

impl LedgerCall {
    /// Puts the transaction on its way.
    ///
    /// # Errors
    /// Those of ledger and signing. What can never be signed is an error of a
    /// call whose client waits, and otherwise told by the callback.
    pub async fn start(self, context: &Context) -> Result<Outcome, Error> {
        let waits = matches!(self.hearer, Hearer::Caller { .. });
        let asked = Asked {
            writes: self.writes,
            hearer: self.hearer,
        };
        let then = Continuation::new(KIND, self.key, &asked);
        let request = Transact::new(&self.node_id, self.method, &self.params, Some(then));
        Ok(match waits {
            true => Outcome::Waits(accept(transact(context, request).await?)),
            false => Outcome::started(accept(transact_for_call(context, request).await?)),
        })
    }
}

/// Handler of `call.settled`.
///
/// # Errors
/// Those of the payload.
pub fn handle(job: &Job) -> Result<Commit, Error> {
    let settled: Settled = job.payload()?;
    let asked: Asked = codec::decode(&settled.context)?;
    let mut commit = Commit::nothing();
    let failure = match settled.fate {
        Fate::Committed { .. } => {
            commit.writes.extend(asked.writes);
            None
        }
        Fate::Refused { code, message } => Some(Refusal::of_ledger(code, message)),
    };
    asked.hearer.tell(failure.as_ref(), &mut commit);
    Ok(commit)
}
