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

/// A result callback (spec/http-api.md 4.5).
pub(super) struct OperationResult<'a> {
    /// For example `close_request_result`.
    pub kind: &'a str,
    /// Whose request.
    pub node_id: &'a str,
    /// Which.
    pub request_id: &'a str,
    /// Of the call.
    pub reference_id: &'a str,
    /// Of the call.
    pub callback_url: &'a str,
    /// `<chain>:<height>` of a created request.
    pub creation_block_height: Option<String>,
    /// Why it failed.
    pub error: Option<&'a Refusal>,
}

impl OperationResult<'_> {
    /// The job that delivers it.
    pub(super) fn job(self) -> NewJob {
        let mut body = Map::new();
        body.insert("node_id".into(), self.node_id.into());
        body.insert("type".into(), self.kind.into());
        body.insert("success".into(), self.error.is_none().into());
        body.insert("reference_id".into(), self.reference_id.into());
        body.insert("request_id".into(), self.request_id.into());
        if let Some(height) = self.creation_block_height {
            body.insert("creation_block_height".into(), height.into());
        }
        if let Some(error) = self.error {
            body.insert("error".into(), error.to_json());
        }
        to_client(self.callback_url, self.request_id, body)
    }
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
