//! Nodes, their keys, addresses and tokens (spec/ledger.md 5.3).

use serde_json::{Map, Value, json};

use super::{Query, QueryResponse, key, mq, null_if_empty, number, query};
use crate::devnet::ledger::app::node::{KeyHistory, Node, Role};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::state::State;

pub const QUERIES: &[Query] = &[
    query!("GetNodeInfo", get_node_info),
    query!("GetNodeSigningPublicKey", get_signing_key),
    query!("GetNodeSigningMasterPublicKey", get_master_key),
    query!("GetNodeEncryptionPublicKey", get_encryption_key),
    query!("GetNodePublicKeyList", get_key_list),
    query!("GetMqAddresses", get_mq_addresses),
    query!("GetNodeToken", get_node_token),
    query!("GetNodeIDList", get_node_id_list),
    query!("GetNodesBehindProxyNode", get_nodes_behind_proxy),
    query!(
        "IsSuppressedIdentityModificationNotificationNode",
        is_suppressed
    ),
];

params! {
    struct NodeId {
        node_id: String,
    }

    struct RoleName {
        role: String,
    }

    struct ProxyId {
        proxy_node_id: String,
    }
}

fn get_node_info(state: &State, params: NodeId, _height: i64) -> QueryResponse {
    let Some(node) = state.nodes.get(&params.node_id) else {
        return QueryResponse::not_found(&json!({}));
    };
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("signing_public_key", key(node.signing.current()));
    put("signing_master_public_key", key(node.master.current()));
    put("encryption_public_key", key(node.encryption.current()));
    put("node_name", json!(node.name));
    put("role", json!(node.role.text()));
    if node.role == Role::Idp {
        put("max_ial", number(node.max_ial));
        put("max_aal", number(node.max_aal));
    }
    put("supported_feature_list", json!(node.features));
    if node.role == Role::Idp {
        put(
            "supported_request_message_data_url_type_list",
            json!(node.data_url_types),
        );
        put("agent", json!(node.agent));
    }
    if matches!(node.role, Role::Idp | Role::Rp) {
        put("node_id_whitelist_active", json!(node.whitelist_active));
        if node.whitelist_active {
            put("node_id_whitelist", null_if_empty(&node.whitelist));
        }
    }
    if let Some(behind) = &node.proxy
        && let Some(proxy) = state.nodes.get(&behind.proxy_id)
    {
        put("proxy", proxy_of_node_info(proxy, &behind.config));
    }
    put("mq", mq(&node.mq));
    put("active", json!(node.active));
    QueryResponse::found(&Value::Object(members))
}

fn proxy_of_node_info(proxy: &Node, config: &str) -> Value {
    json!({
        "node_id": proxy.id,
        "node_name": proxy.name,
        "signing_public_key": key(proxy.signing.current()),
        "signing_master_public_key": key(proxy.master.current()),
        "encryption_public_key": key(proxy.encryption.current()),
        "mq": mq(&proxy.mq),
        "config": config,
    })
}

fn current_key(state: &State, id: &str, kind: impl Fn(&Node) -> &KeyHistory) -> QueryResponse {
    match state.nodes.get(id) {
        Some(node) => QueryResponse::found(&key(kind(node).current())),
        None => QueryResponse::not_found(&json!({
            "public_key": "",
            "algorithm": "",
            "version": 0,
            "creation_block_height": 0,
            "creation_chain_id": "",
            "active": false,
        })),
    }
}

fn get_signing_key(state: &State, params: NodeId, _height: i64) -> QueryResponse {
    current_key(state, &params.node_id, |node| &node.signing)
}

fn get_master_key(state: &State, params: NodeId, _height: i64) -> QueryResponse {
    current_key(state, &params.node_id, |node| &node.master)
}

fn get_encryption_key(state: &State, params: NodeId, _height: i64) -> QueryResponse {
    current_key(state, &params.node_id, |node| &node.encryption)
}

fn get_key_list(state: &State, params: NodeId, _height: i64) -> QueryResponse {
    let Some(node) = state.nodes.get(&params.node_id) else {
        return QueryResponse::not_found(&json!({}));
    };
    let all = |history: &KeyHistory| -> Value {
        let keys = history.by_version_text();
        keys.into_iter().map(key).collect()
    };
    QueryResponse::found(&json!({
        "signing_public_key_list": all(&node.signing),
        "signing_master_public_key_list": all(&node.master),
        "encryption_public_key_list": all(&node.encryption),
    }))
}

fn get_mq_addresses(state: &State, params: NodeId, _height: i64) -> QueryResponse {
    match state.nodes.get(&params.node_id) {
        None => QueryResponse::not_found(&json!([])),
        Some(node) if node.mq.is_empty() => QueryResponse::not_found(&Value::Null),
        Some(node) => QueryResponse::found(&mq(&node.mq)),
    }
}

fn get_node_token(state: &State, params: NodeId, _height: i64) -> QueryResponse {
    match state.tokens.get(&params.node_id) {
        Some(amount) => QueryResponse::found(&json!({"amount": number(*amount)})),
        None => QueryResponse::not_found(&json!({})),
    }
}

fn get_node_id_list(state: &State, params: RoleName, _height: i64) -> QueryResponse {
    let role = match Role::of_registration(&params.role) {
        // The replaced application keeps no list of proxies.
        Some(Role::Proxy) | None => None,
        role => role,
    };
    let active = state.nodes_of_role(role).filter(|node| node.active);
    let ids: Vec<&str> = active.map(|node| node.id.as_str()).collect();
    let value = json!({"node_id_list": ids});
    if ids.is_empty() {
        return QueryResponse::not_found(&value);
    }
    QueryResponse::found(&value)
}

fn get_nodes_behind_proxy(state: &State, params: ProxyId, _height: i64) -> QueryResponse {
    let ids = state.behind_proxy.get(&params.proxy_node_id);
    let nodes = ids.into_iter().flatten();
    let nodes = nodes.filter_map(|id| state.nodes.get(id));
    let rows: Vec<Value> = nodes.map(row_behind_proxy).collect();
    let empty = rows.is_empty();
    let value = json!({ "nodes": rows });
    if empty {
        return QueryResponse::not_found(&value);
    }
    QueryResponse::found(&value)
}

fn row_behind_proxy(node: &Node) -> Value {
    let mut row = json!({
        "node_id": node.id,
        "node_name": node.name,
        "role": node.role.text(),
        "signing_public_key": key(node.signing.current()),
        "signing_master_public_key": key(node.master.current()),
        "encryption_public_key": key(node.encryption.current()),
        "supported_feature_list": null_if_empty(&node.features),
        "config": node.proxy.as_ref().map(|behind| behind.config.as_str()).unwrap_or_default(),
    });
    if node.role == Role::Idp {
        row["max_ial"] = number(node.max_ial);
        row["max_aal"] = number(node.max_aal);
        row["agent"] = json!(node.agent);
        row["supported_request_message_data_url_type_list"] = null_if_empty(&node.data_url_types);
    }
    row
}

fn is_suppressed(state: &State, params: NodeId, _height: i64) -> QueryResponse {
    let suppressed = state.suppressed.contains(&params.node_id);
    QueryResponse::found(&json!({"suppressed": suppressed}))
}
