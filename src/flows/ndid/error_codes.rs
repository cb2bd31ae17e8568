//! `POST /ndid/{add,remove}_error_code`: the error codes of IdPs and ASes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::handed_on;
use crate::api::{ApiVersion, Endpoint};

pub fn endpoints() -> [Endpoint; 2] {
    [
        handed_on::<AddedCodeBody>(
            "/ndid/add_error_code",
            "Adds an error code that IdPs or ASes may answer with.",
            "AddErrorCode",
            204,
        )
        .since(ApiVersion::V5),
        handed_on::<RemovedCodeBody>(
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
struct AddedCodeBody {
    /// The code.
    #[schemars(range(min = 1))]
    error_code: i64,
    /// Who may use it.
    #[serde(rename = "type")]
    user: CodeUser,
    /// What it means.
    description: String,
}

/// Body that names an error code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct RemovedCodeBody {
    /// The code.
    #[schemars(range(min = 1))]
    error_code: i64,
    /// Who may use it.
    #[serde(rename = "type")]
    user: CodeUser,
}

/// Who answers with error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum CodeUser {
    /// IdPs.
    Idp,
    /// ASes.
    As,
}
