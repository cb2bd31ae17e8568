//! `POST /ndid/{add,remove}_request_type`: types that requests may have.

use super::{Name, handed_on};
use crate::api::Endpoint;

/// The table entries.
pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<Name>("/ndid/add_request_type", "AddRequestType", 204),
        handed_on::<Name>("/ndid/remove_request_type", "RemoveRequestType", 204),
    ]
}
