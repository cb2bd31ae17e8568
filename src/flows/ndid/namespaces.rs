//! `POST /ndid/{create,update,enable,disable}_namespace`: namespaces of
//! identities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::handed_on;
use crate::api::Endpoint;

pub fn endpoints() -> [Endpoint; 4] {
    [
        handed_on::<NamespaceBody>(
            "/ndid/create_namespace",
            "Adds a namespace of identities.",
            "AddNamespace",
            201,
        ),
        handed_on::<NamespaceBody>(
            "/ndid/update_namespace",
            "Changes a namespace.",
            "UpdateNamespace",
            204,
        ),
        handed_on::<NamespaceNameBody>(
            "/ndid/enable_namespace",
            "Enables a namespace.",
            "EnableNamespace",
            204,
        ),
        handed_on::<NamespaceNameBody>(
            "/ndid/disable_namespace",
            "Disables a namespace.",
            "DisableNamespace",
            204,
        ),
    ]
}

/// Body that describes a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct NamespaceBody {
    /// Its name.
    #[schemars(length(min = 1))]
    namespace: String,
    /// Its purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    description: Option<String>,
    /// How many identifiers of it a reference group may have; -1: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = -1))]
    allowed_identifier_count_in_reference_group: Option<i64>,
    /// How many active ones; -1: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = -1))]
    allowed_active_identifier_count_in_reference_group: Option<i64>,
}

/// Body that names a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct NamespaceNameBody {
    /// Its name.
    #[schemars(length(min = 1))]
    namespace: String,
}
