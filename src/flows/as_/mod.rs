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
pub mod sign_data;

#[cfg(test)]
mod tests;

/// Role of the callback settings used here; on a proxy too.
pub(super) const ROLE: &str = "as";

/// `action` of errors met after the client application answered a data request.
const ACTION_AFTER_CALLBACK: &str = "afterGotDataFromCallback";
