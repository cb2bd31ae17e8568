//! `POST /ndid/{set_supported_ial_list,set_supported_aal_list,set_allowed_min_ial_for_register_identity_at_first_idp,get_allowed_min_ial_for_register_identity_at_first_idp}`:
//! assurance levels of the network.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Number, json};

use super::{endpoint, handed_on, transact};
use crate::api::{ApiCall, ApiVersion, CallOutcome, Endpoint, NoPath, Texts};
use crate::error::Error;
use crate::flows::levels;
use crate::ledger::query;

pub fn endpoints() -> [Endpoint; 4] {
    [
        handed_on::<IalsBody>(
            "/ndid/set_supported_ial_list",
            "Sets the IALs of the network.",
            "SetSupportedIALList",
            204,
        )
        .since(ApiVersion::V6),
        handed_on::<AalsBody>(
            "/ndid/set_supported_aal_list",
            "Sets the AALs of the network.",
            "SetSupportedAALList",
            204,
        )
        .since(ApiVersion::V6),
        endpoint(
            "/ndid/set_allowed_min_ial_for_register_identity_at_first_idp",
            "Sets the lowest IAL at which a first IdP may register an identity.",
        )
        .body::<FirstIdpBody>()
        .run(set_first_idp),
        endpoint(
            "/ndid/get_allowed_min_ial_for_register_identity_at_first_idp",
            "Tells the lowest IAL at which a first IdP may register an identity.",
        )
        .tells(json!({"min_ial": "number"}))
        .run(first_idp),
    ]
}

/// Body with the IALs of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct IalsBody {
    /// The complete list.
    #[schemars(schema_with = "levels_from_zero")]
    supported_ial_list: Vec<Number>,
}

/// Body with the AALs of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct AalsBody {
    /// The complete list.
    #[schemars(schema_with = "levels_from_zero")]
    supported_aal_list: Vec<Number>,
}

fn levels_from_zero(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "number", "minimum": 0}})
}

/// Body with the lowest IAL at which an identity may be registered first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct FirstIdpBody {
    /// The IAL.
    min_ial: Number,
}

async fn set_first_idp(call: ApiCall<NoPath, Texts, FirstIdpBody>) -> Result<CallOutcome, Error> {
    let ledger = call.context.ledger.as_ref();
    levels::check_supported(ledger, Some(&call.body.min_ial), None).await?;
    let method = "SetAllowedMinIalForRegisterIdentityAtFirstIdp";
    transact(&call, method, json!(call.body), 204).await
}

async fn first_idp(call: ApiCall) -> Result<CallOutcome, Error> {
    let min_ial = query::first_idp_min_ial(call.context.ledger.as_ref()).await?;
    Ok(CallOutcome::Ok(json!({"min_ial": min_ial})))
}
