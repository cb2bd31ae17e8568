//! Finds a data request that this AS can still answer (spec/flows.md 4.5).

use crate::context::row;
use crate::context::{Context, state};
use crate::error::{Error, codes};
use crate::flows::open_request::open_request;
use crate::job::Table;
use crate::mq::message::Message;

/// The members of a data request that an answer needs.
pub struct PendingDataRequest {
    /// The RP, which gets the answer.
    pub rp_id: String,
    /// Part of the data's salt.
    pub initial_salt: String,
}

/// The checked data request, if this service may still be answered.
///
/// # Errors
/// 20012, 20025, 20026, 20039, 20037, 20082, in this order; those of ledger and store.
pub async fn pending(
    context: &Context,
    node_id: &str,
    request_id: &str,
    service_id: &str,
) -> Result<PendingDataRequest, Error> {
    let detail = open_request(context.ledger.as_ref(), request_id).await?;
    let service = detail
        .service(service_id)
        .ok_or(codes::SERVICE_ID_NOT_FOUND_IN_REQUEST)?;
    let record = row(node_id, request_id);
    let asked = state::load_text(context, Table::PendingDataRequest, &record, service_id).await?;
    let rp_id = asked
        .filter(|rp_id| *rp_id == detail.requester_node_id)
        .ok_or(codes::UNKNOWN_DATA_REQUEST)?;
    let responses = &service.response_list;
    let errors = responses
        .iter()
        .filter(|response| response.error_code.is_some())
        .count();
    let answers = (responses.len() - errors) as u64;
    let outstanding = service.as_id_list.len().saturating_sub(responses.len()) as u64;
    let wanted = service.min_as;
    if wanted > 0 && (answers >= wanted || answers + outstanding < wanted) {
        return Err(codes::ENOUGH_AS_RESPONSE.into());
    }
    match state::load(context, Table::DataRequest, &record, "").await? {
        Some(Message::DataRequest(request)) => Ok(PendingDataRequest {
            rp_id,
            initial_salt: request.initial_salt,
        }),
        _ => Err(codes::UNKNOWN_DATA_REQUEST.into()),
    }
}
