//! `GET /utility/services`: services that ASes offer.

use serde_json::{Value, json};

use super::list;
use crate::api::{Audience, Call, Endpoint, Outcome};
use crate::error::Error;

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/services", Audience::Everybody)
        .does("Lists the services of the network.")
        .without_acting_node()
        .tells(json!([{"service_id": "text", "service_name": "text", "active": "boolean"}]))
        .run(run)
}

async fn run(call: Call) -> Result<Outcome, Error> {
    list(&call.context, "GetServiceList", Value::Null).await
}
