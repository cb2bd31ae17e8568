//! `GET /utility/node_supported_features`: features that nodes may support.

use serde_json::json;

use super::{list, params};
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint, Texts};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/node_supported_features", Audience::Everybody)
        .does("Lists the features that nodes may have.")
        .without_acting_node()
        .query::<Texts>()
        .tells(json!(["text"]))
        .run(run)
        .since(ApiVersion::V6)
}

async fn run(call: ApiCall) -> Result<CallOutcome, Error> {
    let method = "GetAllowedNodeSupportedFeatureList";
    let params = params([("prefix", call.query.prefix)]);
    list(&call.context, method, params).await
}
