//! The status of a request, derived by every node for itself (spec/ledger.md 6.3).

use crate::ledger::types::RequestDetail;

/// `pending`, `confirmed`, `rejected`, `complicated`, `completed`,
/// `partial_completed` or `errored`.
pub fn derive(_request: &RequestDetail) -> &'static str {
    "pending"
}
