//! The documents of a contract have been verified, or could not be
//! (spec/flows.md 3.1, step 4).

use super::callback_progress::CallbackProgress;
use super::consent_request::{failure, show};
use super::response_created::{IdpResponseContent, IdpResponseContext};
use super::{PROCESS_MESSAGE, ROLE, respond};
use crate::context::{Context, state};
use crate::delivery::callback::error_job;
use crate::delivery::dcontract;
use crate::delivery::dcontract::Checked;
use crate::delivery::transaction::transact;
use crate::error::{Error, codes, settled};
use crate::flows::dispatch::Flow;
use crate::flows::{RequestUpdate, status_update};
use crate::job::{Commit, Job, Table};
use crate::ledger::query;
use crate::mq::message::{ConsentRequest, Message};

pub(in crate::flows) const FLOW: Flow = Flow::new(dcontract::CHECKED, |context, job| {
    Box::pin(handle(context, job))
})
.told(ROLE, PROCESS_MESSAGE)
.for_node(node_of_contract);

/// Error code for a document that cannot be verified.
const ERROR_CODE: i64 = 31000;

/// Handler of `idp.contract_checked`: tells the client application of the request
/// and of changes by blocks meanwhile, or answers in its name.
///
/// # Errors
/// Those of ledger, store and signing; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let Checked { contract, refusal } = job.payload()?;
    let record = contract.record();
    let Some(CallbackProgress::Not { updates }) = CallbackProgress::load(context, &record).await?
    else {
        return Ok(Commit::nothing());
    };
    let kept = state::load(context, Table::ConsentRequest, &record, "").await?;
    let Some(Message::ConsentRequest(request)) = kept else {
        return Ok(Commit::nothing());
    };
    let detail = query::request_detail(context.ledger.as_ref(), &request.request_id, None).await?;
    // A block tells of the end.
    let Some(detail) = detail.filter(|detail| !detail.has_ended()) else {
        return Ok(Commit::nothing());
    };
    let node_id = contract.node_id.as_str();
    let mut commit = match refusal {
        None => show(context, node_id, &request, &detail).await?,
        Some(reason) => refuse(context, node_id, &request, &reason).await?,
    };
    commit.merge(tell(context, &updates).await?);
    commit.write(CallbackProgress::All.save(&record));
    Ok(commit)
}

async fn tell(context: &Context, updates: &[RequestUpdate]) -> Result<Commit, Error> {
    let mut commit = Commit::nothing();
    for update in updates {
        commit.merge(status_update::callback(context, ROLE, update).await?);
    }
    Ok(commit)
}

/// The node's own error answer to a request whose contract it could not verify.
///
/// # Errors
/// Those that are not final.
pub(super) async fn refuse(
    context: &Context,
    node_id: &str,
    request: &ConsentRequest,
    reason: &str,
) -> Result<Commit, Error> {
    tracing::warn!(request_id = %request.request_id, reason, "contract of a request is refused");
    let answered = IdpResponseContext {
        node_id: node_id.to_owned(),
        request_id: request.request_id.clone(),
        rp_id: request.rp_id.clone(),
        content: IdpResponseContent::Error(ERROR_CODE),
        reply: None,
        call: None,
    };
    let create = respond::transaction(&answered, &respond::error_params(&answered));
    let mut commit = match settled(transact(context, create).await)? {
        Ok(commit) => commit,
        Err(refusal) => {
            let mut commit = Commit::nothing();
            commit.job(error_job(
                ROLE,
                Some(node_id),
                "idp.createContractErrorResponse",
                Some(&request.request_id),
                &refusal,
            ));
            commit
        }
    };
    let error = codes::REQUEST_INTEGRITY_CHECK_FAILED.into();
    commit.job(failure(node_id, request, &error));
    Ok(commit)
}

fn node_of_contract(job: &Job) -> Option<String> {
    let checked: Checked = job.payload().ok()?;
    Some(checked.contract.node_id)
}
