//! The pages. Each is HTML that says everything without a script; the script only
//! puts newer parts in place while somebody looks.

pub(super) mod audit;
mod chart;
pub(super) mod decide;
pub(super) mod glance;
pub(super) mod job;
mod job_table;
pub(super) mod jobs;
mod layout;
pub(super) mod login;
mod parts;
pub(super) mod queue;
pub(super) mod receivers;
pub(super) mod request;

use std::sync::Arc;

use actix_web::http::StatusCode;
use bytes::Bytes;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::api::Problem;
use super::door::Visitor;
use super::reply::Reply;
use super::seen::{LastLook, Live};

/// What every page needs.
pub(super) struct Frame {
    pub seen: Arc<LastLook>,
    pub visitor: Visitor,
    /// What the last decision led to.
    pub done: Option<String>,
}

/// The newer parts of a page, as one event for its script.
pub(super) fn frame(live: Live, seen: &LastLook) -> Bytes {
    let parts = match live {
        Live::Glance => glance::parts(seen),
        Live::Queue => queue::parts(seen),
    };
    let parts = parts.into_iter();
    let parts: Map<String, Value> = parts
        .map(|(name, part)| (name.to_owned(), Value::String(part.into_string())))
        .collect();
    // JSON has no line breaks, which would end the event.
    Bytes::from(format!("event: parts\ndata: {}\n\n", Value::Object(parts)))
}

/// A part that the script replaces.
fn live_part(name: &str, content: &Markup) -> Markup {
    html! { div data-part=(name) { (content) } }
}

pub(super) fn nothing_there(frame: &Frame) -> Reply {
    let content = html! {
        p { "There is no such page." }
        p { a href="/" { "Back to the node" } }
    };
    Reply::page(layout::page(frame, "Nothing here", "", &content))
        .with_status(StatusCode::NOT_FOUND)
}

/// For visitors who may not enter.
pub(super) fn refused(reason: &str) -> Reply {
    let content = html! {
        p.alert role="alert" { "This was refused: " (reason) "." }
        p { a href="/" { "Back" } }
    };
    Reply::page(layout::bare("Refused", &content))
}

/// A page whose content cannot be had now.
fn problem(frame: &Frame, title: &str, at: &str, problem: &Problem) -> Reply {
    let content = html! {
        p.alert role="alert" { (problem.reason) }
        p { a href=(at) { "Try again" } }
    };
    Reply::page(layout::page(frame, title, at, &content)).with_status(problem.status)
}
