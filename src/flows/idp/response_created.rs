//! The transaction of an IdP's answer has settled (spec/flows.md 3.3).

use serde::{Deserialize, Serialize};

use super::{PROCESS_MESSAGE, ROLE};
use crate::context::Context;
use crate::delivery::callback::error_job;
use crate::error::{Error, Refusal, settled};
use crate::flows::call_mark::CallMark;
use crate::flows::dispatch::Flow;
use crate::flows::ledger_call::settlement;
use crate::flows::reply::ReplyTo;
use crate::job::{Commit, Job, Kind, Spec, Table};
use crate::messaging::outbound;
use crate::mq::message::{IdpResponse, Message};

crate::job::stored! {
    "idp_answered": IdpResponseContext = 1,
}

/// The transaction of our answer has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(11, "idp.response_created"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job))).told(ROLE, PROCESS_MESSAGE);

const RESULT: &str = "response_result";
const ACTION_OF_ANSWER: &str = "idp.afterCreateIdpResponse";
const ACTION_OF_CONTRACT: &str = "idp.createContractErrorResponseAfterBlockchain";

/// Context of the continuation of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdpResponseContext {
    /// The IdP (behind a proxy: that node).
    pub node_id: String,
    /// Which request.
    pub request_id: String,
    /// The RP, which gets the message.
    pub rp_id: String,
    /// The answer.
    pub content: IdpResponseContent,
    /// Who hears of the result; `None`: the node itself answered (spec/flows.md 3.1,
    /// step 4).
    pub reply: Option<ReplyTo>,
    /// The call that brought the answer; `None`: the node itself answered.
    pub call: Option<CallMark>,
}

/// What the RP hears of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum IdpResponseContent {
    /// Accepted or rejected; the ledger has which.
    Answer {
        /// Mode of the request.
        mode: u8,
        /// Modes 2 and 3.
        accessor_id: Option<String>,
    },
    /// The error code.
    Error(i64),
}

/// Handler of `idp.response_created`. Once the answer is on the ledger the result is
/// success, even if no message can be sent to the RP: an `error` callback reports
/// that.
///
/// # Errors
/// Those that are not final.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let (answered, result) = settlement::<IdpResponseContext>(job)?;
    let call = answered.call.as_ref();
    match result {
        Ok(height) => {
            let mut commit = tell(context, &answered, height).await?;
            if let Some(call) = call {
                commit.write(call.keep(context, Table::ConsentRequest).await?);
            }
            Ok(commit)
        }
        Err(refusal) => {
            let mut commit = refused(&answered, &refusal);
            commit.writes.extend(call.map(CallMark::forget));
            Ok(commit)
        }
    }
}

async fn tell(
    context: &Context,
    answered: &IdpResponseContext,
    height: u64,
) -> Result<Commit, Error> {
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

async fn message(
    context: &Context,
    answered: &IdpResponseContext,
    height: u64,
) -> Result<Commit, Error> {
    let (mode, accessor_id, error_code) = match answered.content.clone() {
        IdpResponseContent::Answer { mode, accessor_id } => (Some(mode), accessor_id, None),
        IdpResponseContent::Error(error_code) => (None, None, Some(error_code.into())),
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

fn refused(answered: &IdpResponseContext, error: &Refusal) -> Commit {
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

fn error_callback(answered: &IdpResponseContext, error: &Refusal) -> crate::job::NewJob {
    let action = match answered.reply {
        Some(_) => ACTION_OF_ANSWER,
        None => ACTION_OF_CONTRACT,
    };
    let request_id = Some(answered.request_id.as_str());
    error_job(ROLE, Some(&answered.node_id), action, request_id, error)
}
