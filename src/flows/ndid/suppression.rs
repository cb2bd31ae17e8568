//! `POST /ndid/{add,remove}_suppressed_identity_modification_notification_node`:
//! IdPs whose changes of identities are not told to the other IdPs.

use super::{OfNode, handed_on};
use crate::api::Endpoint;

/// The table entries.
pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<OfNode>(
            "/ndid/add_suppressed_identity_modification_notification_node",
            "AddSuppressedIdentityModificationNotificationNode",
            204,
        ),
        handed_on::<OfNode>(
            "/ndid/remove_suppressed_identity_modification_notification_node",
            "RemoveSuppressedIdentityModificationNotificationNode",
            204,
        ),
    ]
}
