//! What an AS does (spec/flows.md 4).

pub mod callback_answer;
pub mod data_request;
pub mod error;
pub mod payment_log;
mod pending;
pub mod request_update;
pub mod respond;
pub mod response_created;
mod schema;
pub mod service;
pub(super) mod service_price;
pub mod sign_data;

#[cfg(test)]
mod tests;

use serde::Deserialize;

/// Role of the callback settings used here; on a proxy too.
pub(super) const ROLE: &str = "as";

/// Action of `error` callbacks about messages and what follows from them.
const PROCESS_MESSAGE: &str = "as.processMessage";

/// Path of a call about the data that a request wants of a service.
#[derive(Deserialize)]
struct Wanted {
    request_id: String,
    service_id: String,
}

/// `action` of errors met after the client application answered a data request.
const ACTION_AFTER_CALLBACK: &str = "afterGotDataFromCallback";
