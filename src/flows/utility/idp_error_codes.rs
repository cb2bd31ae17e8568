//! `GET /utility/idp_error_codes`: error codes that IdPs may answer.

use serde_json::json;

use super::list;
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/idp_error_codes", Audience::Everybody)
        .does("Lists the error codes that IdPs may answer with.")
        .without_acting_node()
        .tells(json!([{"error_code": "integer", "description": "text"}]))
        .run(run)
        .since(ApiVersion::V5)
}

async fn run(call: ApiCall) -> Result<CallOutcome, Error> {
    list(&call.context, "GetErrorCodeList", json!({"type": "idp"})).await
}
