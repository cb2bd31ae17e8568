//! The hash that the user's accessor key signs (spec/flows.md 3.2).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::received_request;
use super::respond::active_accessor_key;
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoPath};
use crate::context::Context;
use crate::crypto::accessor;
use crate::error::{Error, codes};
use crate::flows::open_request::open_request;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/idp/request_message_padded_hash", Audience::Idp)
        .does("Shows the hash that the user's accessor key must sign for a request.")
        .query::<Query>()
        .tells(json!({"request_message_padded_hash": "text"}))
        .run(run)
}

#[derive(Deserialize, JsonSchema)]
struct Query {
    /// The acting node, on a proxy.
    #[serde(rename = "node_id")]
    #[schemars(length(min = 1))]
    _node_id: Option<String>,
    #[schemars(length(min = 1))]
    request_id: String,
    #[schemars(length(min = 1))]
    accessor_id: String,
}

async fn run(call: ApiCall<NoPath, Query>) -> Result<CallOutcome, Error> {
    let Query {
        request_id,
        accessor_id,
        ..
    } = &call.query;
    let hash = padded_hash(&call.context, &call.node_id, request_id, accessor_id).await?;
    Ok(CallOutcome::Ok(
        json!({"request_message_padded_hash": hash}),
    ))
}

/// `request_message_padded_hash` of a request for an accessor.
///
/// # Errors
/// 20012, 20025, 20026, 20075 (mode 1), 20038, 20011, in this order; 20040 for
/// a key that cannot be read; those of ledger and store.
pub async fn padded_hash(
    context: &Context,
    node_id: &str,
    request_id: &str,
    accessor_id: &str,
) -> Result<String, Error> {
    let detail = open_request(context.ledger.as_ref(), request_id).await?;
    if detail.mode == 1 {
        return Err(codes::NOT_MODE_2_OR_3_REQUEST.into());
    }
    let request = received_request(context, node_id, &detail).await?;
    let key = active_accessor_key(context, accessor_id).await?;
    accessor::padded_hash(
        &request.request_message,
        &request.initial_salt,
        request_id,
        &key,
    )
}
