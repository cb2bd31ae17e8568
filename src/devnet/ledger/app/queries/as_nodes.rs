//! ASes and what they offer (spec/ledger.md 5.3).

use serde_json::{Value, json};

use super::idp_nodes::proxy_members;
use super::{Query, QueryResponse, SERVICE_NOT_ACTIVE, key, mq, number, query};
use crate::devnet::ledger::app::node::Node;
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::state::{Offer, State};

pub const QUERIES: &[Query] = &[
    query!("GetAsNodesByServiceId", get_as_nodes),
    query!("GetAsNodesInfoByServiceId", get_as_nodes_info),
    query!("GetServicesByAsID", get_services_of_as),
];

params! {
    struct ServiceId {
        service_id: String,
    }

    struct AsFilter {
        service_id: String,
        node_id_list: Vec<String>,
    }

    struct AsId {
        as_id: String,
    }
}

/// Offers of the service that are active, approved and of an active AS.
pub fn usable_offers<'a>(
    state: &'a State,
    service_id: &'a str,
) -> impl Iterator<Item = (&'a Offer, &'a Node)> {
    let offers = state.destinations.get(service_id).into_iter().flatten();
    offers
        .filter(|offer| offer.active)
        .filter(|offer| state.approval(service_id, &offer.id) == Some(true))
        .filter_map(|offer| Some((offer, state.nodes.get(&offer.id)?)))
        .filter(|(_, node)| node.active)
}

/// The answer when there is nothing to list: no destination, or a disabled
/// service.
fn nothing_to_list(state: &State, service_id: &str) -> Option<QueryResponse> {
    let nothing = json!({"node": []});
    match state.service(service_id) {
        Ok(_) if !state.destinations.contains_key(service_id) => {
            Some(QueryResponse::not_found(&nothing))
        }
        Ok(service) if !service.active => {
            Some(QueryResponse::with_log(SERVICE_NOT_ACTIVE, &nothing))
        }
        Ok(_) => None,
        Err(_) => Some(QueryResponse::not_found(&nothing)),
    }
}

fn get_as_nodes(state: &State, params: ServiceId, _height: i64) -> QueryResponse {
    if let Some(answer) = nothing_to_list(state, &params.service_id) {
        return answer;
    }
    let rows: Vec<Value> = usable_offers(state, &params.service_id)
        .map(|(offer, node)| {
            json!({
                "node_id": node.id,
                "node_name": node.name,
                "min_ial": number(offer.min_ial),
                "min_aal": number(offer.min_aal),
                "supported_namespace_list": offer.namespaces,
            })
        })
        .collect();
    let empty = rows.is_empty();
    let value = json!({ "node": rows });
    if empty {
        return QueryResponse::not_found(&value);
    }
    QueryResponse::found(&value)
}

fn get_as_nodes_info(state: &State, params: AsFilter, _height: i64) -> QueryResponse {
    if let Some(answer) = nothing_to_list(state, &params.service_id) {
        return answer;
    }
    let wanted = |id: &String| params.node_id_list.is_empty() || params.node_id_list.contains(id);
    let rows: Vec<Value> = usable_offers(state, &params.service_id)
        .filter(|(_, node)| wanted(&node.id))
        .filter_map(|(offer, node)| info_row(state, offer, node))
        .collect();
    QueryResponse::found(&json!({ "node": rows }))
}

/// `None` if the proxy of the AS is missing or disabled.
fn info_row(state: &State, offer: &Offer, node: &Node) -> Option<Value> {
    let mut row = json!({
        "node_id": node.id,
        "name": node.name,
        "min_ial": number(offer.min_ial),
        "min_aal": number(offer.min_aal),
        "signing_public_key": key(node.signing.current()),
        "encryption_public_key": key(node.encryption.current()),
        "supported_namespace_list": offer.namespaces,
    });
    match &node.proxy {
        None => row["mq"] = mq(&node.mq),
        Some(behind) => {
            let proxy = state
                .nodes
                .get(&behind.proxy_id)
                .filter(|proxy| proxy.active)?;
            row["proxy"] = proxy_members(proxy, &behind.config);
        }
    }
    Some(row)
}

fn get_services_of_as(state: &State, params: AsId, _height: i64) -> QueryResponse {
    let active = state
        .nodes
        .get(&params.as_id)
        .is_some_and(|node| node.active);
    let offers = state.provided.get(&params.as_id).filter(|_| active);
    let rows: Vec<Value> = offers
        .into_iter()
        .flatten()
        .filter_map(|offer| service_row(state, &params.as_id, offer))
        .collect();
    let empty = rows.is_empty();
    let value = json!({ "services": rows });
    if empty {
        return QueryResponse::not_found(&value);
    }
    QueryResponse::found(&value)
}

fn service_row(state: &State, as_id: &str, offer: &Offer) -> Option<Value> {
    let approved = state.approval(&offer.id, as_id)?;
    state
        .service(&offer.id)
        .ok()
        .filter(|service| service.active)?;
    Some(json!({
        "service_id": offer.id,
        "min_ial": number(offer.min_ial),
        "min_aal": number(offer.min_aal),
        "active": offer.active,
        "suspended": !approved,
        "supported_namespace_list": offer.namespaces,
    }))
}
