//! The message of an IdP: its answer is on the ledger (spec/flows.md 2.3).

use super::ROLE;
use super::auto_close::{self, CloseCause};
use super::data_request;
use super::report::{self, PROCESS_MESSAGE};
use super::stored::{RequestRef, StoredRequest};
use super::validity;
use crate::context::Context;
use crate::error::{Error, codes, settled};
use crate::flows::dispatch::{Flow, node_of_message};
use crate::flows::identity::consent;
use crate::flows::request_status::Validity;
use crate::flows::status;
use crate::job::{Commit, Job};
use crate::ledger::query;
use crate::ledger::types::RequestDetail;
use crate::messaging::{Received, to_role};
use crate::mq::message::{IdpResponse, Message, ResponsePrivateData};

pub(in crate::flows) const FLOW: Flow = Flow::new(to_role::IDP_RESPONSE, |context, job| {
    Box::pin(handle(context, job))
})
.told(ROLE, PROCESS_MESSAGE)
.for_node(node_of_message);

/// Handler of `rp.idp_response`: judges the answer, tells the client, asks the ASes
/// when the consent is complete, and closes a request at its end.
/// `identity::consent` decides on an identity operation.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let received: Received = job.payload()?;
    let message = parse(&received)?;
    let of = RequestRef {
        node_id: received.receiver_node_id,
        request_id: message.request_id.clone(),
    };
    let Some(mut stored) = StoredRequest::load(context, of).await? else {
        return Ok(Commit::nothing());
    };
    let mut commit = Commit::nothing();
    if stored.request.mode != 1 && message.error_code.is_none() {
        let entry = ResponsePrivateData {
            idp_id: message.idp_id.clone(),
            accessor_id: message.accessor_id.clone(),
        };
        commit.write(stored.add_private_data(message.height, entry));
    }
    let detail = detail_at(context, &stored, message.height).await?;
    let answer = detail
        .response_list
        .iter()
        .find(|answer| answer.idp_id == message.idp_id);
    let Some(answer) = answer else {
        tracing::warn!(
            request_id = message.request_id,
            idp_id = message.idp_id,
            height = message.height,
            "an IdP claims an answer that the ledger does not have"
        );
        return Ok(Commit::nothing());
    };
    if detail.has_ended() {
        return Ok(commit);
    }

    let ledger = context.ledger.as_ref();
    let accessor_id = message.accessor_id.as_deref();
    let verdict = validity::judge(ledger, &stored.request, answer, accessor_id).await?;
    commit.write(stored.judge(&message.idp_id, verdict));
    if stored.request.operation.is_some() {
        commit.merge(consent::decide(context, &mut stored).await?);
        commit.write(stored.save_progress());
        return Ok(commit);
    }
    let validity = stored.validity.clone();
    if waits_for_another(context, &stored, &detail, &validity, message.height).await? {
        return Ok(commit);
    }

    let status = report::status(context, &mut stored, &detail, message.height, &validity);
    commit.jobs.extend(status);
    // The message may have been overtaken, so all answers known now count.
    let newest = stored.progress.reported.last().copied();
    let height = newest.unwrap_or(message.height).max(message.height);
    let detail = if height == message.height {
        detail
    } else {
        detail_at(context, &stored, height).await?
    };
    if is_data_wanted(&stored, &detail, &validity) {
        let position = data_request::ConsentBlock {
            chain_id: message.chain_id,
            height,
        };
        let private_data = stored.private_data.to_list();
        let sent = data_request::send(context, &stored, private_data, position).await;
        if let Some(messages) = or_report(sent, &stored, &mut commit)? {
            commit.merge(messages);
            stored.progress.data_requested = true;
        }
    }
    let cause = CloseCause::IdpResponse;
    let closed = auto_close::close(context, &mut stored, &detail, &validity, cause).await;
    if let Some(close) = or_report(closed, &stored, &mut commit)? {
        commit.merge(close);
    }
    commit.write(stored.save_progress());
    Ok(commit)
}

fn parse(received: &Received) -> Result<IdpResponse, Error> {
    match received.message()? {
        Message::IdpResponse(message) => Ok(message),
        _ => Err(codes::INVALID_MESSAGE_TYPE.into()),
    }
}

async fn detail_at(
    context: &Context,
    stored: &StoredRequest,
    height: u64,
) -> Result<RequestDetail, Error> {
    let ledger = context.ledger.as_ref();
    let detail = query::request_detail(ledger, &stored.of.request_id, Some(height)).await?;
    Ok(detail.ok_or(codes::REQUEST_NOT_FOUND)?)
}

/// Whether another answer of the same block has no verdict yet. Its message then
/// reports both, so that the client gets one complete status. Answers of earlier
/// blocks do not delay the report.
async fn waits_for_another(
    context: &Context,
    stored: &StoredRequest,
    detail: &RequestDetail,
    validity: &Validity,
    height: u64,
) -> Result<bool, Error> {
    let unjudged = validity::unjudged(detail, validity);
    if unjudged.is_empty() || stored.progress.reported.contains(&height) {
        return Ok(false);
    }
    let before = detail_at(context, stored, height.saturating_sub(1)).await?;
    let was_there = |idp_id: &str| {
        let mut answers = before.response_list.iter();
        answers.any(|answer| answer.idp_id == idp_id)
    };
    Ok(unjudged.into_iter().any(|idp_id| !was_there(idp_id)))
}

/// Whether the consent is complete and the ASes have not been asked
/// (spec/flows.md 2.3-6).
fn is_data_wanted(stored: &StoredRequest, detail: &RequestDetail, validity: &Validity) -> bool {
    let nobody_answered = detail
        .data_request_list
        .iter()
        .all(|service| service.response_list.is_empty());
    !stored.progress.data_requested
        && !detail.has_ended()
        && !detail.data_request_list.is_empty()
        && status::derive(detail) == status::CONFIRMED
        && detail.answers().count() as u64 == detail.min_idp
        && nobody_answered
        && validity::all_valid(detail, validity)
}

/// A final failure leads to an `error` callback; the verdict and what the client has
/// heard stay.
fn or_report(
    result: Result<Commit, Error>,
    stored: &StoredRequest,
    commit: &mut Commit,
) -> Result<Option<Commit>, Error> {
    Ok(match settled(result)? {
        Ok(done) => Some(done),
        Err(refusal) => {
            commit.job(report::error(stored, PROCESS_MESSAGE, &refusal));
            None
        }
    })
}
