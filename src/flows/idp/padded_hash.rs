//! What the user's accessor key is to sign (spec/flows.md 3.2).

use super::received_request;
use super::respond::active_accessor_key;
use crate::crypto::accessor;
use crate::error::{Error, codes};
use crate::flows::open_request::open_request;
use crate::node::Context;

/// `request_message_padded_hash` of a request for an accessor.
///
/// # Errors
/// 20012, 20025, 20026, 20075 (mode 1), 20038, 20011, in this order; 20040 for
/// a key that cannot be read; those of ledger and store.
pub async fn padded_hash(
    context: &Context,
    node_id: &str,
    request_id: &str,
    accessor_id: &str,
) -> Result<String, Error> {
    let detail = open_request(context.ledger.as_ref(), request_id).await?;
    if detail.mode == 1 {
        return Err(codes::NOT_MODE_2_OR_3_REQUEST.into());
    }
    let request = received_request(context, node_id, &detail).await?;
    let key = active_accessor_key(context, accessor_id).await?;
    accessor::padded_hash(
        &request.request_message,
        &request.initial_salt,
        request_id,
        &key,
    )
}
