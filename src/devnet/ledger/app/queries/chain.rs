//! The chain itself (spec/ledger.md 5.6).

use std::borrow::Cow;

use serde_json::json;

use super::{Query, QueryResponse, query};
use crate::devnet::ledger::app::state::{Init, State};

pub const QUERIES: &[Query] = &[
    query!("IsInitEnded", no params, is_init_ended),
    query!("GetChainHistory", no params, get_chain_history),
];

fn is_init_ended(state: &State) -> QueryResponse {
    QueryResponse::found(&json!({"init_ended": state.init == Init::Ended}))
}

/// The text that `InitNDID` brought, as it is.
fn get_chain_history(state: &State) -> QueryResponse {
    QueryResponse {
        code: 0,
        log: Cow::Borrowed("success"),
        value: Some(state.chain_history.clone().into_bytes()),
    }
}
