//! `GET /utility/as/:service_id`: ASes that offer a service.

use serde::Deserialize;
use serde_json::json;

use super::{ask, member_list};
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::error::Error;
use crate::ledger::query;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/as/:service_id", Audience::Everybody)
        .does("Lists the ASes that offer a service.")
        .without_acting_node()
        .path::<Path>()
        .tells(json!([{
            "node_id": "text",
            "node_name": "text",
            "min_ial": "number",
            "min_aal": "number",
            "supported_namespace_list": ["text"],
        }]))
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    service_id: String,
}

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let service_id = call.path.service_id;
    let params = json!({"service_id": service_id});
    let answer = ask(&call.context, "GetAsNodesByServiceId", params).await?;
    let nodes = member_list(answer, "node");
    if nodes.as_array().is_some_and(|nodes| !nodes.is_empty()) {
        return Ok(CallOutcome::Ok(nodes));
    }
    let ledger = call.context.ledger.as_ref();
    match query::service_detail(ledger, &service_id).await? {
        Some(service) if service.active => Ok(CallOutcome::Ok(nodes)),
        _ => Ok(CallOutcome::NotFound),
    }
}
