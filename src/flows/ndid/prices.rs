//! `POST
//! /ndid/{set_service_price_ceiling,set_service_price_min_effective_datetime_delay}`:
//! limits on the prices of services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::handed_on;
use crate::api::{ApiVersion, Endpoint};

pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<Ceilings>(
            "/ndid/set_service_price_ceiling",
            "Sets the highest prices that a service may have.",
            "SetServicePriceCeiling",
            204,
        )
        .since(ApiVersion::V5),
        handed_on::<Delay>(
            "/ndid/set_service_price_min_effective_datetime_delay",
            "Sets how long before its effect a price must be announced.",
            "SetServicePriceMinEffectiveDatetimeDelay",
            204,
        )
        .since(ApiVersion::V5),
    ]
}

/// Body with the highest prices of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Ceilings {
    /// The service.
    #[schemars(length(min = 1))]
    service_id: String,
    /// One for each currency.
    #[schemars(
        length(min = 1),
        extend("uniqueItemProperties" = ["currency"])
    )]
    price_ceiling_by_currency_list: Vec<Ceiling>,
}

/// The highest price in one currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Ceiling {
    /// The currency.
    #[schemars(length(min = 1))]
    currency: String,
    /// The price.
    #[schemars(range(min = 0))]
    price: Number,
}

/// Body with the time between a price and its effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Delay {
    /// The time.
    #[schemars(range(min = 1))]
    duration_second: u64,
    /// The service; without: all services without a delay of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    service_id: Option<String>,
}
