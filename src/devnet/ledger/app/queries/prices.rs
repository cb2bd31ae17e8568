//! Prices of services and methods (spec/ledger.md 5.4).

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::as_nodes::usable_offers;
use super::{Query, QueryResponse, SERVICE_NOT_ACTIVE, number, query};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::state::{DEFAULT_PRICE_DELAY_SECONDS, ServicePrice, State};

pub const QUERIES: &[Query] = &[
    query!("GetServicePriceCeiling", get_ceilings),
    query!("GetServicePriceMinEffectiveDatetimeDelay", get_delay),
    query!("GetServicePriceList", get_prices),
    query!("GetPriceFunc", get_method_price),
];

params! {
    struct ServiceId {
        service_id: String,
    }

    struct PriceFilter {
        service_id: String,
        node_id: String,
    }

    struct MethodName {
        func: String,
    }
}

fn get_ceilings(state: &State, params: ServiceId, _height: i64) -> QueryResponse {
    if state.service(&params.service_id).is_err() {
        return QueryResponse::not_found_null();
    }
    let ceilings = state.price_ceilings.get(&params.service_id);
    let rows = ceilings.into_iter().flatten();
    let rows = rows.map(|(currency, price)| json!({"currency": currency, "price": number(*price)}));
    let rows: Vec<Value> = rows.collect();
    QueryResponse::found(&json!({ "price_ceiling_by_currency_list": rows }))
}

fn get_delay(state: &State, params: ServiceId, _height: i64) -> QueryResponse {
    let service = (!params.service_id.is_empty()).then_some(params.service_id);
    if let Some(id) = &service
        && state.service(id).is_err()
    {
        return QueryResponse::not_found_null();
    }
    let delay = state.price_delays.get(&service);
    let delay = delay.or_else(|| state.price_delays.get(&None));
    let seconds = delay.copied().unwrap_or(DEFAULT_PRICE_DELAY_SECONDS);
    QueryResponse::found(&json!({"duration_second": seconds}))
}

fn get_prices(state: &State, params: PriceFilter, _height: i64) -> QueryResponse {
    let Ok(service) = state.service(&params.service_id) else {
        return QueryResponse::not_found_null();
    };
    if !params.node_id.is_empty() {
        let row = node_prices(state, &params.service_id, &params.node_id);
        return QueryResponse::found(&json!({"price_list_by_node": [row]}));
    }
    if !service.active {
        return QueryResponse::with_log(SERVICE_NOT_ACTIVE, &json!({"price_list_by_node": []}));
    }
    let rows: Vec<Value> = usable_offers(state, &params.service_id)
        .map(|(offer, _)| node_prices(state, &params.service_id, &offer.id))
        .collect();
    QueryResponse::found(&json!({ "price_list_by_node": rows }))
}

fn node_prices(state: &State, service_id: &str, node_id: &str) -> Value {
    let prices = state
        .prices
        .get(&(node_id.to_owned(), service_id.to_owned()));
    let prices: Vec<Value> = prices.into_iter().flatten().map(price).collect();
    json!({"node_id": node_id, "price_list": prices})
}

fn price(price: &ServicePrice) -> Value {
    let currencies = price.prices.iter().map(|price| {
        json!({
            "currency": price.currency,
            "min_price": number(price.min),
            "max_price": number(price.max),
        })
    });
    let currencies: Vec<Value> = currencies.collect();
    json!({
        "price_by_currency_list": currencies,
        "effective_datetime": datetime(price.effective_ms),
        "more_info_url": price.more_info_url,
        "detail": price.detail,
        "creation_block_height": price.creation_height,
        "creation_chain_id": price.creation_chain_id,
    })
}

/// RFC 3339 in UTC; Go's zero time if there is none.
fn datetime(milliseconds: Option<i64>) -> String {
    let moment = milliseconds.and_then(|milliseconds| {
        let nanoseconds = i128::from(milliseconds) * 1_000_000;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
        moment.format(&Rfc3339).ok()
    });
    moment.unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned())
}

fn get_method_price(state: &State, params: MethodName, _height: i64) -> QueryResponse {
    QueryResponse::found(&json!({"price": number(state.price_of(&params.func))}))
}
