//! The transaction that creates a request has settled (spec/flows.md 2.1, 2.2).

use std::time::Duration;

use super::report::PROCESS_MESSAGE;
use super::stored::{ConsentGroup, RequestCreation, RequestRecord, RequestRef, StoredRequest};
use super::{ROLE, report};
use crate::context::Context;
use crate::error::{Error, Refusal, settled};
use crate::flows::dispatch::Flow;
use crate::flows::identity::consent;
use crate::flows::ledger_call::settlement;
use crate::flows::reply::ReplyTo;
use crate::flows::rp;
use crate::job::{Commit, Job, Kind, Millis, NewJob, Spec, request_key};
use crate::messaging::outbound;
use crate::mq::message::{ConsentRequest, Message, RequestedService};

/// The transaction that creates a request has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(4, "rp.request_created"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job))).told(ROLE, PROCESS_MESSAGE);

/// Longest wait of a timer; a longer `request_timeout` never ends.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Handler of `rp.request_created`.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let (of, settled) = settlement::<RequestRef>(job)?;
    let Some(stored) = StoredRequest::load(context, of).await? else {
        return Ok(Commit::nothing());
    };
    match settled {
        Ok(height) => created(context, stored, height).await,
        Err(refusal) => Ok(refused(&stored, &refusal)),
    }
}

/// The request is on the ledger. It stays stored whatever fails from here on
/// (spec/flows.md 2.1, MUST).
async fn created(
    context: &Context,
    mut stored: StoredRequest,
    height: u64,
) -> Result<Commit, Error> {
    let creation = RequestCreation {
        time: Millis::now().0,
        chain_id: context.ledger.chain_id()?,
        height,
    };
    let mut commit = Commit::nothing();
    for group in &stored.request.consent_groups {
        let message = consent_request(&stored.of.node_id, &stored.request, group, &creation);
        let node_id = &stored.of.node_id;
        let sent = outbound::send(context, node_id, &group.receivers, &message).await;
        match settled(sent)? {
            Ok(messages) => {
                commit.merge(messages);
            }
            Err(refusal) => {
                commit.job(report::error(&stored, PROCESS_MESSAGE, &refusal));
            }
        }
    }
    let timer = timer(&stored, &creation);
    stored.progress.timer = Some(timer.id);
    commit.job(timer);
    let created = format!("{}:{height}", creation.chain_id);
    stored.progress.creation = Some(creation);
    commit.write(stored.save_progress());
    commit.job(result(&stored.of, &stored.request, Some(created), None));
    Ok(commit)
}

fn timer(stored: &StoredRequest, creation: &RequestCreation) -> NewJob {
    let of = &stored.of;
    let timeout = Duration::from_secs(stored.request.request_timeout).min(LONGEST_TIMEOUT);
    let due = Millis(creation.time).after(timeout);
    NewJob::new(rp::time_out::KIND, request_key(&of.request_id), of).not_before(due)
}

fn refused(stored: &StoredRequest, refusal: &Refusal) -> Commit {
    let mut commit = stored.clean_up();
    commit.job(result(&stored.of, &stored.request, None, Some(refusal)));
    commit
}

/// The `create_request_result` callback, or that of the operation.
pub(super) fn result(
    of: &RequestRef,
    request: &RequestRecord,
    creation_block_height: Option<String>,
    error: Option<&Refusal>,
) -> NewJob {
    if let Some(planned) = &request.operation {
        let outcome = error.map_or(Ok(creation_block_height.unwrap_or_default()), Err);
        return consent::created(&of.node_id, request, &planned.operation, outcome);
    }
    let reply = ReplyTo {
        reference_id: request.reference_id.clone(),
        callback_url: request.callback_url.clone(),
    };
    reply.about_creation(&of.node_id, &of.request_id, creation_block_height, error)
}

/// The message for a group of IdPs (spec/messaging-and-crypto.md 4.1).
pub(super) fn consent_request(
    node_id: &str,
    request: &RequestRecord,
    group: &ConsentGroup,
    creation: &RequestCreation,
) -> Message {
    let services = &request.data_request_list;
    let by_name = group.reference_group_code.is_none();
    Message::ConsentRequest(ConsentRequest {
        namespace: by_name.then(|| request.namespace.clone()),
        identifier: by_name.then(|| request.identifier.clone()),
        reference_group_code: group.reference_group_code.clone(),
        mode: request.mode,
        request_id: request.request_id.clone(),
        min_aal: request.min_aal.clone(),
        min_ial: request.min_ial.clone(),
        request_timeout: request.request_timeout,
        data_request_list: services
            .iter()
            .map(|service| RequestedService {
                service_id: service.service_id.clone(),
                as_id_list: Some(service.as_id_list.clone()),
                min_as: Some(service.min_as),
            })
            .collect(),
        data_request_params_salt_list: services
            .iter()
            .map(|service| service.request_params_salt.clone())
            .collect(),
        request_message: request.request_message.clone(),
        rp_id: node_id.to_owned(),
        request_message_salt: request.request_message_salt.clone(),
        initial_salt: request.initial_salt.clone(),
        request_type: request.request_type.clone(),
        creation_time: creation.time,
        chain_id: creation.chain_id.clone(),
        height: creation.height,
    })
}
