//! `POST /ndid/set_validator`: the validators of the chain.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::handed_on;
use crate::api::Endpoint;

pub fn endpoints() -> [Endpoint; 1] {
    [handed_on::<ValidatorBody>(
        "/ndid/set_validator",
        "Sets the voting power of a validator of the chain.",
        "SetValidator",
        204,
    )]
}

/// Body with the power of a validator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct ValidatorBody {
    /// Its key: base64 of an Ed25519 key.
    #[schemars(length(min = 1))]
    public_key: String,
    /// Its voting power; 0 removes it.
    #[schemars(range(min = 0))]
    power: Number,
}
