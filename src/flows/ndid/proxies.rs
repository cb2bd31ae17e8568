//! `POST /ndid/{add_node_to_proxy_node,update_node_proxy_node,remove_node_from_proxy_node}`:
//! who works for whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OfNode, handed_on};
use crate::api::Endpoint;

/// The table entries.
pub fn endpoints() -> [Endpoint; 3] {
    [
        handed_on::<Added>(
            "/ndid/add_node_to_proxy_node",
            "Puts a node behind a proxy.",
            "AddNodeToProxyNode",
            204,
        ),
        handed_on::<Moved>(
            "/ndid/update_node_proxy_node",
            "Puts a node behind another proxy, or changes who holds its keys.",
            "UpdateNodeProxyNode",
            204,
        ),
        handed_on::<OfNode>(
            "/ndid/remove_node_from_proxy_node",
            "Takes a node out from behind its proxy.",
            "RemoveNodeFromProxyNode",
            204,
        ),
    ]
}

/// Body that puts a node behind a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Added {
    /// The node.
    #[schemars(length(min = 1))]
    node_id: String,
    /// The proxy.
    #[schemars(length(min = 1))]
    proxy_node_id: String,
    /// Who has the node's keys.
    config: KeyHolder,
}

/// Body that puts it behind another proxy, or changes who has the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Moved {
    /// The node.
    #[schemars(length(min = 1))]
    node_id: String,
    /// The proxy.
    #[schemars(length(min = 1))]
    proxy_node_id: String,
    /// Who has the node's keys; without: as before.
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
