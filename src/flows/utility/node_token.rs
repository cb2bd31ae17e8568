//! `GET /utility/nodes/:node_id/token`: tokens that a node has left.

use serde::Deserialize;
use serde_json::json;

use super::whole;
use crate::api::{Audience, Call, Endpoint, Outcome};
use crate::error::Error;

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/nodes/:node_id/token", Audience::Everybody)
        .does("Tells how many tokens a node has.")
        .without_acting_node()
        .path::<Path>()
        .tells(json!({"amount": "number"}))
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    node_id: String,
}

async fn run(call: Call<Path>) -> Result<Outcome, Error> {
    let params = json!({"node_id": call.path.node_id});
    whole(&call.context, "GetNodeToken", params).await
}
