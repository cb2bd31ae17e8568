//! `GET /utility/as/service_price/:service_id`: prices of a service, by AS.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ask, member_list, params, with_creation_block};
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/as/service_price/:service_id", Audience::Everybody)
        .does("Lists the prices of a service.")
        .without_acting_node()
        .path::<Path>()
        .query::<Query>()
        .tells(json!([{
            "node_id": "text",
            "price_list": [{
                "price_by_currency_list": [{
                    "currency": "text",
                    "min_price": "number",
                    "max_price": "number",
                }],
                "effective_datetime": "text",
                "more_info_url?": "text",
                "detail?": "text",
                "creation_block_height": "text",
            }],
        }]))
        .run(run)
        .since(ApiVersion::V5)
}

#[derive(Deserialize)]
struct Path {
    service_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Query {
    /// Only this AS.
    #[schemars(length(min = 1))]
    node_id: Option<String>,
}

async fn run(call: ApiCall<Path, Query>) -> Result<CallOutcome, Error> {
    let params = params([
        ("node_id", call.query.node_id),
        ("service_id", Some(call.path.service_id)),
    ]);
    let answer = ask(&call.context, "GetServicePriceList", params).await?;
    let Some(answer) = answer else {
        return Ok(CallOutcome::NotFound);
    };
    let mut nodes = member_list(Some(answer), "price_list_by_node");
    for node in nodes.as_array_mut().into_iter().flatten() {
        let prices = node["price_list"].take();
        let prices = prices.as_array().cloned().unwrap_or_default();
        node["price_list"] = prices.into_iter().map(price).collect();
    }
    Ok(CallOutcome::Ok(nodes))
}

fn price(price: Value) -> Value {
    let mut price = with_creation_block(price);
    if let Some(members) = price.as_object_mut() {
        members.remove("creation_chain_id");
    }
    price
}
