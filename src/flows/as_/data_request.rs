//! An RP asks for data (spec/flows.md 4.3).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{PROCESS_MESSAGE, ROLE, service};
use crate::context::{Context, row};
use crate::crypto::{accessor, hash};
use crate::delivery::callback::{
    CallbackTarget, DataRequestRef, Persistence, callback_job, error_job,
};
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::dispatch::{Flow, node_of_message};
use crate::flows::integrity::{ConsentText, check_consent, check_requester, require};
use crate::flows::levels;
use crate::job::{Commit, Job, NewJob, Table, Write};
use crate::ledger::query;
use crate::ledger::types::RequestDetail;
use crate::messaging::Received;
use crate::messaging::to_role;
use crate::mq::message::{DataRequest, Message, ResponsePrivateData, ServiceDataRequest};

pub(in crate::flows) const FLOW: Flow = Flow::new(to_role::DATA_REQUEST, |context, job| {
    Box::pin(handle(context, job))
})
.told(ROLE, PROCESS_MESSAGE)
.for_node(node_of_message);

/// Prefix of the columns that name the services that the client application was
/// asked for. They stay until the request ends: an application that refused is not
/// asked again.
const ASKED: &str = "asked:";

/// Handler of `as.data_request`. Asks the client application once per service,
/// however often the RP sends the request. Keeps a request that fails its checks
/// until it ends, but never instead of another one: pending services are answered
/// with the kept request.
///
/// # Errors
/// Those of ledger and store; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let received: Received = job.payload()?;
    let node_id = received.receiver_node_id.as_str();
    let Message::DataRequest(request) = received.message()? else {
        return Ok(Commit::nothing());
    };
    let request_id = request.request_id.as_str();
    let detail = query::request_detail(context.ledger.as_ref(), request_id, None).await?;
    let Some(detail) = detail else {
        return Ok(failure(
            node_id,
            request_id,
            &codes::REQUEST_NOT_FOUND.into(),
        ));
    };
    if detail.has_ended() {
        return Ok(Commit::nothing());
    }
    if let Err(refusal) = settled(check_requester(&detail, &request.rp_id))? {
        return Ok(failure(node_id, request_id, &refusal));
    }
    let record = row(node_id, request_id);
    let asked = settled(ask(context, node_id, &request, &detail).await)?;
    let is_kept = asked.is_ok() || is_new(context, &record).await?;
    let mut commit = match asked {
        Ok(asked) => asked,
        Err(refusal) => failure(node_id, request_id, &refusal),
    };
    if is_kept {
        let message = received.message.into_bytes();
        commit.write(Write::put(Table::DataRequest, record, message));
    }
    Ok(commit)
}

fn failure(node_id: &str, request_id: &str, error: &Refusal) -> Commit {
    let mut commit = Commit::nothing();
    let request_id = Some(request_id);
    commit.job(error_job(
        ROLE,
        Some(node_id),
        PROCESS_MESSAGE,
        request_id,
        error,
    ));
    commit
}

async fn is_new(context: &Context, record: &str) -> Result<bool, Error> {
    let kept = context.state.get(Table::DataRequest, record, "").await?;
    Ok(kept.is_none())
}

async fn ask(
    context: &Context,
    node_id: &str,
    request: &DataRequest,
    detail: &RequestDetail,
) -> Result<Commit, Error> {
    check_integrity(node_id, request, detail)?;
    check_answers(context, request, detail).await?;
    let record = row(node_id, &request.request_id);
    let pending = context
        .state
        .columns(Table::PendingDataRequest, &record)
        .await?;
    let mut commit = Commit::nothing();
    // The RP's list may name a service more than once.
    let mut seen = HashSet::new();
    for wanted in &request.service_data_request_list {
        let service_id = wanted.service_id.as_str();
        if !seen.insert(service_id)
            || pending.iter().any(|(column, _)| column == service_id)
            || has_answered(node_id, service_id, detail)
        {
            continue;
        }
        let asked = format!("{ASKED}{service_id}");
        let state = context.state.as_ref();
        if state
            .get(Table::DataRequest, &record, &asked)
            .await?
            .is_some()
        {
            continue;
        }
        if service::url(context, node_id, service_id).await?.is_none() {
            tracing::warn!(request_id = %request.request_id, service_id, "no URL is set: the client application is not asked for the data");
            continue;
        }
        commit.write(Write::put_column(
            Table::PendingDataRequest,
            &record,
            service_id,
            request.rp_id.clone().into_bytes(),
        ));
        commit.write(Write::put_column(
            Table::DataRequest,
            &record,
            asked,
            Vec::new(),
        ));
        commit.job(callback(node_id, request, wanted, detail));
    }
    Ok(commit)
}

fn has_answered(node_id: &str, service_id: &str, detail: &RequestDetail) -> bool {
    let answers = detail
        .service(service_id)
        .map(|service| &service.response_list);
    answers.is_some_and(|answers| answers.iter().any(|answer| answer.as_id == node_id))
}

fn check_integrity(
    node_id: &str,
    request: &DataRequest,
    detail: &RequestDetail,
) -> Result<(), Error> {
    let consent = ConsentText {
        identity: Some((&request.namespace, &request.identifier)),
        request_message: &request.request_message,
        request_message_salt: &request.request_message_salt,
        initial_salt: &request.initial_salt,
    };
    check_consent(detail, &consent)?;
    for wanted in &request.service_data_request_list {
        let service = detail
            .service(&wanted.service_id)
            .ok_or(codes::REQUEST_INTEGRITY_CHECK_FAILED)?;
        let params_hash = hash::request_params_hash(
            wanted.request_params.as_deref(),
            &wanted.request_params_salt,
        );
        require(params_hash == service.request_params_hash)?;
        require(service.as_id_list.iter().any(|as_id| as_id == node_id))?;
    }
    Ok(())
}

/// Whether the IdPs have consented (spec/messaging-and-crypto.md 4.3).
async fn check_answers(
    context: &Context,
    request: &DataRequest,
    detail: &RequestDetail,
) -> Result<(), Error> {
    let enough = detail.answers().count() as u64 == detail.min_idp;
    if !enough {
        return Err(codes::INVALID_RESPONSES.into());
    }
    if detail.mode == 1 {
        return Ok(());
    }
    let identifier_hash = hash::identifier_hash(&request.identifier);
    let group = query::reference_group_code(
        context.ledger.as_ref(),
        &request.namespace,
        &identifier_hash,
    )
    .await?;
    let mut seen = HashSet::new();
    for answer in &request.response_private_data_list {
        if seen.insert(answer)
            && !is_valid(context, request, detail, answer, group.as_deref()).await?
        {
            return Err(codes::INVALID_RESPONSES.into());
        }
    }
    Ok(())
}

async fn is_valid(
    context: &Context,
    request: &DataRequest,
    detail: &RequestDetail,
    answer: &ResponsePrivateData,
    group: Option<&str>,
) -> Result<bool, Error> {
    let ledger = context.ledger.as_ref();
    let Some(accessor_id) = answer.accessor_id.as_deref() else {
        return Ok(false);
    };
    let group_of_accessor = query::reference_group_code_of_accessor(ledger, accessor_id).await?;
    if group.is_none() || group_of_accessor.as_deref() != group {
        return Ok(false);
    }
    let Some(key) = query::accessor_key(ledger, accessor_id)
        .await?
        .filter(|key| key.active)
    else {
        return Ok(false);
    };
    let signature = detail
        .answers()
        .find(|response| response.idp_id == answer.idp_id)
        .and_then(|response| response.signature.as_deref());
    Ok(signature.is_some_and(|signature| {
        accessor::verify(
            &request.request_message,
            &request.initial_salt,
            &request.request_id,
            &key.accessor_public_key,
            signature,
        )
    }))
}

/// spec/http-api.md 4.6
fn callback(
    node_id: &str,
    request: &DataRequest,
    wanted: &ServiceDataRequest,
    detail: &RequestDetail,
) -> NewJob {
    let responses = &detail.response_list;
    let signatures: Vec<Value> = responses
        .iter()
        .map(|response| response.signature.clone().into())
        .collect();
    let max_aal = levels::highest(
        responses
            .iter()
            .filter_map(|response| response.aal.as_ref()),
    );
    let max_ial = levels::highest(
        responses
            .iter()
            .filter_map(|response| response.ial.as_ref()),
    );
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("node_id", node_id.into());
    set("type", "data_request".into());
    set("request_id", request.request_id.as_str().into());
    set("mode", request.mode.into());
    set("namespace", request.namespace.as_str().into());
    set("identifier", request.identifier.as_str().into());
    set("service_id", wanted.service_id.as_str().into());
    if let Some(request_params) = &wanted.request_params {
        set("request_params", request_params.as_str().into());
    }
    set("requester_node_id", request.rp_id.as_str().into());
    set("response_signature_list", signatures.into());
    set("max_aal", max_aal.cloned().into());
    set("max_ial", max_ial.cloned().into());
    set("request_type", detail.request_type.clone().into());
    set("creation_time", request.creation_time.into());
    set("creation_block_height", detail.creation_block().into());
    set("request_timeout", request.request_timeout.into());
    let target = CallbackTarget::Service {
        node_id: node_id.to_owned(),
        service_id: wanted.service_id.clone(),
    };
    let persistence = Persistence::UntilRequestEnds {
        request_id: request.request_id.clone(),
    };
    let answer_to = DataRequestRef {
        node_id: node_id.to_owned(),
        request_id: request.request_id.clone(),
        service_id: wanted.service_id.clone(),
    };
    callback_job(
        target,
        &request.request_id,
        body,
        persistence,
        Some(answer_to),
    )
}
