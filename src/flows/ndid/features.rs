//! `POST /ndid/{add,remove}_allowed_node_supported_feature`: features that nodes may
//! have.

use super::{NameBody, handed_on};
use crate::api::{ApiVersion, Endpoint};

pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<NameBody>(
            "/ndid/add_allowed_node_supported_feature",
            "Adds a feature that nodes may have.",
            "AddAllowedNodeSupportedFeature",
            204,
        )
        .since(ApiVersion::V6),
        handed_on::<NameBody>(
            "/ndid/remove_allowed_node_supported_feature",
            "Removes a feature that nodes may have.",
            "RemoveAllowedNodeSupportedFeature",
            204,
        )
        .since(ApiVersion::V6),
    ]
}
