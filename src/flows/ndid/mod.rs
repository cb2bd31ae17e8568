//! What NDID's own node does: it administers the network. All of it is
//! synchronous: the call is answered when the block is in
//! (spec/http-api.md 3.9, spec/flows.md 8).

mod namespaces;

use serde_json::Value;

use super::ledger_call::{Hearer, LedgerCall};
use crate::api::{Audience, Builder, Call, Endpoint, Outcome};
use crate::error::Error;

/// What NDID asks for is decided in the order of its calls.
const KEY: &str = "ndid";

/// The table entries.
pub fn endpoints() -> Vec<Endpoint> {
    namespaces::endpoints().into()
}

/// An endpoint of NDID's node.
fn endpoint(path: &'static str) -> Builder {
    Endpoint::post(path, Audience::Ndid)
        .without_acting_node()
        .begins()
}

/// Makes a transaction of NDID's; the call is answered with `status` when it is
/// in a block.
async fn transact<P, Q, B>(
    call: &Call<P, Q, B>,
    method: &'static str,
    params: Value,
    status: u16,
) -> Result<Outcome, Error> {
    let asked = LedgerCall {
        node_id: call.node_id.clone(),
        method,
        params,
        key: KEY.to_owned(),
        writes: Vec::new(),
        hearer: Hearer::Caller {
            caller: call.caller.clone(),
            status,
        },
    };
    asked.start(&call.context).await
}
