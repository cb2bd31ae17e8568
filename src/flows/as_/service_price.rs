//! `POST /as/service_price/:service_id`: an AS announces the price of its service
//! (spec/flows.md 4.2).

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use crate::api::{self, ApiCall, ApiVersion, Audience, CallOutcome, Endpoint, Texts, date_time};
use crate::error::{Error, codes};
use crate::flows::ledger_call::{LedgerCall, ResultRecipient};
use crate::flows::levels;
use crate::flows::reply::ReplyTo;
use crate::job::Millis;
use crate::ledger::{Ledger, query};

const RESULT: &str = "set_service_price_result";

pub fn endpoint() -> Endpoint {
    Endpoint::post("/as/service_price/:service_id", Audience::As)
        .does("Announces the price of a service.")
        .begins()
        .path::<Path>()
        .body::<Prices>()
        .run(run)
        .since(ApiVersion::V5)
}

#[derive(Deserialize)]
struct Path {
    service_id: String,
}

/// Body of the call. The ledger gets all of it but [`ReplyTo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Prices {
    /// `reference_id` and `callback_url`.
    #[serde(flatten, skip_serializing)]
    reply: ReplyTo,
    /// One for each currency.
    #[schemars(
        length(min = 1),
        extend("uniqueItemProperties" = ["currency"])
    )]
    price_by_currency_list: Vec<Price>,
    /// When the prices begin.
    #[schemars(schema_with = "instant")]
    effective_datetime: String,
    /// URL with more information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "api::url")]
    more_info_url: Option<String>,
    /// More information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    detail: Option<String>,
}

/// The prices in one currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Price {
    /// The currency.
    #[schemars(length(min = 1))]
    currency: String,
    /// The lowest.
    #[schemars(range(min = 0))]
    min_price: Number,
    /// The highest.
    #[schemars(range(min = 0))]
    max_price: Number,
}

fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": date_time::FORMAT})
}

async fn run(call: ApiCall<Path, Texts, Prices>) -> Result<CallOutcome, Error> {
    let ledger = call.context.ledger.as_ref();
    let service_id = &call.path.service_id;
    let mut prices = call.body.price_by_currency_list.iter();
    if prices.any(|price| levels::is_below(&price.max_price, &price.min_price)) {
        return Err(codes::SERVICE_MIN_PRICE_CANNOT_BE_GREATER_THAN_MAX_PRICE.into());
    }
    if query::service_detail(ledger, service_id).await?.is_none() {
        return Err(codes::SERVICE_ID_NOT_FOUND.into());
    }
    check_instant(ledger, service_id, &call.body.effective_datetime).await?;
    let mut params = json!(call.body);
    params["service_id"] = Value::from(service_id.as_str());
    let asked = LedgerCall {
        node_id: call.node_id.clone(),
        method: "SetServicePrice",
        params,
        key: format!("service:{}/{service_id}", call.node_id),
        writes: Vec::new(),
        recipient: ResultRecipient::Callback {
            reply: call.body.reply.clone(),
            kind: RESULT.to_owned(),
            node_id: call.node_id.clone(),
        },
    };
    asked.start(&call.context).await
}

/// A price counts only after it has been known for some time.
async fn check_instant(
    ledger: &dyn Ledger,
    service_id: &str,
    effective: &str,
) -> Result<(), Error> {
    let delay = query::service_price_delay(ledger, service_id).await?;
    let allowed = Millis::now().after(delay).0;
    match date_time::unix_milliseconds(effective) {
        Some(effective) if effective < i128::from(allowed) => {
            Err(codes::SERVICE_PRICE_EFFECTIVE_DATETIME_BEFORE_ALLOWED.into())
        }
        // The ledger refuses a text that is no instant.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;
    use crate::api::RawCall;
    use crate::context::Role;
    use crate::flows::testing::{TestNode, params, transactions};
    use crate::job::Caller;

    fn as1() -> TestNode {
        let node = TestNode::new("as1", Role::As);
        let detail = json!({"service_id": "bank", "service_name": "Bank", "active": true});
        let of = json!({"service_id": "bank"});
        node.ledger.answer("GetServiceDetail", of.clone(), detail);
        let delay = json!({"duration_second": 3600});
        let method = "GetServicePriceMinEffectiveDatetimeDelay";
        node.ledger.answer(method, of, delay);
        let none = json!({"service_id": "none"});
        node.ledger.answer("GetServiceDetail", none, Value::Null);
        node
    }

    /// RFC 3339, this many seconds from now.
    fn in_seconds(seconds: i64) -> String {
        let then = OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
        then.format(&Rfc3339).unwrap()
    }

    fn body(prices: Value, effective: &str) -> Value {
        json!({
            "reference_id": "ref", "callback_url": "http://client",
            "price_by_currency_list": prices, "effective_datetime": effective,
        })
    }

    async fn call(node: &TestNode, service_id: &str, body: Value) -> Result<Value, u32> {
        let endpoint = endpoint();
        let schema = endpoint.body.as_ref().unwrap();
        let checked = schema.check(&body, codes::BODY_VALIDATION_FAILED);
        checked.map_err(|error| error.code().number)?;
        let run = endpoint.run;
        let path = json!({"service_id": service_id});
        let outcome = run(RawCall {
            context: node.context.clone(),
            node_id: "as1".to_owned(),
            version: crate::api::ApiVersion::V6,
            caller: Caller::new("test"),
            path: serde_json::from_value::<Map<_, _>>(path).unwrap(),
            query: json!({}),
            body,
        });
        match outcome.await.map_err(|error| error.code().number)? {
            CallOutcome::Accepted { accept, .. } => {
                let transact = transactions(&accept.writes).remove(0);
                assert_eq!(transact.method, "SetServicePrice");
                Ok(params(&transact))
            }
            other => panic!("{other:?}"),
        }
    }

    #[actix::test]
    async fn the_ledger_is_told_prices_as_they_were_written() {
        let node = as1();
        let prices = json!([{"currency": "THB", "min_price": 10.59, "max_price": 299.99}]);
        let effective = in_seconds(3700);
        let mut given = body(prices.clone(), &effective);
        let mut expected = json!({
            "service_id": "bank", "price_by_currency_list": prices,
            "effective_datetime": effective,
        });
        assert_eq!(
            call(&node, "bank", given.clone()).await,
            Ok(expected.clone())
        );
        for (member, text) in [("more_info_url", "https://more"), ("detail", "free text")] {
            given[member] = text.into();
            expected[member] = text.into();
        }
        assert_eq!(call(&node, "bank", given).await, Ok(expected));
    }

    #[actix::test]
    async fn what_is_wrong_is_told_in_the_order_of_the_specification() {
        let node = as1();
        let price =
            |min: f64, max: f64| json!([{"currency": "T", "min_price": min, "max_price": max}]);
        let twice = json!([price(1.0, 2.0)[0], price(1.0, 3.0)[0]]);
        let (soon, late) = (in_seconds(3500), in_seconds(3700));
        for (service_id, prices, effective, code) in [
            ("none", price(2.0, 1.0), soon.as_str(), 20084),
            ("none", price(1.0, 2.0), &soon, 20083),
            ("bank", price(1.0, 2.0), &soon, 20090),
            ("bank", price(2.0, 2.0), &late, 0),
            ("bank", price(-1.0, 2.0), &late, 20003),
            ("bank", json!([]), &late, 20003),
            ("bank", twice, &late, 20003),
            ("bank", price(1.0, 2.0), "tomorrow", 20003),
            // No instant: the ledger refuses it.
            ("bank", price(1.0, 2.0), "2026-12-31 23:59:60", 0),
        ] {
            let told = call(&node, service_id, body(prices.clone(), effective)).await;
            assert_eq!(told.err().unwrap_or(0), code, "{prices} {effective}");
        }
    }
}
