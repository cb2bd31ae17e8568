//! `POST /ndid/{add,remove}_error_code`: what IdPs and ASes may refuse a request
//! with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::handed_on;
use crate::api::{ApiVersion, Endpoint};

/// The table entries.
pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<Added>(
            "/ndid/add_error_code",
            "Adds an error code that IdPs or ASes may answer with.",
            "AddErrorCode",
            204,
        )
        .since(ApiVersion::V5),
        handed_on::<Removed>(
            "/ndid/remove_error_code",
            "Removes an error code.",
            "RemoveErrorCode",
            204,
        )
        .since(ApiVersion::V5),
    ]
}

/// Body that describes an error code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Added {
    /// The code.
    #[schemars(range(min = 1))]
    error_code: i64,
    /// Who may use it.
    #[serde(rename = "type")]
    user: User,
    /// What it means.
    description: String,
}

/// Body that names an error code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Removed {
    /// The code.
    #[schemars(range(min = 1))]
    error_code: i64,
    /// Who might use it.
    #[serde(rename = "type")]
    user: User,
}

/// Who answers with error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum User {
    /// IdPs.
    Idp,
    /// ASes.
    As,
}
