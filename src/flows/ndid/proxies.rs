//! `POST
//! /ndid/{add_node_to_proxy_node,update_node_proxy_node,remove_node_from_proxy_node}`:
//! the nodes behind proxies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NodeIdBody, handed_on};
use crate::api::Endpoint;

pub fn endpoints() -> [Endpoint; 3] {
    [
        handed_on::<AddedNodeBody>(
            "/ndid/add_node_to_proxy_node",
            "Puts a node behind a proxy.",
            "AddNodeToProxyNode",
            204,
        ),
        handed_on::<MovedNodeBody>(
            "/ndid/update_node_proxy_node",
            "Puts a node behind another proxy, or changes who holds its keys.",
            "UpdateNodeProxyNode",
            204,
        ),
        handed_on::<NodeIdBody>(
            "/ndid/remove_node_from_proxy_node",
            "Takes a node out from behind its proxy.",
            "RemoveNodeFromProxyNode",
            204,
        ),
    ]
}

/// Body that puts a node behind a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct AddedNodeBody {
    /// The node.
    #[schemars(length(min = 1))]
    node_id: String,
    /// The proxy.
    #[schemars(length(min = 1))]
    proxy_node_id: String,
    /// Who has the node's keys.
    config: KeyHolder,
}

/// Body that moves a node behind another proxy, or changes who has its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct MovedNodeBody {
    /// The node.
    #[schemars(length(min = 1))]
    node_id: String,
    /// The proxy.
    #[schemars(length(min = 1))]
    proxy_node_id: String,
    /// Who has the node's keys; without: no change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeyHolder")]
    config: Option<KeyHolder>,
}

/// Who has the keys of a node behind a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum KeyHolder {
    /// The proxy.
    KeyOnProxy,
    /// The node.
    KeyOnNode,
}
