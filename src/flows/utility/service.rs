//! `GET /utility/services/:service_id`: a service.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ask;
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/services/:service_id", Audience::Everybody)
        .does("Shows a service.")
        .without_acting_node()
        .path::<Path>()
        .tells(json!({
            "service_id": "text",
            "service_name": "text",
            "active?": "boolean",
            "data_schema?": "text",
            "data_schema_version?": "text",
        }))
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    service_id: String,
}

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let node_id = call.context.node_id();
    let params = json!({"service_id": call.path.service_id, "node_id": node_id});
    let mut service = ask(&call.context, "GetServiceDetail", params).await?;
    if let Some(Value::Object(members)) = &mut service {
        members.retain(|_, value| *value != json!("n/a"));
    }
    Ok(CallOutcome::found(service))
}
