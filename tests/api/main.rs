//! The HTTP API from outside, with fakes behind it; and callbacks to local receivers.

mod admin;
mod bad_input;
mod bodies;
mod callbacks;
mod calls;
mod endpoints;
mod fakes;
mod log_fields;
mod look_ups;
mod metrics;
mod network;
mod openapi;
mod pipeline;
mod readiness;
#[path = "../support/recorded_calls.rs"]
mod recorded_calls;
mod recordings;
mod rubbish;
mod storing;
mod successes;
