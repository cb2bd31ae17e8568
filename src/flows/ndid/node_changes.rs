//! `POST /ndid/{update_node,enable_node,disable_node}`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Number, Value, json};

use super::{NodeIdBody, endpoint, handed_on, transact};
use crate::api::{ApiCall, ApiVersion, CallOutcome, Endpoint, NoPath, Texts};
use crate::error::Error;
use crate::flows::levels;
use crate::ledger::Ledger;

/// The feature that clients of older versions know.
const ON_THE_FLY: &str = "on_the_fly";

pub fn endpoints() -> [Endpoint; 3] {
    [
        endpoint("/ndid/update_node", "Changes what is registered of a node.")
            .body::<NodeChangeBody>()
            .run(update),
        handed_on::<NodeIdBody>("/ndid/enable_node", "Enables a node.", "EnableNode", 204),
        handed_on::<NodeIdBody>("/ndid/disable_node", "Disables a node.", "DisableNode", 204),
    ]
}

/// Body that changes a node. The ledger gets all of it, also unknown members; absent
/// members do not change.
#[derive(Debug, Clone, PartialEq)]
struct NodeChangeBody {
    whole: Value,
    known: KnownMembers,
}

impl<'de> Deserialize<'de> for NodeChangeBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = Value::deserialize(deserializer)?;
        let known = KnownMembers::deserialize(&whole).map_err(de::Error::custom)?;
        Ok(Self { whole, known })
    }
}

impl JsonSchema for NodeChangeBody {
    fn schema_name() -> Cow<'static, str> {
        KnownMembers::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        KnownMembers::json_schema(generator)
    }
}

/// The known members.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
struct KnownMembers {
    /// Which node.
    #[schemars(length(min = 1))]
    node_id: String,
    /// Its name.
    #[serde(default)]
    #[schemars(length(min = 1))]
    node_name: Option<String>,
    /// The highest IAL of an IdP.
    #[serde(default)]
    max_ial: Option<Number>,
    /// Its highest AAL.
    #[serde(default)]
    max_aal: Option<Number>,
    /// Optional features that it supports.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    supported_feature_list: Option<Vec<String>>,
    /// Whether it is an IdP agent.
    #[serde(default)]
    agent: Option<bool>,
    /// Whether it deals only with the nodes of its white list.
    #[serde(default)]
    node_id_whitelist_active: Option<bool>,
    /// Its white list.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    node_id_whitelist: Option<Vec<String>>,
}

async fn update(call: ApiCall<NoPath, Texts, NodeChangeBody>) -> Result<CallOutcome, Error> {
    let known = &call.body.known;
    let ledger = call.context.ledger.as_ref();
    // The ledger reads 0 as absent.
    let given = |level: &'_ Option<Number>| level.clone().filter(|level| !levels::is_zero(level));
    let (ial, aal) = (given(&known.max_ial), given(&known.max_aal));
    levels::check_supported(ledger, ial.as_ref(), aal.as_ref()).await?;
    let mut params = call.body.whole.clone();
    if call.version < ApiVersion::V6 {
        keep_other_features(ledger, &known.node_id, &mut params).await?;
    }
    transact(&call, "UpdateNodeByNDID", params, 204).await
}

/// Clients of older versions know one feature, as a flag. The node's other features
/// stay; without the flag all stay (spec/http-api-v4-v5.md 14, Q2).
async fn keep_other_features(
    ledger: &dyn Ledger,
    node_id: &str,
    params: &mut Value,
) -> Result<(), Error> {
    let flag = params.as_object_mut();
    let flag = flag.and_then(|members| members.shift_remove("on_the_fly_support"));
    let Some(is_wanted) = flag.and_then(|flag| flag.as_bool()) else {
        return Ok(());
    };
    let node = ledger
        .query("GetNodeInfo", json!({"node_id": node_id}), None)
        .await?;
    let features = node
        .as_ref()
        .and_then(|node| node["supported_feature_list"].as_array());
    let mut features = features.cloned().unwrap_or_default();
    features.retain(|feature| feature != ON_THE_FLY);
    if is_wanted {
        features.push(ON_THE_FLY.into());
    }
    params["supported_feature_list"] = features.into();
    Ok(())
}
