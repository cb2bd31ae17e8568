//! The HTTP API of the node in all its versions, and its server for operators
//! (spec/http-api.md).
//!
//! [`serve`] runs every request through one pipeline ([`pipeline`]): body, API
//! key, server information, settings, readiness, routing, role, schema, acting
//! node. The endpoints are given to it ([`crate::api::Endpoint`]); what a call
//! wants stored is stored here, with one `accept`, before the client hears of it.

mod access_log;
pub mod admin;
mod answer;
mod body;
mod chart;
mod dispatch;
mod information;
mod listening;
mod long_heads;
mod own_endpoints;
mod own_metrics;
mod pipeline;
mod process_metrics;
mod query_string;
mod readiness;
mod repeats;
mod replaced_metrics;
mod routes;
mod server;
mod settings;
mod waiting;

#[cfg(test)]
pub(crate) use body::read_anything;
pub use information::{MessageQueueService, ProcessStatus};
pub use listening::{Listening, ServerHandle, serve as listen};
pub use own_endpoints::own_endpoints;
pub use readiness::Readiness;
pub use routes::{PathParameters, Route, RouteMatch, Routes, segments};
pub use server::{ReloadKeys, ServerOptions, serve};
pub use waiting::{PATIENCE, WaitingCalls};
