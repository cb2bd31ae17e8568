//! `GET /utility/nodes/:node_id/token`: tokens that a node has left.

use serde::Deserialize;
use serde_json::json;

use super::whole;
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/nodes/:node_id/token", Audience::Everybody)
        .does("Shows how many tokens a node has.")
        .without_acting_node()
        .path::<Path>()
        .tells(json!({"amount": "number"}))
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    node_id: String,
}

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let params = json!({"node_id": call.path.node_id});
    whole(&call.context, "GetNodeToken", params).await
}
