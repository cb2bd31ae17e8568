//! `POST /ndid/set_allowed_mode_list`: modes that requests of a purpose may have.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::handed_on;
use crate::api::Endpoint;

pub fn endpoints() -> [Endpoint; 1] {
    [handed_on::<AllowedModes>(
        "/ndid/set_allowed_mode_list",
        "Sets the modes that requests of a purpose may have.",
        "SetAllowedModeList",
        204,
    )]
}

/// Body with the modes of a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct AllowedModes {
    /// The identity operation; empty: requests of RPs.
    purpose: String,
    /// The modes.
    #[schemars(schema_with = "modes")]
    allowed_mode_list: Vec<u8>,
}

fn modes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "number", "enum": [1, 2, 3]},
        "uniqueItems": true,
    })
}
