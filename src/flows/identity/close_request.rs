//! `POST /identity_request/request_close`: the client gives up a request for
//! consent, and with it the operation.

use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoPath, Texts};
use crate::error::Error;
use crate::flows::rp::close_request::{CloseRequest, close_request};

pub fn endpoint() -> Endpoint {
    Endpoint::post("/identity_request/request_close", Audience::Idp)
        .does("Closes the request that asks the user's other IdPs for consent.")
        .ends()
        .body::<CloseRequest>()
        .run(run)
}

async fn run(call: ApiCall<NoPath, Texts, CloseRequest>) -> Result<CallOutcome, Error> {
    Ok(CallOutcome::started(close_request(
        &call.node_id,
        call.body,
    )))
}
