//! `POST /ndid/{init_ndid,end_init,set_last_block}`: the beginning and the end
//! of a chain.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{endpoint, handed_on, transact};
use crate::api::{ApiCall, CallOutcome, Endpoint, NoPath, Texts};
use crate::error::Error;
use crate::flows::node::public_keys::PublicKeys;

pub fn endpoints() -> [Endpoint; 3] {
    [
        endpoint(
            "/ndid/init_ndid",
            "Makes this node the NDID of a new chain.",
        )
        .body::<InitBody>()
        .run(init),
        endpoint("/ndid/end_init", "Ends the initialisation of a new chain.")
            .run(|call: ApiCall| async move { transact(&call, "EndInit", json!({}), 204).await }),
        handed_on::<LastBlockBody>(
            "/ndid/set_last_block",
            "Says after which block the chain takes no more transactions.",
            "SetLastBlock",
            204,
        ),
    ]
}

/// Body that makes this node the chain's NDID.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct InitBody {
    /// Its keys.
    #[serde(flatten)]
    keys: PublicKeys,
    /// The chains before this one, as the JSON text that other nodes will read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    chain_history_info: Option<String>,
}

async fn init(call: ApiCall<NoPath, Texts, InitBody>) -> Result<CallOutcome, Error> {
    call.body.keys.check()?;
    let mut params = json!({"node_id": call.node_id});
    if let (Some(params), serde_json::Value::Object(body)) =
        (params.as_object_mut(), json!(call.body))
    {
        params.extend(body);
    }
    transact(&call, "InitNDID", params, 204).await
}

/// Body that says which block is the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct LastBlockBody {
    /// Its height; 0: the next one; -1: the chain goes on.
    #[schemars(range(min = -1))]
    block_height: i64,
}
