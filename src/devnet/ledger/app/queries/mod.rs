//! The queries, one file for each group of spec/ledger.md 5.

mod as_nodes;
mod chain;
mod identities;
mod idp_nodes;
mod nodes;
mod policies;
mod prices;
mod requests;
mod services;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::node::{MqAddress, NodeKey};
use super::params::{Decode, from_json};
use super::refusal::METHOD_UNKNOWN;
use super::state::State;

/// Answer to a query (spec/ledger.md 5.1).
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResponse {
    /// 0, or 49 for an unknown query.
    pub code: u32,
    /// `success`, `not found`, or another text.
    pub log: Cow<'static, str>,
    /// The answer as JSON text; `None` is null on the wire.
    pub value: Option<Vec<u8>>,
}

const NOT_FOUND: &str = "not found";
const SERVICE_NOT_ACTIVE: &str = "service is not active";
const GROUP_NOT_FOUND: &str = "Reference group not found";

impl QueryResponse {
    fn found(value: &Value) -> Self {
        Self::with_log("success", value)
    }

    /// Not found; what the client gets is null, whatever the value.
    fn not_found(value: &Value) -> Self {
        Self::with_log(NOT_FOUND, value)
    }

    fn not_found_null() -> Self {
        Self::without_value(NOT_FOUND)
    }

    fn with_log(log: &'static str, value: &Value) -> Self {
        Self {
            code: 0,
            log: Cow::Borrowed(log),
            value: Some(value.to_string().into_bytes()),
        }
    }

    fn without_value(log: &'static str) -> Self {
        Self {
            code: 0,
            log: Cow::Borrowed(log),
            value: None,
        }
    }
}

/// One query: its name and how it is answered.
#[derive(Clone, Copy)]
struct Query {
    name: &'static str,
    answer: fn(&State, &[u8], i64) -> QueryResponse,
}

/// Declares a query: its name, its parameters, the function that answers.
macro_rules! query {
    ($name:literal, $answer:path) => {
        $crate::devnet::ledger::app::queries::Query {
            name: $name,
            answer: |state, params, height| {
                $crate::devnet::ledger::app::queries::decoded(params, |params| {
                    $answer(state, params, height)
                })
            },
        }
    };
    ($name:literal, no params, $answer:path) => {
        $crate::devnet::ledger::app::queries::Query {
            name: $name,
            answer: |state, _params, _height| $answer(state),
        }
    };
}

use query;

fn decoded<P: Decode>(params: &[u8], answer: impl FnOnce(P) -> QueryResponse) -> QueryResponse {
    match from_json(params) {
        Ok(params) => answer(params),
        Err(_) => QueryResponse::without_value("parameters cannot be decoded"),
    }
}

static BY_NAME: LazyLock<HashMap<&'static str, Query>> = LazyLock::new(|| {
    let groups: [&[Query]; 9] = [
        as_nodes::QUERIES,
        chain::QUERIES,
        identities::QUERIES,
        idp_nodes::QUERIES,
        nodes::QUERIES,
        policies::QUERIES,
        prices::QUERIES,
        requests::QUERIES,
        services::QUERIES,
    ];
    let queries = groups.into_iter().flatten();
    queries.map(|query| (query.name, *query)).collect()
});

/// Answers a query; a height of 0 means the latest.
pub fn answer(state: &State, name: &str, params: &[u8], height: i64) -> QueryResponse {
    match BY_NAME.get(name) {
        Some(query) => (query.answer)(state, params, height),
        None => QueryResponse {
            code: METHOD_UNKNOWN.code,
            log: METHOD_UNKNOWN.log,
            value: None,
        },
    }
}

/// A number as Go writes it: without a fraction if it has none.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        // Whole and small enough: the conversion is exact.
        return json!(value as i64);
    }
    json!(value)
}

fn numbers(values: &[f64]) -> Value {
    values.iter().copied().map(number).collect()
}

/// A list that Go keeps as a nil slice while it is empty.
fn null_if_empty(list: &[String]) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        json!(list)
    }
}

fn key(key: &NodeKey) -> Value {
    json!({
        "public_key": &*key.public_key,
        "algorithm": &*key.algorithm,
        "version": key.version,
        "creation_block_height": key.creation_height,
        "creation_chain_id": key.creation_chain_id,
        "active": key.active,
    })
}

fn mq(addresses: &[MqAddress]) -> Value {
    if addresses.is_empty() {
        return Value::Null;
    }
    let one = |address: &MqAddress| json!({"ip": address.ip, "port": address.port});
    addresses.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_of_the_specification_is_known() {
        let names = "GetRequest GetRequestDetail GetDataSignature GetAllowedModeList \
            GetSupportedIALList GetSupportedAALList GetRequestTypeList GetErrorCodeList GetMessage \
            GetMessageDetail GetNodeInfo GetNodeSigningPublicKey GetNodeSigningMasterPublicKey \
            GetNodeEncryptionPublicKey GetNodePublicKeyList GetMqAddresses GetNodeToken \
            GetNodeIDList GetNodesBehindProxyNode GetAllowedNodeSupportedFeatureList \
            GetSuppressedIdentityModificationNotificationNodeList \
            IsSuppressedIdentityModificationNotificationNode GetIdpNodes GetIdpNodesInfo \
            GetAsNodesByServiceId GetAsNodesInfoByServiceId GetServicesByAsID GetNamespaceList \
            GetServiceList GetServiceDetail GetServicePriceCeiling \
            GetServicePriceMinEffectiveDatetimeDelay GetServicePriceList GetPriceFunc \
            CheckExistingIdentity GetIdentityInfo GetReferenceGroupCode \
            GetReferenceGroupCodeByAccessorID GetAccessorKey GetAccessorOwner \
            CheckExistingAccessorID GetAllowedMinIalForRegisterIdentityAtFirstIdp IsInitEnded \
            GetChainHistory";
        let unknown: Vec<&str> = names
            .split_whitespace()
            .filter(|name| !BY_NAME.contains_key(name))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert_eq!(BY_NAME.len(), names.split_whitespace().count());
    }

    #[test]
    fn whole_numbers_have_no_fraction() {
        assert_eq!(number(3.0).to_string(), "3");
        assert_eq!(number(2.3).to_string(), "2.3");
    }

    #[test]
    fn an_unknown_query_has_code_49_and_no_value() {
        let answer = answer(&State::new("chain"), "GetAccessorGroupID", b"{}", 0);
        assert_eq!((answer.code, answer.value), (49, None));
    }
}
