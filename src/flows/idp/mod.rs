//! What an IdP does (spec/flows.md 3).

pub mod consent_request;
mod dcontract;
pub mod error_response;
pub mod padded_hash;
pub mod request_update;
pub mod respond;
pub mod response_created;

#[cfg(test)]
mod tests;

use crate::error::{Error, codes};
use crate::flows::row;
use crate::job::Table;
use crate::mq::message::{ConsentRequest, Message};
use crate::node::Context;

/// Role of the callback settings used here; on a proxy too.
const ROLE: &str = "idp";

/// The consent request as it was received.
///
/// # Errors
/// 20038 when this node never received it.
async fn received_request(
    context: &Context,
    node_id: &str,
    request_id: &str,
) -> Result<ConsentRequest, Error> {
    let record = context
        .state
        .get(Table::ConsentRequest, &row(node_id, request_id), "")
        .await?
        .ok_or(codes::UNKNOWN_CONSENT_REQUEST)?;
    match serde_json::from_slice(&record) {
        Ok(Message::ConsentRequest(request)) => Ok(request),
        Ok(other) => Err(unreadable(format!("a {}", other.type_name()))),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

fn unreadable(found: String) -> Error {
    Error::with_message(
        codes::UNKNOWN_ERROR,
        format!("stored consent request: {found}"),
    )
}
