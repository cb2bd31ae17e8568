//! Asking the ASes (spec/flows.md 2.4).

use super::receivers;
use super::stored::{RequestRecord, StoredRequest, StoredService};
use crate::context::Context;
use crate::error::Error;
use crate::job::{Commit, Millis};
use crate::ledger::query;
use crate::messaging::outbound;
use crate::messaging::outbound::Receiver;
use crate::mq::message::{DataRequest, Message, ResponsePrivateData, ServiceDataRequest};

/// The block that completed the consent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConsentBlock {
    /// Its chain.
    pub chain_id: String,
    /// Its height.
    pub height: u64,
}

/// ASes that are asked for the same services and so get the same message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AsGroup {
    /// Positions in the request's list of services.
    pub services: Vec<usize>,
    /// Who gets it.
    pub receivers: Vec<Receiver>,
}

/// Sends a `data_request` to every AS that can be reached.
///
/// # Errors
/// Those of the ledger and of [`outbound::send`].
pub(super) async fn send(
    context: &Context,
    stored: &StoredRequest,
    private_data: Vec<ResponsePrivateData>,
    position: ConsentBlock,
) -> Result<Commit, Error> {
    let request = &stored.request;
    let mut providers = Vec::new();
    for service in &request.data_request_list {
        providers.push(reachable(context, request, service).await?);
    }
    // Without a creation `rp.request_created` has not run yet.
    let creation_time = stored
        .progress
        .creation
        .as_ref()
        .map_or_else(|| Millis::now().0, |creation| creation.time);
    let mut commit = Commit::nothing();
    for group in groups(&providers) {
        let message = message(
            &stored.of.node_id,
            request,
            &group.services,
            private_data.clone(),
            creation_time,
            position.clone(),
        );
        let node_id = &stored.of.node_id;
        commit.merge(outbound::send(context, node_id, &group.receivers, &message).await?);
    }
    Ok(commit)
}

async fn reachable(
    context: &Context,
    request: &RequestRecord,
    service: &StoredService,
) -> Result<Vec<Receiver>, Error> {
    let ledger = context.ledger.as_ref();
    let found = query::as_nodes_info(ledger, &service.service_id, &service.as_id_list).await?;
    let receivers: Vec<Receiver> = found.into_iter().filter_map(receivers::of_as).collect();
    if receivers.is_empty() {
        tracing::warn!(
            request_id = request.request_id,
            service_id = service.service_id,
            "no AS of the service can be reached"
        );
    }
    Ok(receivers)
}

/// Groups the ASes by the services that they are asked for.
pub(super) fn groups(providers: &[Vec<Receiver>]) -> Vec<AsGroup> {
    let mut by_receiver: Vec<(Receiver, Vec<usize>)> = Vec::new();
    for (service, receivers) in providers.iter().enumerate() {
        for receiver in receivers {
            let known = by_receiver
                .iter_mut()
                .find(|(known, _)| known.node_id == receiver.node_id);
            match known {
                Some((_, services)) => services.push(service),
                None => by_receiver.push((receiver.clone(), vec![service])),
            }
        }
    }
    let mut groups: Vec<AsGroup> = Vec::new();
    for (receiver, services) in by_receiver {
        match groups.iter_mut().find(|group| group.services == services) {
            Some(group) => group.receivers.push(receiver),
            None => groups.push(AsGroup {
                services,
                receivers: vec![receiver],
            }),
        }
    }
    groups
}

/// The message for these services (spec/messaging-and-crypto.md 4.3).
pub(super) fn message(
    node_id: &str,
    request: &RequestRecord,
    services: &[usize],
    response_private_data_list: Vec<ResponsePrivateData>,
    creation_time: u64,
    position: ConsentBlock,
) -> Message {
    let service_data_request_list = services
        .iter()
        .map(|index| &request.data_request_list[*index])
        .map(|service| ServiceDataRequest {
            service_id: service.service_id.clone(),
            request_params: service.request_params.clone(),
            request_params_salt: service.request_params_salt.clone(),
        })
        .collect();
    Message::DataRequest(DataRequest {
        request_id: request.request_id.clone(),
        mode: request.mode,
        namespace: request.namespace.clone(),
        identifier: request.identifier.clone(),
        service_data_request_list,
        request_message: request.request_message.clone(),
        request_message_salt: request.request_message_salt.clone(),
        response_private_data_list,
        creation_time,
        request_timeout: request.request_timeout,
        rp_id: node_id.to_owned(),
        initial_salt: request.initial_salt.clone(),
        chain_id: position.chain_id,
        height: position.height,
    })
}
