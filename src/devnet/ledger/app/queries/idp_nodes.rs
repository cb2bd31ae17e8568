//! IdPs that can be asked (spec/ledger.md 5.3).

use serde_json::{Value, json};

use super::{Query, QueryResponse, key, mq, null_if_empty, number, query};
use crate::devnet::ledger::app::node::{Node, Role};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::state::{Group, GroupIdp, Identity, State};

pub const QUERIES: &[Query] = &[
    query!("GetIdpNodes", get_idp_nodes),
    query!("GetIdpNodesInfo", get_idp_nodes_info),
];

params! {
    struct IdpFilter {
        reference_group_code: String,
        identity_namespace: String,
        identity_identifier_hash: String,
        filter_for_node_id: String,
        agent: Option<bool>,
        min_ial: f64,
        min_aal: f64,
        supported_feature_list: Vec<String>,
        node_id_list: Vec<String>,
        supported_request_message_data_url_type_list: Vec<String>,
        mode_list: Vec<i64>,
    }
}

/// An IdP that passed the filter, with its entry in the group asked for.
struct Candidate<'a> {
    node: &'a Node,
    entry: Option<&'a GroupIdp>,
}

/// Which IdPs a filter is about.
enum Scope<'a> {
    All,
    Group(&'a Group),
    UnknownGroup,
}

impl IdpFilter {
    fn scope<'a>(&self, state: &'a State) -> Scope<'a> {
        let code = if !self.reference_group_code.is_empty() {
            Some(&self.reference_group_code)
        } else if self.identity_namespace.is_empty() && self.identity_identifier_hash.is_empty() {
            return Scope::All;
        } else {
            let identity = Identity {
                namespace: self.identity_namespace.clone(),
                identifier_hash: self.identity_identifier_hash.clone(),
            };
            state.group_of_identity.get(&identity)
        };
        match code.and_then(|code| state.groups.get(code)) {
            Some(group) => Scope::Group(group),
            None => Scope::UnknownGroup,
        }
    }

    /// The IdPs that pass, in order; `Err` is the answer when there is no one
    /// to choose from.
    fn candidates<'a>(
        &self,
        state: &'a State,
        scope: &Scope<'a>,
    ) -> Result<Vec<Candidate<'a>>, QueryResponse> {
        let asker = match self.filter_for_node_id.as_str() {
            "" => None,
            id => match state.nodes.get(id) {
                Some(node) => Some(node),
                None => return Err(QueryResponse::without_value("filter node does not exist")),
            },
        };
        let found: Vec<Candidate> = match scope {
            Scope::UnknownGroup => return Err(QueryResponse::not_found_null()),
            Scope::All => state
                .nodes_of_role(Some(Role::Idp))
                .map(|node| Candidate { node, entry: None })
                .collect(),
            Scope::Group(group) => group
                .idps
                .iter()
                .filter(|entry| self.passes_entry(entry))
                .filter_map(|entry| {
                    let node = state.nodes.get(&entry.node_id)?;
                    Some(Candidate {
                        node,
                        entry: Some(entry),
                    })
                })
                .collect(),
        };
        let passing = found.into_iter();
        Ok(passing
            .filter(|candidate| self.passes(candidate.node, asker))
            .collect())
    }

    fn passes_entry(&self, entry: &GroupIdp) -> bool {
        entry.active
            && entry.ial >= self.min_ial
            && self.mode_list.iter().all(|mode| entry.modes.contains(mode))
    }

    fn passes(&self, idp: &Node, asker: Option<&Node>) -> bool {
        let has_all =
            |wanted: &[String], has: &[String]| wanted.iter().all(|one| has.contains(one));
        asker.is_none_or(|asker| asker.accepts(&idp.id) && idp.accepts(&asker.id))
            && idp.active
            && idp.max_ial >= self.min_ial
            && idp.max_aal >= self.min_aal
            && (self.node_id_list.is_empty() || self.node_id_list.contains(&idp.id))
            && has_all(&self.supported_feature_list, &idp.features)
            && self.agent.is_none_or(|agent| agent == idp.agent)
            && has_all(
                &self.supported_request_message_data_url_type_list,
                &idp.data_url_types,
            )
    }
}

fn get_idp_nodes(state: &State, filter: IdpFilter, _height: i64) -> QueryResponse {
    let candidates = match filter.candidates(state, &filter.scope(state)) {
        Ok(candidates) => candidates,
        Err(answer) => return answer,
    };
    let rows: Vec<Value> = candidates.iter().map(idp_row).collect();
    let empty = rows.is_empty();
    let value = json!({ "node": rows });
    if empty {
        return QueryResponse::not_found(&value);
    }
    QueryResponse::found(&value)
}

fn idp_row(candidate: &Candidate) -> Value {
    let node = candidate.node;
    let mut row = json!({
        "node_id": node.id,
        "node_name": node.name,
        "max_ial": number(node.max_ial),
        "max_aal": number(node.max_aal),
        "supported_feature_list": node.features,
        "lial": candidate.entry.and_then(|entry| entry.lial),
        "laal": candidate.entry.and_then(|entry| entry.laal),
        "supported_request_message_data_url_type_list": node.data_url_types,
        "agent": node.agent,
    });
    put_entry(&mut row, candidate);
    row
}

fn put_entry(row: &mut Value, candidate: &Candidate) {
    if let Some(entry) = candidate.entry {
        row["ial"] = number(entry.ial);
        row["mode_list"] = json!(entry.modes);
    }
}

fn get_idp_nodes_info(state: &State, filter: IdpFilter, _height: i64) -> QueryResponse {
    let scope = filter.scope(state);
    let candidates = match filter.candidates(state, &scope) {
        Ok(candidates) => candidates,
        Err(answer) => return answer,
    };
    let rows: Vec<Value> = candidates
        .iter()
        .filter_map(|candidate| info_row(state, candidate))
        .collect();
    match (rows.is_empty(), scope) {
        (false, _) => QueryResponse::found(&json!({ "node": rows })),
        (true, Scope::Group(_)) => QueryResponse::not_found(&json!({"node": null})),
        (true, _) => QueryResponse::not_found(&json!({"node": []})),
    }
}

/// `None` if the candidate's proxy is missing or disabled.
fn info_row(state: &State, candidate: &Candidate) -> Option<Value> {
    let node = candidate.node;
    let proxy = match &node.proxy {
        None => None,
        Some(behind) => {
            let proxy = state
                .nodes
                .get(&behind.proxy_id)
                .filter(|proxy| proxy.active)?;
            Some((proxy, &behind.config))
        }
    };
    let mut row = json!({
        "node_id": node.id,
        "name": node.name,
        "max_ial": number(node.max_ial),
        "max_aal": number(node.max_aal),
        "supported_feature_list": node.features,
        "signing_public_key": key(node.signing.current()),
        "encryption_public_key": key(node.encryption.current()),
        "mq": mq(&node.mq),
        "agent": node.agent,
        "node_id_whitelist_active": node.whitelist_active,
        "supported_request_message_data_url_type_list": node.data_url_types,
    });
    if node.whitelist_active {
        row["node_id_whitelist"] = null_if_empty(&node.whitelist);
    }
    if let Some((proxy, config)) = proxy {
        row["proxy"] = proxy_members(proxy, config);
    }
    put_entry(&mut row, candidate);
    Some(row)
}

/// The proxy of a node as lists of nodes show it.
pub fn proxy_members(proxy: &Node, config: &str) -> Value {
    json!({
        "node_id": proxy.id,
        "signing_public_key": key(proxy.signing.current()),
        "encryption_public_key": key(proxy.encryption.current()),
        "mq": mq(&proxy.mq),
        "config": config,
    })
}
