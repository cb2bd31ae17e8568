//! `POST /ndid/{set,add,reduce}_node_token`: the tokens that pay for transactions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::handed_on;
use crate::api::Endpoint;

pub fn endpoints() -> [Endpoint; 3] {
    [
        handed_on::<TokenBody>(
            "/ndid/set_node_token",
            "Sets the tokens of a node.",
            "SetNodeToken",
            204,
        ),
        handed_on::<TokenBody>(
            "/ndid/add_node_token",
            "Gives a node more tokens.",
            "AddNodeToken",
            204,
        ),
        handed_on::<TokenBody>(
            "/ndid/reduce_node_token",
            "Takes tokens from a node.",
            "ReduceNodeToken",
            204,
        ),
    ]
}

/// Body with an amount of a node's tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct TokenBody {
    /// The node.
    #[schemars(length(min = 1))]
    node_id: String,
    /// How many.
    #[schemars(range(min = 0))]
    amount: Number,
}
