//! The AS was paid (spec/flows.md 4.7).

use super::DataPath;
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::context::Context;
use crate::error::{Error, codes};
use crate::ledger::query;

pub fn endpoint() -> Endpoint {
    let path = "/as/payment_received_log/:request_id/:service_id";
    Endpoint::post(path, Audience::As)
        .does("Notes that the data of a request was paid for.")
        .path::<DataPath>()
        .run(run)
        .since(ApiVersion::V5)
}

async fn run(call: ApiCall<DataPath>) -> Result<CallOutcome, Error> {
    check(&call.context, &call.path.request_id, &call.path.service_id).await?;
    Ok(CallOutcome::NoContent)
}

/// Checks that the data request exists; it may have ended.
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
