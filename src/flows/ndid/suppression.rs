//! `POST /ndid/{add,remove}_suppressed_identity_modification_notification_node`:
//! IdPs whose changes of identities other IdPs do not hear of.

use super::{NodeIdBody, handed_on};
use crate::api::{ApiVersion, Endpoint};

pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<NodeIdBody>(
            "/ndid/add_suppressed_identity_modification_notification_node",
            "Stops notifications of an IdP's changes of identities.",
            "AddSuppressedIdentityModificationNotificationNode",
            204,
        )
        .since(ApiVersion::V5),
        handed_on::<NodeIdBody>(
            "/ndid/remove_suppressed_identity_modification_notification_node",
            "Starts notifications of an IdP's changes of identities again.",
            "RemoveSuppressedIdentityModificationNotificationNode",
            204,
        )
        .since(ApiVersion::V5),
    ]
}
