//! Endpoints of the HTTP API. A flow declares a table entry beside its code; a call
//! passes from HTTP to the flow, an outcome back.
//!
//! [`Endpoint`] describes an endpoint completely: method, path, audience, input and
//! handler. `flows::endpoints` lists all of them; `http` serves the list that it is
//! given.

mod call;
mod call_outcome;
pub mod date_time;
mod duplicates;
mod endpoint;
mod example;
mod faults;
pub mod openapi;
mod schema;
mod settled_answer;
mod shape;
mod success;
mod unique_by;
pub mod versions;

pub use crate::config::ApiVersion;
pub use call::{ApiCall, NoBody, NoPath, NoQuery, RawCall, Texts};
pub use call_outcome::CallOutcome;
pub use endpoint::{
    Audience, Endpoint, EndpointBuilder, EndpointHandler, Method, Needs, Undescribed,
};
pub use schema::{Schema, url};
pub use settled_answer::{EXPIRED, REPEAT, SettledAnswer, expire, forget};
pub use success::{Success, SuccessBody};
