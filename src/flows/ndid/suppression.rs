//! `POST /ndid/{add,remove}_suppressed_identity_modification_notification_node`:
//! IdPs whose changes of identities are not told to the other IdPs.

use super::{OfNode, handed_on};
use crate::api::{ApiVersion, Endpoint};

/// The table entries.
pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<OfNode>(
            "/ndid/add_suppressed_identity_modification_notification_node",
            "Stops notifications of an IdP's changes of identities.",
            "AddSuppressedIdentityModificationNotificationNode",
            204,
        )
        .since(ApiVersion::V5),
        handed_on::<OfNode>(
            "/ndid/remove_suppressed_identity_modification_notification_node",
            "Starts notifications of an IdP's changes of identities again.",
            "RemoveSuppressedIdentityModificationNotificationNode",
            204,
        )
        .since(ApiVersion::V5),
    ]
}
