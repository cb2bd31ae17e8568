//! `POST /ndid/{add,remove}_request_type`: types that requests may have.

use super::{NameBody, handed_on};
use crate::api::{ApiVersion, Endpoint};

pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<NameBody>(
            "/ndid/add_request_type",
            "Adds a type that requests may have.",
            "AddRequestType",
            204,
        )
        .since(ApiVersion::V5),
        handed_on::<NameBody>(
            "/ndid/remove_request_type",
            "Removes a type of requests.",
            "RemoveRequestType",
            204,
        )
        .since(ApiVersion::V5),
    ]
}
