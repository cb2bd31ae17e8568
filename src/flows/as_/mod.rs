//! The flows of an AS (spec/flows.md 4).

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

/// Role of the callback settings, also on a proxy.
pub(super) const ROLE: &str = "as";

/// Action of `error` callbacks about messages and their consequences.
const PROCESS_MESSAGE: &str = "as.processMessage";

/// Path of a call about a request's data of a service.
#[derive(Deserialize)]
struct DataPath {
    request_id: String,
    service_id: String,
}

/// Action of `error` callbacks about the answer to a data request.
const ACTION_AFTER_CALLBACK: &str = "afterGotDataFromCallback";
