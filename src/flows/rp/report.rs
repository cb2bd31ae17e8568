//! Callbacks about an RP's request.

use serde_json::Map;

use super::ROLE;
use super::stored::StoredRequest;
use crate::context::Context;
use crate::delivery::callback::{CallbackTarget, Persistence, callback_job, error_job};
use crate::error::Refusal;
use crate::flows::dispatch;
use crate::flows::request_status::{self, Validity};
use crate::job::NewJob;
use crate::ledger::types::RequestDetail;

/// Action of `error` callbacks about messages and what follows from them.
pub(in crate::flows) const PROCESS_MESSAGE: &str = "rp.processMessage";

/// The `request_status` callback of a height, unless the client has got it.
pub(super) fn status(
    context: &Context,
    stored: &mut StoredRequest,
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
    let target = CallbackTarget::Url(url.to_owned());
    callback_job(target, request_id, body, Persistence::Timed, None)
}

/// The `error` callback about a failure that does not undo earlier work on a
/// request.
pub(in crate::flows) fn error(stored: &StoredRequest, action: &str, error: &Refusal) -> NewJob {
    let of = &stored.of;
    let (role, action) = match stored.request.operation {
        None => (ROLE, action),
        Some(_) => dispatch::of_requesting_idp(action),
    };
    error_job(role, Some(&of.node_id), action, Some(&of.request_id), error)
}
