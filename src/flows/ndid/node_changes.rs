//! `POST /ndid/{update_node,enable_node,disable_node}`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Number, Value};

use super::{OfNode, endpoint, handed_on, transact};
use crate::api::{Call, Endpoint, NoPath, Outcome, Texts};
use crate::error::Error;
use crate::flows::levels;

/// The table entries.
pub fn endpoints() -> [Endpoint; 3] {
    [
        endpoint("/ndid/update_node", "Changes what is registered of a node.")
            .body::<Change>()
            .run(update),
        handed_on::<OfNode>("/ndid/enable_node", "Enables a node.", "EnableNode", 204),
        handed_on::<OfNode>("/ndid/disable_node", "Disables a node.", "DisableNode", 204),
    ]
}

/// Body that changes a node. The ledger is sent all of it, also members that
/// are not known here; what is absent stays as it is.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    whole: Value,
    known: Known,
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = Value::deserialize(deserializer)?;
        let known = Known::deserialize(&whole).map_err(de::Error::custom)?;
        Ok(Self { whole, known })
    }
}

impl JsonSchema for Change {
    fn schema_name() -> Cow<'static, str> {
        Known::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Known::json_schema(generator)
    }
}

/// The members that are known here.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
struct Known {
    /// Which node.
    #[schemars(length(min = 1))]
    node_id: String,
    /// What it is called.
    #[serde(default)]
    #[schemars(length(min = 1))]
    node_name: Option<String>,
    /// The highest IAL of an IdP.
    #[serde(default)]
    max_ial: Option<Number>,
    /// Its highest AAL.
    #[serde(default)]
    max_aal: Option<Number>,
    /// What it can do beyond the rest.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    supported_feature_list: Option<Vec<String>>,
    /// Whether it is an IdP that only answers.
    #[serde(default)]
    agent: Option<bool>,
    /// Whether it deals with listed nodes only.
    #[serde(default)]
    node_id_whitelist_active: Option<bool>,
    /// Those.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    node_id_whitelist: Option<Vec<String>>,
}

async fn update(call: Call<NoPath, Texts, Change>) -> Result<Outcome, Error> {
    let known = &call.body.known;
    let ledger = call.context.ledger.as_ref();
    // 0 is what the ledger takes for absent.
    let given = |level: &'_ Option<Number>| level.clone().filter(|level| !levels::is_zero(level));
    let (ial, aal) = (given(&known.max_ial), given(&known.max_aal));
    levels::check_supported(ledger, ial.as_ref(), aal.as_ref()).await?;
    let params = call.body.whole.clone();
    transact(&call, "UpdateNodeByNDID", params, 204).await
}
