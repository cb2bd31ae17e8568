//! A request for consent to an identity operation (spec/flows.md 6.4, 6.5) differs
//! from other requests. Nobody hears of its status. The first answer decides, the
//! node closes the request, and the block of its end continues or ends the
//! operation.
//!
//! A decision is stored with its CloseRequest. While that is on its way the client
//! cannot close the request; while the client's is on its way the node does not
//! decide. So it is known who ended the request.

use serde::{Deserialize, Serialize};

use super::operation::IdentityOperation;
use super::planned::PlannedOperation;
use super::{reference, settled};
use crate::context::Context;
use crate::delivery::transaction::{transact, transact_for_call};
use crate::error::{Code, Error, Refusal, codes, settled as final_of};
use crate::flows::call_mark;
use crate::flows::reply::ReplyTo;
use crate::flows::request_status::Validity;
use crate::flows::rp::stored::{RequestRecord, StoredRequest};
use crate::flows::rp::{close_request, report};
use crate::job::{Commit, NewJob, Table};
use crate::ledger::query;
use crate::ledger::types::RequestDetail;

/// The decision on the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentDecision {
    /// The user consents.
    Granted,
    /// The user, or the IdP, did not consent.
    Rejected,
    /// No accessor of the person signed the answer, or its IAL is not the IAL that
    /// the IdP declared.
    Invalid,
}

impl ConsentDecision {
    /// The decision on the answers so far; `None`: none yet.
    pub fn of(detail: &RequestDetail, validity: &Validity) -> Option<Self> {
        let first = detail.response_list.first()?;
        if first.status.as_deref() != Some("accept") {
            return Some(Self::Rejected);
        }
        let verdict = validity.0.get(&first.idp_id)?;
        let is_valid = verdict.valid_signature == Some(true) && verdict.valid_ial == Some(true);
        Some(match is_valid {
            true => Self::Granted,
            false => Self::Invalid,
        })
    }

    fn refusal(self) -> Option<Code> {
        match self {
            Self::Granted => None,
            Self::Rejected => Some(codes::USER_REJECTED),
            Self::Invalid => Some(codes::INVALID_RESPONSE),
        }
    }
}

/// Decides on the answers and makes the CloseRequest, unless another end of the
/// request is on its way. The caller stores the progress.
///
/// # Errors
/// Those of ledger and signing that may pass.
pub async fn decide(context: &Context, stored: &mut StoredRequest) -> Result<Commit, Error> {
    if stored.progress.closing {
        return Ok(Commit::nothing());
    }
    let ledger = context.ledger.as_ref();
    let detail = query::request_detail(ledger, &stored.of.request_id, None).await?;
    let Some(detail) = detail.filter(|detail| !detail.has_ended()) else {
        return Ok(Commit::nothing());
    };
    let Some(decision) = ConsentDecision::of(&detail, &stored.validity) else {
        return Ok(Commit::nothing());
    };
    let close = close_request::transaction(&stored.of, &stored.validity, None)
        .resend_when_disabled()
        .retry_on_shortage();
    Ok(match final_of(transact(context, close).await)? {
        Ok(commit) => {
            stored.progress.closing = true;
            stored.progress.decision = Some(decision);
            commit
        }
        // The client can close the request, or its time will be up.
        Err(refusal) => {
            let mut commit = Commit::nothing();
            commit.job(report::error(stored, report::PROCESS_MESSAGE, &refusal));
            commit
        }
    })
}

/// The ledger refused the CloseRequest of a decision. If the request has ended, its
/// block does the rest; otherwise it is open and undecided.
///
/// # Errors
/// Those of the ledger.
pub async fn close_refused(
    context: &Context,
    stored: &mut StoredRequest,
    refusal: &Refusal,
) -> Result<Commit, Error> {
    let ledger = context.ledger.as_ref();
    let detail = query::request_detail(ledger, &stored.of.request_id, None).await?;
    let mut commit = Commit::nothing();
    if detail.is_none_or(|detail| !detail.has_ended()) {
        stored.progress.closing = false;
        stored.progress.decision = None;
        commit.write(stored.save_progress());
        commit.job(report::error(stored, report::PROCESS_MESSAGE, refusal));
    }
    Ok(commit)
}

/// The request has ended: with consent the operation continues, without it ends.
/// Either way the request is forgotten.
///
/// # Errors
/// Those of ledger and signing that may pass.
pub async fn ended(
    context: &Context,
    stored: &StoredRequest,
    planned: &PlannedOperation,
    detail: &RequestDetail,
) -> Result<Commit, Error> {
    let refusal = match (detail.timed_out, stored.progress.decision) {
        (true, _) => Some(codes::REQUEST_IS_TIMED_OUT),
        (false, Some(decision)) => decision.refusal(),
        (false, None) => Some(codes::REQUEST_IS_CLOSED),
    };
    let mut commit = match refusal {
        Some(code) => over(stored, &planned.operation, &code.into()),
        None => {
            let node_id = &stored.of.node_id;
            let request_id = Some(stored.of.request_id.as_str());
            let reply = reply(&stored.request);
            let transaction = settled::transaction(node_id, &reply, request_id, planned);
            let mut commit = transact_for_call(context, transaction).await?;
            commit.merge(stored.forget());
            commit
        }
    };
    let calls = call_mark::forget_all(context, Table::RequestData, &stored.of.row()).await?;
    commit.writes.extend(calls);
    Ok(commit)
}

/// There will be no consent: tells the client and forgets the request.
pub fn over(stored: &StoredRequest, operation: &IdentityOperation, refusal: &Refusal) -> Commit {
    let of = &stored.of;
    let reply = reply(&stored.request);
    let mut commit = stored.forget();
    commit.write(reference::free(&of.node_id, &reply));
    commit.job(operation.without_consent(&of.node_id, &reply, &of.request_id, refusal));
    commit
}

/// What the client hears of the creation of the request.
pub fn created(
    node_id: &str,
    request: &RequestRecord,
    operation: &IdentityOperation,
    outcome: Result<String, &Refusal>,
) -> NewJob {
    operation.request_result(node_id, &reply(request), &request.request_id, outcome)
}

fn reply(request: &RequestRecord) -> ReplyTo {
    ReplyTo {
        reference_id: request.reference_id.clone(),
        callback_url: request.callback_url.clone(),
    }
}
