//! `POST /identity_request/request_close`: the client gives up a request for
//! consent, and with it the operation.

use crate::api::{Audience, Call, Endpoint, NoPath, Outcome, Texts};
use crate::error::Error;
use crate::flows::rp::close_request::{CloseRequest, close_request};

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::post("/identity_request/request_close", Audience::Idp)
        .does("Closes the request that asks the user's other IdPs for consent.")
        .ends()
        .body::<CloseRequest>()
        .run(run)
}

async fn run(call: Call<NoPath, Texts, CloseRequest>) -> Result<Outcome, Error> {
    Ok(Outcome::started(close_request(&call.node_id, call.body)))
}
