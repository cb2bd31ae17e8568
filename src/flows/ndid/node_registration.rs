//! `POST /ndid/register_node` and `POST /node/create`: a node joins the network.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Number, json};

use super::{KEY, endpoint, transact};
use crate::api::{ApiCall, CallOutcome, Endpoint, NoPath, Success, Texts};
use crate::context::Context;
use crate::error::{Error, codes};
use crate::flows::ledger_call::{LedgerCall, ResultRecipient};
use crate::flows::levels;
use crate::flows::node::public_keys::PublicKeys;
use crate::flows::reply::ReplyTo;

const METHOD: &str = "RegisterNode";
/// `type` of the callback.
const RESULT: &str = "create_node_result";

pub fn endpoints() -> [Endpoint; 2] {
    [
        endpoint("/ndid/register_node", "Registers a node.")
            .body::<NodeBody>()
            .answers(Success::empty(201))
            .run(register),
        endpoint(
            "/node/create",
            "Registers a node, for a client that does not wait.",
        )
        .body::<UnawaitedNodeBody>()
        .answers(Success::empty(202))
        .run(create),
    ]
}

/// Body that describes a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct NodeBody {
    /// Its id.
    #[schemars(length(min = 1))]
    node_id: String,
    /// Its name.
    #[schemars(length(min = 1))]
    node_name: String,
    /// Its keys.
    #[serde(flatten)]
    keys: PublicKeys,
    /// What it does.
    role: NodeRole,
    /// The highest IAL of an IdP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_ial: Option<Number>,
    /// Its highest AAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_aal: Option<Number>,
    /// Optional features that it supports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(length(min = 1)))]
    supported_feature_list: Option<Vec<String>>,
    /// Whether it is an IdP agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<bool>,
    /// Whether it deals only with the nodes of its white list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_id_whitelist_active: Option<bool>,
    /// Its white list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(length(min = 1)))]
    node_id_whitelist: Option<Vec<String>>,
}

/// Body that describes a node, for a client that does not wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct UnawaitedNodeBody {
    /// `reference_id` and `callback_url`.
    #[serde(flatten, skip_serializing)]
    reply: ReplyTo,
    /// Its id.
    #[schemars(length(min = 1))]
    node_id: String,
    /// Its name.
    #[schemars(length(min = 1))]
    node_name: String,
    /// Its keys.
    #[serde(flatten)]
    keys: PublicKeys,
    /// What it does.
    #[schemars(schema_with = "roles_but_proxy")]
    role: NodeRole,
    /// The highest IAL of an IdP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_ial: Option<Number>,
    /// Its highest AAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_aal: Option<Number>,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum NodeRole {
    /// It makes requests.
    Rp,
    /// It knows identities.
    Idp,
    /// It has data.
    As,
    /// It works for others.
    Proxy,
}

fn roles_but_proxy(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["rp", "idp", "as"]})
}

async fn register(call: ApiCall<NoPath, Texts, NodeBody>) -> Result<CallOutcome, Error> {
    let node = &call.body;
    node.keys.check()?;
    check_levels(&call.context, node.role, &node.max_ial, &node.max_aal).await?;
    transact(&call, METHOD, json!(node), 201).await
}

async fn create(call: ApiCall<NoPath, Texts, UnawaitedNodeBody>) -> Result<CallOutcome, Error> {
    let node = &call.body;
    node.keys.check()?;
    check_levels(&call.context, node.role, &node.max_ial, &node.max_aal).await?;
    let asked = LedgerCall {
        node_id: call.node_id.clone(),
        method: METHOD,
        params: json!(node),
        key: KEY.to_owned(),
        writes: Vec::new(),
        recipient: ResultRecipient::Callback {
            reply: node.reply.clone(),
            kind: RESULT.to_owned(),
            node_id: call.node_id.clone(),
        },
    };
    asked.start(&call.context).await
}

/// Only an IdP has levels, and NDID must support them.
async fn check_levels(
    context: &Context,
    role: NodeRole,
    max_ial: &Option<Number>,
    max_aal: &Option<Number>,
) -> Result<(), Error> {
    let misfit = |text: &str| Err(Error::with_message(codes::UNKNOWN_ERROR, text));
    match (role, max_ial, max_aal) {
        (NodeRole::Idp, Some(ial), Some(aal)) => {
            let ledger = context.ledger.as_ref();
            levels::check_supported(ledger, Some(ial), Some(aal)).await
        }
        (NodeRole::Idp, ..) => misfit("An IdP needs \"max_ial\" and \"max_aal\""),
        (_, None, None) => Ok(()),
        _ => misfit("Only an IdP has \"max_ial\" and \"max_aal\""),
    }
}
