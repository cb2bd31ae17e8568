//! What an endpoint of the HTTP API is: a table entry that a flow declares
//! beside its code, and the call and outcome that pass between HTTP and flow.
//!
//! [`Endpoint`] says everything about an endpoint: method, path, audience,
//! input, and what runs. `flows::endpoints` lists all of them; `http` serves
//! whatever list it is given.

mod answered;
mod call;
pub mod date_time;
mod duplicates;
mod endpoint;
mod example;
mod faults;
pub mod openapi;
mod outcome;
mod schema;
mod shape;
mod success;
mod unique_by;
pub mod versions;

pub use crate::config::ApiVersion;
pub use answered::{Answered, EXPIRED, REPEAT, expire, forget};
pub use call::{Call, NoBody, NoPath, NoQuery, RawCall, Texts};
pub use endpoint::{Audience, Builder, Endpoint, Method, Needs, Run, Undescribed};
pub use outcome::Outcome;
pub use schema::{Schema, url};
pub use success::{Success, SuccessBody};
