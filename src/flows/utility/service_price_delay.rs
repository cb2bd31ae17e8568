//! `GET /utility/service_price_min_effective_datetime_delay`: how long a price must be announced before it counts.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{params, whole};
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint, NoPath};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get(
        "/utility/service_price_min_effective_datetime_delay",
        Audience::Everybody,
    )
    .does("Shows how long before its effect a price must be announced.")
    .without_acting_node()
    .query::<Query>()
    .tells(json!({"duration_second": "integer"}))
    .run(run)
    .since(ApiVersion::V5)
}

#[derive(Deserialize, JsonSchema)]
struct Query {
    #[schemars(length(min = 1))]
    service_id: Option<String>,
}

async fn run(call: ApiCall<NoPath, Query>) -> Result<CallOutcome, Error> {
    let params = params([("service_id", call.query.service_id)]);
    let method = "GetServicePriceMinEffectiveDatetimeDelay";
    whole(&call.context, method, params).await
}
