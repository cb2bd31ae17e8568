//! The flows of an RP (spec/flows.md 2). All jobs that touch the state of one
//! request run under its key, one at a time (spec/flows.md 10.1).

pub mod as_response;
pub mod auto_close;
pub mod close_request;
pub mod create_request;
pub mod data_received;
pub mod data_request;
pub mod idp_response;
mod idps;
pub mod look_ups;
pub(in crate::flows) mod message;
mod receivers;
pub(super) mod report;
pub mod request_created;
pub mod request_update;
mod services;
pub mod stored;
pub mod time_out;
mod validity;

#[cfg(test)]
mod tests;

/// The role's name in callback settings.
pub(super) const ROLE: &str = "rp";
