//! The AS was paid (spec/flows.md 4.7).

use crate::error::{Error, codes};
use crate::ledger::query;
use crate::node::Context;

/// Checks that there is such a data request; it may have ended.
///
/// # Errors
/// 20012, 20039; those of the ledger.
pub async fn check(context: &Context, request_id: &str, service_id: &str) -> Result<(), Error> {
    let detail = query::request_detail(context.ledger.as_ref(), request_id, None)
        .await?
        .ok_or(codes::REQUEST_NOT_FOUND)?;
    match detail.service(service_id) {
        Some(_) => Ok(()),
        None => Err(codes::SERVICE_ID_NOT_FOUND_IN_REQUEST.into()),
    }
}
