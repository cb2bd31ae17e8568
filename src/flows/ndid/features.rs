//! `POST /ndid/{add,remove}_allowed_node_supported_feature`: features that nodes
//! may be said to have.

use super::{Name, handed_on};
use crate::api::Endpoint;

/// The table entries.
pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<Name>(
            "/ndid/add_allowed_node_supported_feature",
            "AddAllowedNodeSupportedFeature",
            204,
        ),
        handed_on::<Name>(
            "/ndid/remove_allowed_node_supported_feature",
            "RemoveAllowedNodeSupportedFeature",
            204,
        ),
    ]
}
