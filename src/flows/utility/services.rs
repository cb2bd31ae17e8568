//! `GET /utility/services`: services that ASes offer.

use serde_json::{Value, json};

use super::list;
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/services", Audience::Everybody)
        .does("Lists the services of the network.")
        .without_acting_node()
        .tells(json!([{"service_id": "text", "service_name": "text", "active": "boolean"}]))
        .run(run)
}

async fn run(call: ApiCall) -> Result<CallOutcome, Error> {
    list(&call.context, "GetServiceList", Value::Null).await
}
