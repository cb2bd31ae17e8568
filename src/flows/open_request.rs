//! A request that can still be answered.

use crate::error::{Error, codes};
use crate::ledger::types::RequestDetail;
use crate::ledger::{Ledger, query};

/// The request as the ledger has it now.
///
/// # Errors
/// 20012 unknown, 20025 closed, 20026 timed out; those of the ledger.
pub async fn open_request(ledger: &dyn Ledger, request_id: &str) -> Result<RequestDetail, Error> {
    let detail = query::request_detail(ledger, request_id, None)
        .await?
        .ok_or(codes::REQUEST_NOT_FOUND)?;
    if detail.closed {
        return Err(codes::REQUEST_IS_CLOSED.into());
    }
    if detail.timed_out {
        return Err(codes::REQUEST_IS_TIMED_OUT.into());
    }
    Ok(detail)
}
