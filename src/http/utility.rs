//! Ledger queries for anybody (spec/http-api.md 3.5).

use serde_json::{Map, Number, Value, json};

use super::endpoint::Utility;
use super::operations::Outcome;
use crate::crypto::hash::identifier_hash;
use crate::error::Error;
use crate::flows::status;
use crate::ledger::query;
use crate::node::Context;

/// What a query string says.
pub(super) type Query = Map<String, Value>;

/// Answers a look-up. `parameters` are those of the path, in order.
///
/// # Errors
/// Those of the ledger.
pub(super) async fn look_up(
    context: &Context,
    utility: Utility,
    parameters: &[String],
    parsed_query: &Query,
) -> Result<Outcome, Error> {
    let parameter = |index: usize| parameters.get(index).map_or("", String::as_str);
    let first = parameter(0);
    match utility {
        Utility::Idps => idps(context, idp_filters(Map::new(), parsed_query)).await,
        Utility::IdpsOfIdentity => {
            let mut identity = Map::new();
            identity.insert("identity_namespace".into(), first.into());
            let hash = identifier_hash(parameter(1));
            identity.insert("identity_identifier_hash".into(), hash.into());
            idps(context, idp_filters(identity, parsed_query)).await
        }
        Utility::Ases => ases(context, first).await,
        Utility::ServicePrices => service_prices(context, first, parsed_query).await,
        Utility::ServicePriceCeiling => service_price_ceiling(context, parsed_query).await,
        Utility::ServicePriceDelay => {
            let params = with_text(Map::new(), "service_id", parsed_query);
            whole(context, "GetServicePriceMinEffectiveDatetimeDelay", params).await
        }
        Utility::Request => request(context, first).await,
        Utility::Accessor => {
            let params = json!({"accessor_id": first});
            let accessor = ask(context, "GetAccessorKey", params).await?;
            Ok(found(accessor.map(with_nullable_creation)))
        }
        Utility::Node => node(context, first).await,
        Utility::NodePublicKeys => node_public_keys(context, first).await,
        Utility::NodeToken => whole(context, "GetNodeToken", json!({"node_id": first})).await,
        Utility::Namespaces => list(context, "GetNamespaceList", Value::Null).await,
        Utility::Services => list(context, "GetServiceList", Value::Null).await,
        Utility::Service => service(context, first).await,
        Utility::IdpErrorCodes => list(context, "GetErrorCodeList", json!({"type": "idp"})).await,
        Utility::AsErrorCodes => list(context, "GetErrorCodeList", json!({"type": "as"})).await,
        Utility::Message => {
            let params = json!({"message_id": first});
            let message = ask(context, "GetMessageDetail", params).await?;
            Ok(found(message.map(with_creation_block)))
        }
        Utility::RequestTypes => prefixed(context, "GetRequestTypeList", parsed_query).await,
        Utility::SuppressedNodes => {
            let method = "GetSuppressedIdentityModificationNotificationNodeList";
            prefixed(context, method, parsed_query).await
        }
        Utility::SuppressedNode => {
            let method = "IsSuppressedIdentityModificationNotificationNode";
            whole(context, method, json!({"node_id": first})).await
        }
        Utility::NodeFeatures => {
            prefixed(context, "GetAllowedNodeSupportedFeatureList", parsed_query).await
        }
        Utility::SupportedIals => {
            let levels = query::supported_ials(context.ledger.as_ref()).await?;
            Ok(Outcome::Ok(json!(levels)))
        }
        Utility::SupportedAals => {
            let levels = query::supported_aals(context.ledger.as_ref()).await?;
            Ok(Outcome::Ok(json!(levels)))
        }
    }
}

async fn ask(context: &Context, method: &str, params: Value) -> Result<Option<Value>, Error> {
    let answer = context.ledger.query(method, params, None).await?;
    Ok(answer.map(|answer| answer.as_ref().clone()))
}

fn found(value: Option<Value>) -> Outcome {
    value.map_or(Outcome::NotFound, Outcome::Ok)
}

/// The ledger's answer as it is, or 404.
async fn whole(context: &Context, method: &str, params: Value) -> Result<Outcome, Error> {
    Ok(found(ask(context, method, params).await?))
}

/// The ledger's list as it is; empty where it has none.
async fn list(context: &Context, method: &str, params: Value) -> Result<Outcome, Error> {
    let answer = ask(context, method, params).await?;
    let list = answer.filter(Value::is_array);
    Ok(Outcome::Ok(list.unwrap_or_else(|| json!([]))))
}

async fn prefixed(context: &Context, method: &str, query: &Query) -> Result<Outcome, Error> {
    list(context, method, with_text(Map::new(), "prefix", query)).await
}

/// `params` with a text of the query string, if it is given.
fn with_text(mut params: Map<String, Value>, name: &str, query: &Query) -> Value {
    if let Some(text) = query.get(name).filter(|text| text.is_string()) {
        params.insert(name.to_owned(), text.clone());
    }
    Value::Object(params)
}

fn idp_filters(identity: Map<String, Value>, query: &Query) -> Value {
    let text = |name: &str| query.get(name).and_then(Value::as_str);
    let mut filters = identity;
    if let Some(node_id) = text("filter_for_node_id") {
        filters.insert("filter_for_node_id".into(), node_id.into());
    }
    if let Some(agent) = text("agent") {
        filters.insert("agent".into(), (agent == "true").into());
    }
    filters.insert("min_ial".into(), level(text("min_ial")));
    filters.insert("min_aal".into(), level(text("min_aal")));
    let features = text("supported_feature_list").unwrap_or_default();
    let features = features.split(',').map(str::trim);
    let features: Vec<&str> = features.filter(|feature| !feature.is_empty()).collect();
    filters.insert("supported_feature_list".into(), json!(features));
    if let Some(mode) = text("mode").and_then(|mode| mode.parse::<u8>().ok()) {
        filters.insert("mode_list".into(), json!([mode]));
    }
    Value::Object(filters)
}

/// The number a text begins with; 0 if it does not begin with one.
fn level(text: Option<&str>) -> Value {
    let text = text.unwrap_or_default().trim();
    let mut seen_point = false;
    let end = text
        .char_indices()
        .find(|(index, character)| match character {
            '0'..='9' => false,
            '-' | '+' => *index != 0,
            '.' if !seen_point => {
                seen_point = true;
                false
            }
            _ => true,
        });
    let number = &text[..end.map_or(text.len(), |(index, _)| index)];
    let number: f64 = number.parse().unwrap_or_default();
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return json!(number as i64);
    }
    Number::from_f64(number).map_or(json!(0), Value::Number)
}

async fn idps(context: &Context, filters: Value) -> Result<Outcome, Error> {
    let answer = ask(context, "GetIdpNodes", filters).await?;
    Ok(Outcome::Ok(member_list(answer, "node")))
}

fn member_list(answer: Option<Value>, member: &str) -> Value {
    let list = answer.and_then(|mut answer| answer.get_mut(member).map(Value::take));
    list.filter(Value::is_array).unwrap_or_else(|| json!([]))
}

async fn ases(context: &Context, service_id: &str) -> Result<Outcome, Error> {
    let params = json!({"service_id": service_id});
    let nodes = member_list(ask(context, "GetAsNodesByServiceId", params).await?, "node");
    if nodes.as_array().is_some_and(|nodes| !nodes.is_empty()) {
        return Ok(Outcome::Ok(nodes));
    }
    match query::service_detail(context.ledger.as_ref(), service_id).await? {
        Some(service) if service.active => Ok(Outcome::Ok(nodes)),
        _ => Ok(Outcome::NotFound),
    }
}

async fn service_prices(
    context: &Context,
    service_id: &str,
    query: &Query,
) -> Result<Outcome, Error> {
    let mut params = with_text(Map::new(), "node_id", query);
    params["service_id"] = service_id.into();
    let Some(answer) = ask(context, "GetServicePriceList", params).await? else {
        return Ok(Outcome::NotFound);
    };
    let mut nodes = member_list(Some(answer), "price_list_by_node");
    for node in nodes.as_array_mut().into_iter().flatten() {
        let prices = node["price_list"].take();
        let prices = prices.as_array().cloned().unwrap_or_default();
        node["price_list"] = prices.into_iter().map(price).collect();
    }
    Ok(Outcome::Ok(nodes))
}

fn price(price: Value) -> Value {
    let mut price = with_creation_block(price);
    if let Some(members) = price.as_object_mut() {
        members.remove("creation_chain_id");
    }
    price
}

async fn service_price_ceiling(context: &Context, query: &Query) -> Result<Outcome, Error> {
    let params = with_text(Map::new(), "service_id", query);
    let answer = ask(context, "GetServicePriceCeiling", params.clone()).await?;
    Ok(found(answer.map(|answer| {
        let list = member_list(Some(answer), "price_ceiling_by_currency_list");
        json!({
            "service_id": params["service_id"],
            "price_ceiling_by_currency_list": list,
        })
    })))
}

async fn request(context: &Context, request_id: &str) -> Result<Outcome, Error> {
    let detail = query::request_detail(context.ledger.as_ref(), request_id, None).await?;
    let Some(detail) = detail else {
        return Ok(Outcome::NotFound);
    };
    let mut shown = json!(detail);
    if let Some(members) = shown.as_object_mut() {
        for hidden in ["purpose", "creation_chain_id", "creation_block_height"] {
            members.remove(hidden);
        }
        members.insert("status".into(), status::derive(&detail).into());
        let block = detail.creation_block();
        members.insert("creation_block_height".into(), block.into());
    }
    Ok(Outcome::Ok(shown))
}

async fn service(context: &Context, service_id: &str) -> Result<Outcome, Error> {
    let params = json!({"service_id": service_id, "node_id": context.node_id()});
    let mut service = ask(context, "GetServiceDetail", params).await?;
    if let Some(Value::Object(members)) = &mut service {
        members.retain(|_, value| *value != json!("n/a"));
    }
    Ok(found(service))
}

const KEYS: [&str; 3] = [
    "signing_public_key",
    "signing_master_public_key",
    "encryption_public_key",
];

async fn node(context: &Context, node_id: &str) -> Result<Outcome, Error> {
    let mut node = ask(context, "GetNodeInfo", json!({"node_id": node_id})).await?;
    if let Some(node) = &mut node {
        with_nullable_key_creation(node);
        if let Some(proxy) = node.get_mut("proxy") {
            with_nullable_key_creation(proxy);
        }
    }
    Ok(found(node))
}

fn with_nullable_key_creation(node: &mut Value) {
    for name in KEYS {
        if let Some(key) = node.get_mut(name) {
            *key = with_nullable_creation(key.take());
        }
    }
}

async fn node_public_keys(context: &Context, node_id: &str) -> Result<Outcome, Error> {
    let params = json!({"node_id": node_id});
    let Some(answer) = ask(context, "GetNodePublicKeyList", params).await? else {
        return Ok(Outcome::NotFound);
    };
    let mut shown = Map::new();
    for name in KEYS {
        let name = format!("{name}_list");
        let keys = member_list(Some(answer.clone()), &name);
        let keys = keys.as_array().cloned().unwrap_or_default();
        let keys: Value = keys.into_iter().map(with_nullable_creation).collect();
        shown.insert(name, keys);
    }
    Ok(Outcome::Ok(Value::Object(shown)))
}

/// A block that is not known is null: height 0 or below, no chain id.
fn with_nullable_creation(mut record: Value) -> Value {
    if let Some(height) = record.get_mut("creation_block_height")
        && height.as_i64().is_none_or(|height| height <= 0)
    {
        *height = Value::Null;
    }
    if let Some(chain_id) = record.get_mut("creation_chain_id")
        && chain_id.as_str().is_none_or(str::is_empty)
    {
        *chain_id = Value::Null;
    }
    record
}

/// `creation_block_height` as `<chain id>:<height>`.
fn with_creation_block(mut record: Value) -> Value {
    let chain_id = record["creation_chain_id"].as_str().unwrap_or_default();
    let block = format!("{chain_id}:{}", record["creation_block_height"]);
    record["creation_block_height"] = block.into();
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_far_as_they_are_numbers() {
        for (text, number) in [
            ("2.3", json!(2.3)),
            ("3", json!(3)),
            ("3.0", json!(3)),
            ("1.1.2", json!(1.1)),
            ("2x", json!(2)),
            ("-1", json!(-1)),
            ("x", json!(0)),
            ("", json!(0)),
            ("NaN", json!(0)),
            ("ก", json!(0)),
        ] {
            assert_eq!(level(Some(text)), number, "{text}");
        }
    }
}
