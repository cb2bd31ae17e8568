//! What an RP's client hears of its request.

use serde_json::Map;

use super::stored::Stored;
use crate::context::Context;
use crate::delivery::callback::{Persistence, Target, callback_job, error_job};
use crate::error::Refusal;
use crate::flows::request_status::{self, Validity};
use crate::job::NewJob;
use crate::ledger::types::RequestDetail;

/// Action of `error` callbacks about messages and what follows from them.
pub(super) const PROCESS_MESSAGE: &str = "rp.processMessage";

/// The `request_status` callback of a height, unless the client has got it.
pub(super) fn status(
    context: &Context,
    stored: &mut Stored,
    detail: &RequestDetail,
    height: u64,
    validity: &Validity,
) -> Option<NewJob> {
    let progress = &mut stored.progress;
    if !progress.reported.insert(height) {
        return None;
    }
    if progress.reported.last() == Some(&height) {
        progress.reported_answers = detail.response_list.len();
    }
    let node_id = &stored.of.node_id;
    let body = request_status::body(context, node_id, detail, height, Some(validity));
    Some(to_client(
        &stored.request.callback_url,
        &stored.of.request_id,
        body,
    ))
}

fn to_client(url: &str, request_id: &str, body: Map<String, serde_json::Value>) -> NewJob {
    let target = Target::Url(url.to_owned());
    callback_job(target, request_id, body, Persistence::Timed, None)
}

/// The `error` callback for something that went wrong with a request without
/// undoing what was done before.
pub(super) fn error(stored: &Stored, action: &str, error: &Refusal) -> NewJob {
    let of = &stored.of;
    error_job("rp", Some(&of.node_id), action, Some(&of.request_id), error)
}
