//! Closes a request that is complete or cannot succeed (spec/flows.md 2.7).

use super::close_request;
use super::stored::StoredRequest;
use super::validity::all_valid;
use crate::config::Runtime;
use crate::context::Context;
use crate::error::Error;
use crate::flows::request_status::Validity;
use crate::flows::status;
use crate::job::Commit;
use crate::ledger::types::RequestDetail;

/// What made the node look. Decides whether the transaction waits for tokens
/// (spec/flows.md 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseCause {
    /// An IdP's message.
    IdpResponse,
    /// A block.
    Block,
}

/// Closes the request if its status and the settings say so, once.
///
/// # Errors
/// Those of signing.
pub(super) async fn close(
    context: &Context,
    stored: &mut StoredRequest,
    detail: &RequestDetail,
    validity: &Validity,
    cause: CloseCause,
) -> Result<Commit, Error> {
    let runtime = &context.config.runtime;
    if stored.progress.closing || !is_wanted(runtime, detail, validity) {
        return Ok(Commit::nothing());
    }
    let mut transact =
        close_request::transaction(&stored.of, validity, None).resend_when_disabled();
    if cause == CloseCause::IdpResponse {
        transact = transact.retry_on_shortage();
    }
    let commit = crate::delivery::transaction::transact(context, transact).await?;
    stored.progress.closing = true;
    Ok(commit)
}

fn is_wanted(runtime: &Runtime, detail: &RequestDetail, validity: &Validity) -> bool {
    if detail.has_ended() {
        return false;
    }
    let if_valid = |flag| Runtime::is_on(flag) && all_valid(detail, validity);
    match status::derive(detail) {
        status::COMPLETED => if_valid(&runtime.auto_close_completed),
        status::REJECTED => if_valid(&runtime.auto_close_rejected),
        status::COMPLICATED => if_valid(&runtime.auto_close_complicated),
        status::ERRORED => Runtime::is_on(&runtime.auto_close_errored),
        _ => false,
    }
}
