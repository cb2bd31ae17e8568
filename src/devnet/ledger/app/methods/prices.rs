//! What an AS asks for a service (spec/ledger.md 4.2).

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::params::{Decode, params};
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal, UNDECODABLE};
use crate::devnet::ledger::app::state::{CurrencyPrice, ServicePrice, State};

pub const METHODS: &[Entry] = &[Entry::of::<SetServicePrice>()];

/// A moment, in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq)]
struct Moment(Option<i64>);

impl Decode for Moment {
    fn decode(value: Value) -> Result<Self, TxRefusal> {
        let text = String::decode(value)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| UNDECODABLE)?;
        let milliseconds = moment.unix_timestamp_nanos().div_euclid(1_000_000);
        let milliseconds = i64::try_from(milliseconds).map_err(|_| UNDECODABLE)?;
        Ok(Self(Some(milliseconds)))
    }
}

params! {
    struct Price {
        currency: String,
        min_price: f64,
        max_price: f64,
    }

    struct SetServicePrice {
        service_id: String,
        price_by_currency_list: Vec<Price>,
        effective_datetime: Moment,
        more_info_url: String,
        detail: String,
    }
}

impl Method for SetServicePrice {
    const NAME: &'static str = "SetServicePrice";
    const CALLER: AllowedCaller = AllowedCaller::As;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        let mut prices = self.price_by_currency_list.iter();
        if prices.any(|price| price.min_price > price.max_price) {
            return Err(refused::PRICE_RANGE);
        }
        Ok(())
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.service(&self.service_id)?;
        let ceilings = state.price_ceilings.get(&self.service_id);
        let ceilings = ceilings.ok_or(refused::CEILINGS_UNKNOWN)?;
        for price in &self.price_by_currency_list {
            let mut known = ceilings.iter();
            let ceiling = known.find(|(currency, _)| *currency == price.currency);
            let (_, ceiling) = ceiling.ok_or(refused::CEILING_UNKNOWN)?;
            if price.max_price >= 0.0 && price.max_price > *ceiling {
                return Err(refused::PRICE_ABOVE_CEILING);
            }
        }
        let prices = self.price_by_currency_list.into_iter();
        let price = ServicePrice {
            prices: prices.map(currency_price).collect(),
            effective_ms: self.effective_datetime.0,
            more_info_url: self.more_info_url,
            detail: self.detail,
            creation_height: state.height,
            creation_chain_id: state.chain_id.clone(),
        };
        let key = (call.node_id.to_owned(), self.service_id);
        state.prices.entry(key).or_default().insert(0, price);
        Ok(MethodResult::default())
    }
}

fn currency_price(price: Price) -> CurrencyPrice {
    CurrencyPrice {
        currency: price.currency,
        min: price.min_price,
        max: price.max_price,
    }
}
