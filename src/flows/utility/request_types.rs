//! `GET /utility/request_types`: request types, those with a prefix if one is given.

use serde_json::json;

use super::{list, params};
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint, Texts};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/request_types", Audience::Everybody)
        .does("Lists the types that requests may have.")
        .without_acting_node()
        .query::<Texts>()
        .tells(json!(["text"]))
        .run(run)
        .since(ApiVersion::V5)
}

async fn run(call: ApiCall) -> Result<CallOutcome, Error> {
    let method = "GetRequestTypeList";
    let params = params([("prefix", call.query.prefix)]);
    list(&call.context, method, params).await
}
