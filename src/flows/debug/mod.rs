//! What only a node under development serves: the ledger asked directly, and
//! samples of callbacks (spec/http-api.md 3.10).

mod error_callback;
mod query;
pub(super) mod transact;

use crate::api::Endpoint;

/// The table entries.
pub fn endpoints() -> Vec<Endpoint> {
    let mut all = vec![query::endpoint(), transact::endpoint()];
    all.extend(error_callback::endpoints());
    all
}
