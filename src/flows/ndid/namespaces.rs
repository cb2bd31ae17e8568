//! `POST /ndid/{create,update,enable,disable}_namespace`: namespaces of
//! identities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{endpoint, transact};
use crate::api::{Call, Endpoint, NoPath, Texts};

/// The table entries.
pub fn endpoints() -> [Endpoint; 4] {
    [
        endpoint("/ndid/create_namespace").body::<Namespace>().run(
            |call: Call<NoPath, Texts, Namespace>| async move {
                let params = json!(call.body);
                transact(&call, "AddNamespace", params, 201).await
            },
        ),
        endpoint("/ndid/update_namespace").body::<Namespace>().run(
            |call: Call<NoPath, Texts, Namespace>| async move {
                let params = json!(call.body);
                transact(&call, "UpdateNamespace", params, 204).await
            },
        ),
        endpoint("/ndid/enable_namespace").body::<Name>().run(
            |call: Call<NoPath, Texts, Name>| async move {
                let params = json!(call.body);
                transact(&call, "EnableNamespace", params, 204).await
            },
        ),
        endpoint("/ndid/disable_namespace").body::<Name>().run(
            |call: Call<NoPath, Texts, Name>| async move {
                let params = json!(call.body);
                transact(&call, "DisableNamespace", params, 204).await
            },
        ),
    ]
}

/// Body that describes a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Namespace {
    /// Its name.
    #[schemars(length(min = 1))]
    namespace: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    description: Option<String>,
    /// How many identifiers of it a reference group may have; -1: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = -1))]
    allowed_identifier_count_in_reference_group: Option<i64>,
    /// How many active ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = -1))]
    allowed_active_identifier_count_in_reference_group: Option<i64>,
}

/// Body that names a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Name {
    /// Its name.
    #[schemars(length(min = 1))]
    namespace: String,
}
