//! `GET /utility/namespaces`: namespaces of identities.

use serde_json::{Value, json};

use super::list;
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/namespaces", Audience::Everybody)
        .does("Lists the namespaces of identities.")
        .without_acting_node()
        .tells(json!([{
            "namespace": "text",
            "description?": "text",
            "active": "boolean",
            "allowed_identifier_count_in_reference_group?": "integer",
            "allowed_active_identifier_count_in_reference_group?": "integer",
        }]))
        .run(run)
}

async fn run(call: ApiCall) -> Result<CallOutcome, Error> {
    list(&call.context, "GetNamespaceList", Value::Null).await
}
