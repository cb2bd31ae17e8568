//! Endpoints of a node under development only: direct calls of the ledger, and
//! samples of callbacks (spec/http-api.md 3.10).

mod error_callback;
mod query;
pub(super) mod transact;

use crate::api::Endpoint;

pub fn endpoints() -> Vec<Endpoint> {
    let mut all = vec![query::endpoint(), transact::endpoint()];
    all.extend(error_callback::endpoints());
    all
}
