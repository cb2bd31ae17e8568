//! `GET /utility/idp/:namespace/:identifier`: IdPs that know an identity.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::idps::{IdpFilters, nodes};
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::crypto::hash::identifier_hash;
use crate::error::Error;

/// Shape of an IdP in a list.
fn shown() -> Value {
    json!({
        "node_id": "text",
        "node_name": "text",
        "max_ial": "number",
        "max_aal": "number",
        "supported_feature_list": ["text"],
        "ial": "number",
        "lial~": "boolean",
        "laal~": "boolean",
        "mode_list": ["integer"],
        "supported_request_message_data_url_type_list": ["text"],
        "agent": "boolean",
    })
}

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/idp/:namespace/:identifier", Audience::Everybody)
        .does("Lists the IdPs that know an identity.")
        .without_acting_node()
        .path::<Path>()
        .query::<Query>()
        .tells(json!([shown()]))
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    namespace: String,
    identifier: String,
}

#[derive(Deserialize, JsonSchema)]
struct Query {
    #[serde(flatten)]
    filters: IdpFilters,
    mode: Option<ModeFilter>,
}

/// A mode of identities.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
enum ModeFilter {
    #[serde(rename = "2")]
    Two,
    #[serde(rename = "3")]
    Three,
}

async fn run(call: ApiCall<Path, Query>) -> Result<CallOutcome, Error> {
    let mut filters = call.query.filters.into_params();
    let hash = identifier_hash(&call.path.identifier);
    filters.insert("identity_namespace".into(), call.path.namespace.into());
    filters.insert("identity_identifier_hash".into(), hash.into());
    if let Some(mode) = call.query.mode {
        let mode = match mode {
            ModeFilter::Two => 2,
            ModeFilter::Three => 3,
        };
        filters.insert("mode_list".into(), json!([mode]));
    }
    nodes(&call.context, filters).await
}
