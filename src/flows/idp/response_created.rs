//! The transaction of an IdP's answer has settled (spec/flows.md 3.3).

use serde::{Deserialize, Serialize};

use super::{PROCESS_MESSAGE, ROLE};
use crate::context::Context;
use crate::delivery::callback::error_job;
use crate::delivery::transaction::{Fate, Settled};
use crate::error::{Error, Refusal, settled};
use crate::flows::call::Call;
use crate::flows::dispatch::Flow;
use crate::flows::reply::Reply;
use crate::job::{Commit, Job, Kind, Spec, Table, codec};
use crate::messaging::outbound;
use crate::mq::message::{IdpResponse, Message};

crate::job::stored! {
    "idp_answered": Answered = 1,
}

/// The transaction of our answer has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(11, "idp.response_created"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job))).told(ROLE, PROCESS_MESSAGE);

const RESULT: &str = "response_result";
const ACTION_OF_ANSWER: &str = "idp.afterCreateIdpResponse";
const ACTION_OF_CONTRACT: &str = "idp.createContractErrorResponseAfterBlockchain";

/// Handed through the transaction of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The IdP (behind a proxy: that node).
    pub node_id: String,
    /// Which request.
    pub request_id: String,
    /// Who gets to know.
    pub rp_id: String,
    /// What was answered.
    pub content: Content,
    /// Who answered; `None`: the node itself (spec/flows.md 3.1, step 4).
    pub reply: Option<Reply>,
    /// The call that brought the answer, unless it is the node's own.
    pub call: Option<Call>,
}

/// What the RP is told of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// Accepted or rejected; which of the two is on the ledger.
    Answer {
        /// Of the request.
        mode: u8,
        /// Modes 2 and 3.
        accessor_id: Option<String>,
    },
    /// The error code.
    Error(i64),
}

/// Handler of `idp.response_created`. Once the answer is on the ledger the
/// result is success, even when the RP cannot be told: that is reported by an
/// `error` callback of its own.
///
/// # Errors
/// Those that are not final.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let settled: Settled = job.payload()?;
    let answered: Answered = codec::decode(&settled.context)?;
    let call = answered.call.as_ref();
    match settled.fate {
        Fate::Committed { height } => {
            let mut commit = tell(context, &answered, height).await?;
            if let Some(call) = call {
                commit.write(call.keep(context, Table::ConsentRequest).await?);
            }
            Ok(commit)
        }
        Fate::Refused { code, message } => {
            let mut commit = refused(&answered, &Refusal::of_ledger(code, message));
            commit.writes.extend(call.map(Call::forget));
            Ok(commit)
        }
    }
}

async fn tell(context: &Context, answered: &Answered, height: u64) -> Result<Commit, Error> {
    let mut commit = match settled(message(context, answered, height).await)? {
        Ok(messages) => messages,
        Err(refusal) => {
            let mut commit = Commit::nothing();
            commit.job(error_callback(answered, &refusal));
            commit
        }
    };
    if let Some(reply) = &answered.reply {
        commit.job(reply.about_request(&answered.node_id, RESULT, &answered.request_id, None));
    }
    Ok(commit)
}

async fn message(context: &Context, answered: &Answered, height: u64) -> Result<Commit, Error> {
    let (mode, accessor_id, error_code) = match answered.content.clone() {
        Content::Answer { mode, accessor_id } => (Some(mode), accessor_id, None),
        Content::Error(error_code) => (None, None, Some(error_code.into())),
    };
    let response = Message::IdpResponse(IdpResponse {
        request_id: answered.request_id.clone(),
        mode,
        accessor_id,
        idp_id: answered.node_id.clone(),
        error_code,
        chain_id: context.ledger.chain_id()?,
        height,
    });
    let receiver = outbound::receiver(context, &answered.rp_id).await?;
    outbound::send(context, &answered.node_id, &[receiver], &response).await
}

fn refused(answered: &Answered, error: &Refusal) -> Commit {
    let mut commit = Commit::nothing();
    commit.job(match &answered.reply {
        Some(reply) => {
            let request_id = &answered.request_id;
            reply.about_request(&answered.node_id, RESULT, request_id, Some(error))
        }
        None => error_callback(answered, error),
    });
    commit
}

fn error_callback(answered: &Answered, error: &Refusal) -> crate::job::NewJob {
    let action = match answered.reply {
        Some(_) => ACTION_OF_ANSWER,
        None => ACTION_OF_CONTRACT,
    };
    let request_id = Some(answered.request_id.as_str());
    error_job(ROLE, Some(&answered.node_id), action, request_id, error)
}
