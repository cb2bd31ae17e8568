//! Lists of what is allowed (spec/ledger.md 5.2, 5.3).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Query, QueryResponse, numbers, query};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::state::State;

pub const QUERIES: &[Query] = &[
    query!("GetAllowedModeList", get_allowed_modes),
    query!("GetSupportedIALList", no params, get_ials),
    query!("GetSupportedAALList", no params, get_aals),
    query!("GetRequestTypeList", get_request_types),
    query!("GetErrorCodeList", get_error_codes),
    query!("GetAllowedNodeSupportedFeatureList", get_features),
    query!(
        "GetSuppressedIdentityModificationNotificationNodeList",
        get_suppressed
    ),
];

params! {
    struct Purpose {
        purpose: String,
    }

    struct Prefix {
        prefix: String,
    }

    struct Kind {
        r#type: String,
    }
}

fn get_allowed_modes(state: &State, params: Purpose, _height: i64) -> QueryResponse {
    let modes = match state.modes_allowed_for(&params.purpose) {
        [] => Value::Null,
        modes => json!(modes),
    };
    QueryResponse::found(&json!({ "allowed_mode_list": modes }))
}

fn get_ials(state: &State) -> QueryResponse {
    QueryResponse::found(&json!({"supported_ial_list": numbers(&state.supported_ials)}))
}

fn get_aals(state: &State) -> QueryResponse {
    QueryResponse::found(&json!({"supported_aal_list": numbers(&state.supported_aals)}))
}

fn with_prefix(names: &BTreeSet<String>, prefix: &str) -> QueryResponse {
    let names: Vec<&String> = names
        .iter()
        .filter(|name| name.starts_with(prefix))
        .collect();
    QueryResponse::found(&json!(names))
}

fn get_request_types(state: &State, params: Prefix, _height: i64) -> QueryResponse {
    with_prefix(&state.request_types, &params.prefix)
}

fn get_features(state: &State, params: Prefix, _height: i64) -> QueryResponse {
    with_prefix(&state.features, &params.prefix)
}

fn get_suppressed(state: &State, params: Prefix, _height: i64) -> QueryResponse {
    with_prefix(&state.suppressed, &params.prefix)
}

fn get_error_codes(state: &State, params: Kind, _height: i64) -> QueryResponse {
    let codes = state.error_codes.get(&params.r#type.to_lowercase());
    let rows = codes.into_iter().flatten();
    let rows =
        rows.map(|entry| json!({"error_code": entry.code, "description": entry.description}));
    QueryResponse::found(&rows.collect())
}
