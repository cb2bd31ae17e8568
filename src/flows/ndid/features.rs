//! `POST /ndid/{add,remove}_allowed_node_supported_feature`: features that nodes
//! may be said to have.

use super::{Name, handed_on};
use crate::api::{ApiVersion, Endpoint};

/// The table entries.
pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<Name>(
            "/ndid/add_allowed_node_supported_feature",
            "Adds a feature that nodes may have.",
            "AddAllowedNodeSupportedFeature",
            204,
        )
        .since(ApiVersion::V6),
        handed_on::<Name>(
            "/ndid/remove_allowed_node_supported_feature",
            "Removes a feature that nodes may have.",
            "RemoveAllowedNodeSupportedFeature",
            204,
        )
        .since(ApiVersion::V6),
    ]
}
