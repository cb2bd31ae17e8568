//! Identities and accessors (spec/ledger.md 5.5).

use serde_json::json;

use super::{GROUP_NOT_FOUND, Query, QueryResponse, number, query};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::state::{Identity, State};

pub const QUERIES: &[Query] = &[
    query!("CheckExistingIdentity", identity_exists),
    query!("GetIdentityInfo", get_identity),
    query!("GetReferenceGroupCode", get_group_code),
    query!(
        "GetReferenceGroupCodeByAccessorID",
        get_group_code_by_accessor
    ),
    query!("GetAccessorKey", get_accessor_key),
    query!("GetAccessorOwner", get_accessor_owner),
    query!("CheckExistingAccessorID", accessor_exists),
    query!(
        "GetAllowedMinIalForRegisterIdentityAtFirstIdp",
        no params,
        get_first_idp_min_ial
    ),
];

params! {
    struct IdentityAt {
        reference_group_code: String,
        identity_namespace: String,
        identity_identifier_hash: String,
        node_id: String,
    }

    struct AccessorId {
        accessor_id: String,
    }
}

impl IdentityAt {
    /// Code of the group: as given, else of the identity.
    fn group_code<'a>(&'a self, state: &'a State) -> Option<&'a String> {
        if !self.reference_group_code.is_empty() {
            return Some(&self.reference_group_code);
        }
        state.group_of_identity.get(&Identity {
            namespace: self.identity_namespace.clone(),
            identifier_hash: self.identity_identifier_hash.clone(),
        })
    }
}

fn identity_exists(state: &State, params: IdentityAt, _height: i64) -> QueryResponse {
    let group = params
        .group_code(state)
        .and_then(|code| state.groups.get(code));
    QueryResponse::found(&json!({"exist": group.is_some()}))
}

fn get_identity(state: &State, params: IdentityAt, _height: i64) -> QueryResponse {
    let group = params
        .group_code(state)
        .and_then(|code| state.groups.get(code));
    let Some(group) = group else {
        let nothing = json!({"ial": 0, "lial": null, "laal": null, "mode_list": null});
        return QueryResponse::with_log(GROUP_NOT_FOUND, &nothing);
    };
    let entry = group.idp(&params.node_id);
    match entry.filter(|entry| entry.active && entry.ial != 0.0) {
        None => QueryResponse::not_found(&json!({})),
        Some(entry) => QueryResponse::found(&json!({
            "ial": number(entry.ial),
            "lial": entry.lial,
            "laal": entry.laal,
            "mode_list": entry.modes,
        })),
    }
}

fn get_group_code(state: &State, params: IdentityAt, _height: i64) -> QueryResponse {
    let identity = Identity {
        namespace: params.identity_namespace,
        identifier_hash: params.identity_identifier_hash,
    };
    match state.group_of_identity.get(&identity) {
        Some(code) => QueryResponse::found(&json!({"reference_group_code": code})),
        None => QueryResponse::not_found(&json!({"reference_group_code": ""})),
    }
}

fn get_group_code_by_accessor(state: &State, params: AccessorId, _height: i64) -> QueryResponse {
    let code = state.group_of_accessor.get(&params.accessor_id);
    let code = code.map(String::as_str).unwrap_or_default();
    QueryResponse::found(&json!({"reference_group_code": code}))
}

fn get_accessor_key(state: &State, params: AccessorId, _height: i64) -> QueryResponse {
    let Some(accessor) = state.accessor(&params.accessor_id) else {
        return QueryResponse::not_found(&json!({}));
    };
    QueryResponse::found(&json!({
        "accessor_public_key": accessor.public_key,
        "accessor_type": accessor.kind,
        "active": accessor.active,
        "owner_node_id": accessor.owner,
        "creation_block_height": accessor.creation_height,
        "creation_chain_id": accessor.creation_chain_id,
    }))
}

fn get_accessor_owner(state: &State, params: AccessorId, _height: i64) -> QueryResponse {
    match state.accessor(&params.accessor_id) {
        Some(accessor) => QueryResponse::found(&json!({"node_id": accessor.owner})),
        None => QueryResponse::not_found(&json!({})),
    }
}

fn accessor_exists(state: &State, params: AccessorId, _height: i64) -> QueryResponse {
    if state.group_of_accessor.contains_key(&params.accessor_id) {
        return QueryResponse::found(&json!({"exist": true}));
    }
    QueryResponse::not_found(&json!({}))
}

fn get_first_idp_min_ial(state: &State) -> QueryResponse {
    QueryResponse::found(&json!({"min_ial": number(state.first_idp_min_ial)}))
}
