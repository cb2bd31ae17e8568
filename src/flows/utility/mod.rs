//! Look-ups for every role (spec/http-api.md 3.5): one query of the ledger each.

pub mod accessor;
pub mod as_error_codes;
pub mod ases;
pub mod idp_error_codes;
pub mod idps;
pub mod idps_of_identity;
pub mod message;
pub mod namespaces;
pub mod node;
pub mod node_features;
pub mod node_public_keys;
pub mod node_token;
pub mod request;
pub mod request_types;
pub mod service;
pub mod service_price_ceiling;
pub mod service_price_delay;
pub mod service_prices;
pub mod services;
pub mod supported_aals;
pub mod supported_ials;
pub mod suppressed_node;
pub mod suppressed_nodes;

use serde_json::{Map, Value, json};

use crate::api::CallOutcome;
use crate::context::Context;
use crate::error::Error;

pub(super) use node::key;

async fn ask(context: &Context, method: &str, params: Value) -> Result<Option<Value>, Error> {
    let answer = context.ledger.query(method, params, None).await?;
    Ok(answer.map(|answer| answer.as_ref().clone()))
}

/// The ledger's answer unchanged, or 404.
async fn whole(context: &Context, method: &str, params: Value) -> Result<CallOutcome, Error> {
    Ok(CallOutcome::found(ask(context, method, params).await?))
}

/// The ledger's list unchanged; empty without one.
async fn list(context: &Context, method: &str, params: Value) -> Result<CallOutcome, Error> {
    let answer = ask(context, method, params).await?;
    let list = answer.filter(Value::is_array);
    Ok(CallOutcome::Ok(list.unwrap_or_else(|| json!([]))))
}

/// Parameters of a query without absent ones.
fn params<'a>(given: impl IntoIterator<Item = (&'a str, Option<String>)>) -> Value {
    let given = given.into_iter();
    let given = given.filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
    Value::Object(given.collect::<Map<_, _>>())
}

/// A list inside the ledger's answer; empty without one.
fn member_list(answer: Option<Value>, member: &str) -> Value {
    let list = answer.and_then(|mut answer| answer.get_mut(member).map(Value::take));
    list.filter(Value::is_array).unwrap_or_else(|| json!([]))
}

/// An unknown block is null: height 0 or below, or no chain id.
fn with_nullable_creation(mut record: Value) -> Value {
    if let Some(height) = record.get_mut("creation_block_height")
        && height.as_i64().is_none_or(|height| height <= 0)
    {
        *height = Value::Null;
    }
    if let Some(chain_id) = record.get_mut("creation_chain_id")
        && chain_id.as_str().is_none_or(str::is_empty)
    {
        *chain_id = Value::Null;
    }
    record
}

/// `creation_block_height` as `<chain id>:<height>`.
fn with_creation_block(mut record: Value) -> Value {
    let chain_id = record["creation_chain_id"].as_str().unwrap_or_default();
    let block = format!("{chain_id}:{}", record["creation_block_height"]);
    record["creation_block_height"] = block.into();
    record
}
