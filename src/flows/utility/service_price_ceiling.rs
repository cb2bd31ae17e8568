//! `GET /utility/service_price_ceiling`: the highest prices of a service.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{ask, member_list};
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint, NoPath};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/service_price_ceiling", Audience::Everybody)
        .does("Shows the highest prices that a service may have.")
        .without_acting_node()
        .query::<Query>()
        .tells(json!({
            "service_id": "text",
            "price_ceiling_by_currency_list": [{
                "currency": "text",
                "price": "number",
            }],
        }))
        .run(run)
        .since(ApiVersion::V5)
}

#[derive(Deserialize, JsonSchema)]
struct Query {
    #[schemars(length(min = 1))]
    service_id: String,
}

async fn run(call: ApiCall<NoPath, Query>) -> Result<CallOutcome, Error> {
    let service_id = call.query.service_id;
    let params = json!({"service_id": service_id});
    let answer = ask(&call.context, "GetServicePriceCeiling", params).await?;
    Ok(CallOutcome::found(answer.map(|answer| {
        let list = member_list(Some(answer), "price_ceiling_by_currency_list");
        json!({"service_id": service_id, "price_ceiling_by_currency_list": list})
    })))
}
