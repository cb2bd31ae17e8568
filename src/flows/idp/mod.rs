//! The flows of an IdP (spec/flows.md 3).

mod callback_progress;
pub mod consent_request;
pub mod contract_checked;
pub mod error_response;
pub mod identity_modified;
pub mod padded_hash;
pub mod request_update;
pub mod respond;
pub mod response_created;

#[cfg(test)]
mod tests;

use crate::context::row;
use crate::context::{Context, state};
use crate::error::{Error, codes};
use crate::job::Table;
use crate::ledger::types::RequestDetail;
use crate::mq::message::{ConsentRequest, Message};

/// Role of the callback settings, also on a proxy.
pub(super) const ROLE: &str = "idp";

/// Action of `error` callbacks about messages and their consequences.
pub(super) const PROCESS_MESSAGE: &str = "idp.processMessage";

/// The consent request of the node that made the request.
///
/// # Errors
/// 20038 when this node never received it; those of the store.
async fn received_request(
    context: &Context,
    node_id: &str,
    detail: &RequestDetail,
) -> Result<ConsentRequest, Error> {
    let record = row(node_id, &detail.request_id);
    match state::load(context, Table::ConsentRequest, &record, "").await? {
        Some(Message::ConsentRequest(request)) if request.rp_id == detail.requester_node_id => {
            Ok(request)
        }
        _ => Err(codes::UNKNOWN_CONSENT_REQUEST.into()),
    }
}
