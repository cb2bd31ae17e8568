//! What NDID's own node does: it administers the network. All of it is
//! synchronous: the call is answered when the block is in
//! (spec/http-api.md 3.9, spec/flows.md 7).

mod chain;
mod error_codes;
mod features;
mod levels;
mod modes;
mod namespaces;
mod node_changes;
mod node_list;
mod node_registration;
mod prices;
mod proxies;
mod request_types;
mod service_destinations;
mod services;
mod suppression;
#[cfg(test)]
mod tests;
mod tokens;
mod validators;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ledger_call::{Hearer, LedgerCall};
use crate::api::{Audience, Builder, Call, Endpoint, NoPath, Outcome, Success, Texts};
use crate::error::Error;

/// What NDID asks for is decided in the order of its calls.
const KEY: &str = "ndid";

/// The table entries.
pub fn endpoints() -> Vec<Endpoint> {
    let mut all = Vec::new();
    all.extend(chain::endpoints());
    all.extend(modes::endpoints());
    all.extend(node_registration::endpoints());
    all.extend(node_changes::endpoints());
    all.extend(node_list::endpoints());
    all.extend(tokens::endpoints());
    all.extend(namespaces::endpoints());
    all.extend(services::endpoints());
    all.extend(service_destinations::endpoints());
    all.extend(prices::endpoints());
    all.extend(validators::endpoints());
    all.extend(proxies::endpoints());
    all.extend(levels::endpoints());
    all.extend(error_codes::endpoints());
    all.extend(request_types::endpoints());
    all.extend(suppression::endpoints());
    all.extend(features::endpoints());
    all
}

/// An endpoint of NDID's node.
fn endpoint(path: &'static str, does: &'static str) -> Builder {
    Endpoint::post(path, Audience::Ndid)
        .does(does)
        .without_acting_node()
        .begins()
}

/// An endpoint whose body, once it has passed its schema, is what the ledger is
/// asked for.
fn handed_on<B>(
    path: &'static str,
    does: &'static str,
    method: &'static str,
    status: u16,
) -> Endpoint
where
    B: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static,
{
    endpoint(path, does)
        .body::<B>()
        .answers(Success::empty(status))
        .run(move |call: Call<NoPath, Texts, B>| async move {
            let params = json!(call.body);
            transact(&call, method, params, status).await
        })
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

/// Body that names a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct OfNode {
    /// Its id.
    #[schemars(length(min = 1))]
    node_id: String,
}

/// Body that names something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Name {
    /// Its name.
    #[schemars(length(min = 1))]
    name: String,
}
