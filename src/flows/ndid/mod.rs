//! The flows of NDID's node, which administers the network. All calls are
//! synchronous: the answer comes when the block is committed (spec/http-api.md 3.9,
//! spec/flows.md 7).

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

use super::ledger_call::{LedgerCall, ResultRecipient};
use crate::api::{
    ApiCall, Audience, CallOutcome, Endpoint, EndpointBuilder, NoPath, Success, Texts,
};
use crate::error::Error;

/// NDID's transactions settle in the order of its calls.
const KEY: &str = "ndid";

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
fn endpoint(path: &'static str, does: &'static str) -> EndpointBuilder {
    Endpoint::post(path, Audience::Ndid)
        .does(does)
        .without_acting_node()
        .begins()
}

/// An endpoint whose checked body is the parameters of its transaction.
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
        .run(move |call: ApiCall<NoPath, Texts, B>| async move {
            let params = json!(call.body);
            transact(&call, method, params, status).await
        })
}

/// Makes a transaction; the call is answered with `status` when it is in a block.
async fn transact<P, Q, B>(
    call: &ApiCall<P, Q, B>,
    method: &'static str,
    params: Value,
    status: u16,
) -> Result<CallOutcome, Error> {
    let asked = LedgerCall {
        node_id: call.node_id.clone(),
        method,
        params,
        key: KEY.to_owned(),
        writes: Vec::new(),
        recipient: ResultRecipient::Caller {
            caller: call.caller.clone(),
            status,
        },
    };
    asked.start(&call.context).await
}

/// Body that names a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct NodeIdBody {
    /// Its id.
    #[schemars(length(min = 1))]
    node_id: String,
}

/// Body with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct NameBody {
    /// Its name.
    #[schemars(length(min = 1))]
    name: String,
}
