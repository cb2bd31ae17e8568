//! An RP asks for consent (spec/flows.md 3.1).

use serde_json::{Map, Value};

use super::callback_progress::CallbackProgress;
use super::contract_checked::refuse;
use super::{PROCESS_MESSAGE, ROLE};
use crate::context::{Context, row};
use crate::delivery::callback::{CallbackTarget, Persistence, callback_job, error_job};
use crate::delivery::dcontract;
use crate::delivery::dcontract::Contract;
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::dispatch::{Flow, node_of_message};
use crate::flows::integrity::{ConsentText, check_consent, check_requester, require};
use crate::job::{Commit, Job, NewJob, Table, Write};
use crate::ledger::query;
use crate::ledger::types::RequestDetail;
use crate::messaging::Received;
use crate::messaging::to_role;
use crate::mq::message::{ConsentRequest, Message};

pub(in crate::flows) const FLOW: Flow = Flow::new(to_role::CONSENT_REQUEST, |context, job| {
    Box::pin(handle(context, job))
})
.told(ROLE, PROCESS_MESSAGE)
.for_node(node_of_message);

const URL_NAME: &str = "incoming_request_url";

/// Handler of `idp.consent_request`. Keeps a request that fails its checks until it
/// ends, but never instead of another one, and does not show it to the client
/// application. A request that passed its checks before changes nothing, however
/// late it comes again.
///
/// # Errors
/// Those of ledger, store and signing; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let received: Received = job.payload()?;
    let node_id = received.receiver_node_id.as_str();
    let Message::ConsentRequest(request) = received.message()? else {
        return Ok(Commit::nothing());
    };
    let detail = query::request_detail(context.ledger.as_ref(), &request.request_id, None).await?;
    let mut commit = Commit::nothing();
    let Some(detail) = detail else {
        commit.job(failure(node_id, &request, &codes::REQUEST_NOT_FOUND.into()));
        return Ok(commit);
    };
    if detail.has_ended() {
        return Ok(commit);
    }
    if let Err(refusal) = settled(check_requester(&detail, &request.rp_id))? {
        commit.job(failure(node_id, &request, &refusal));
        return Ok(commit);
    }
    let record = row(node_id, &request.request_id);
    let checked = settled(check(node_id, &request, &detail))?;
    if checked.is_ok() && CallbackProgress::load(context, &record).await?.is_some() {
        return Ok(commit);
    }
    if checked.is_ok() || is_new(context, &record).await? {
        let message = received.message.clone().into_bytes();
        commit.write(Write::put(Table::ConsentRequest, &record, message));
    }
    if let Err(refusal) = checked {
        commit.job(failure(node_id, &request, &refusal));
        return Ok(commit);
    }
    if !dcontract::applies(&context.config, &request) {
        let shown = show(context, node_id, &request, &detail).await?;
        if !shown.jobs.is_empty() {
            commit.write(CallbackProgress::All.save(&record));
        }
        commit.merge(shown);
        return Ok(commit);
    }
    let contract = Contract {
        node_id: node_id.to_owned(),
        request_id: request.request_id.clone(),
        verified: 0,
    };
    match dcontract::places(&request.request_message).as_deref() {
        Ok([first, ..]) => {
            let updates = Vec::new();
            commit.write(CallbackProgress::Not { updates }.save(&record));
            commit.job(contract.fetch(first));
        }
        Ok([]) => {}
        Err(reason) => {
            let reason = reason.to_string();
            commit.merge(refuse(context, node_id, &request, &reason).await?);
            commit.write(CallbackProgress::All.save(&record));
        }
    }
    Ok(commit)
}

/// Tells the client application of the request, if it has set a URL.
///
/// # Errors
/// Temporary when the store does not answer.
pub(super) async fn show(
    context: &Context,
    node_id: &str,
    request: &ConsentRequest,
    detail: &RequestDetail,
) -> Result<Commit, Error> {
    let mut commit = Commit::nothing();
    let url = context
        .state
        .get(Table::CallbackUrl, ROLE, URL_NAME)
        .await?;
    if url.is_none() {
        tracing::warn!(request_id = %request.request_id, "no {URL_NAME} is set: the client application does not hear of this request");
        return Ok(commit);
    }
    commit.job(incoming_request(node_id, request, detail));
    Ok(commit)
}

async fn is_new(context: &Context, record: &str) -> Result<bool, Error> {
    let kept = context.state.get(Table::ConsentRequest, record, "").await?;
    Ok(kept.is_none())
}

fn check(node_id: &str, request: &ConsentRequest, detail: &RequestDetail) -> Result<(), Error> {
    let identity = request
        .namespace
        .as_deref()
        .zip(request.identifier.as_deref());
    let consent = ConsentText {
        identity,
        request_message: &request.request_message,
        request_message_salt: &request.request_message_salt,
        initial_salt: &request.initial_salt,
    };
    check_consent(detail, &consent)?;
    require(detail.idp_id_list.iter().any(|idp_id| idp_id == node_id))
}

pub(super) fn failure(node_id: &str, request: &ConsentRequest, error: &Refusal) -> NewJob {
    let request_id = Some(request.request_id.as_str());
    error_job(ROLE, Some(node_id), PROCESS_MESSAGE, request_id, error)
}

/// spec/http-api.md 4.6
fn incoming_request(node_id: &str, request: &ConsentRequest, detail: &RequestDetail) -> NewJob {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    let services: Vec<Value> = request.data_request_list.iter().map(service).collect();
    set("node_id", node_id.into());
    set("type", "incoming_request".into());
    set("mode", request.mode.into());
    set("request_id", request.request_id.as_str().into());
    set("request_message", request.request_message.as_str().into());
    set(
        "request_message_hash",
        detail.request_message_hash.as_str().into(),
    );
    set(
        "request_message_salt",
        request.request_message_salt.as_str().into(),
    );
    set("requester_node_id", request.rp_id.as_str().into());
    set("min_ial", Value::Number(request.min_ial.clone()));
    set("min_aal", Value::Number(request.min_aal.clone()));
    set("data_request_list", services.into());
    set("initial_salt", request.initial_salt.as_str().into());
    set("request_type", request.request_type.clone().into());
    set("creation_time", request.creation_time.into());
    set(
        "creation_block_height",
        format!("{}:{}", request.chain_id, request.height).into(),
    );
    set("request_timeout", request.request_timeout.into());
    match &request.reference_group_code {
        Some(code) => {
            set("reference_group_code", code.as_str().into());
        }
        None => {
            set("namespace", request.namespace.clone().into());
            set("identifier", request.identifier.clone().into());
        }
    }
    let target = CallbackTarget::Setting {
        role: ROLE.to_owned(),
        name: URL_NAME.to_owned(),
    };
    // As long as the user can still answer (F39). The replaced system intends this
    // too, but gives up after ten minutes.
    let persistence = Persistence::UntilRequestEnds {
        request_id: request.request_id.clone(),
    };
    callback_job(target, &request.request_id, body, persistence, None)
}

fn service(requested: &crate::mq::message::RequestedService) -> Value {
    let mut service = Map::new();
    service.insert("service_id".into(), requested.service_id.as_str().into());
    if let Some(as_ids) = &requested.as_id_list {
        service.insert("as_id_list".into(), as_ids.clone().into());
    }
    if let Some(min_as) = requested.min_as {
        service.insert("min_as".into(), min_as.into());
    }
    Value::Object(service)
}
