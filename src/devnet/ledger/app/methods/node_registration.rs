//! NDID registers and changes nodes (spec/ledger.md 4.5, 4.6).

use crate::devnet::ledger::app::keys::{check_rsa_key, check_signing_key};
use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::node::{KeyHistory, Node, Role};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::{Init, State};

pub const METHODS: &[Entry] = &[
    Entry::of::<InitNDID>(),
    Entry::of::<RegisterNode>(),
    Entry::of::<UpdateNodeByNDID>(),
    Entry::of::<DisableNode>(),
    Entry::of::<EnableNode>(),
];

params! {
    pub struct InitNDID {
        node_id: String,
        signing_public_key: String,
        signing_algorithm: String,
        signing_master_public_key: String,
        signing_master_algorithm: String,
        encryption_public_key: String,
        encryption_algorithm: String,
        chain_history_info: String,
    }

    struct RegisterNode {
        node_id: String,
        signing_public_key: String,
        signing_algorithm: String,
        signing_master_public_key: String,
        signing_master_algorithm: String,
        encryption_public_key: String,
        encryption_algorithm: String,
        node_name: String,
        role: String,
        max_ial: f64,
        max_aal: f64,
        supported_feature_list: Vec<String>,
        agent: bool,
        node_id_whitelist_active: bool,
        node_id_whitelist: Vec<String>,
    }

    struct UpdateNodeByNDID {
        node_id: String,
        node_name: String,
        max_ial: f64,
        max_aal: f64,
        supported_feature_list: Option<Vec<String>>,
        agent: Option<bool>,
        node_id_whitelist_active: Option<bool>,
        node_id_whitelist: Option<Vec<String>>,
    }

    struct DisableNode {
        node_id: String,
    }

    struct EnableNode {
        node_id: String,
    }
}

impl Method for InitNDID {
    const NAME: &'static str = "InitNDID";
    const CALLER: AllowedCaller = AllowedCaller::Anyone;

    fn check(&self, state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        if state.has_ndid() {
            return Err(refused::NDID_EXISTS);
        }
        check_signing_key(
            &self.signing_master_public_key,
            &self.signing_master_algorithm,
        )?;
        check_signing_key(&self.signing_public_key, &self.signing_algorithm)?;
        check_rsa_key(&self.encryption_public_key)
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let (height, chain_id) = (state.height, state.chain_id.as_str());
        let key = |public_key, algorithm| KeyHistory::new(public_key, algorithm, height, chain_id);
        let node = Node {
            id: call.node_id.to_owned(),
            name: "NDID".to_owned(),
            role: Role::Ndid,
            max_ial: 0.0,
            max_aal: 0.0,
            features: Vec::new(),
            data_url_types: Vec::new(),
            agent: false,
            whitelist_active: false,
            whitelist: Vec::new(),
            mq: Vec::new(),
            active: true,
            proxy: None,
            signing: key(self.signing_public_key, self.signing_algorithm),
            master: key(
                self.signing_master_public_key,
                self.signing_master_algorithm,
            ),
            encryption: key(self.encryption_public_key, self.encryption_algorithm),
        };
        state.nodes.insert(node.id.clone(), node);
        state.init = Init::Begun;
        state.chain_history = self.chain_history_info;
        Ok(MethodResult::default())
    }
}

fn check_features(state: &State, features: &[String]) -> Result<(), TxRefusal> {
    if features.iter().all(|name| state.features.contains(name)) {
        return Ok(());
    }
    Err(refused::FEATURE_NOT_ALLOWED)
}

fn check_whitelist(state: &State, role: Role, whitelist: &[String]) -> Result<(), TxRefusal> {
    if has_whitelist(role) {
        for id in whitelist {
            state.node(id)?;
        }
    }
    Ok(())
}

fn has_whitelist(role: Role) -> bool {
    matches!(role, Role::Rp | Role::Idp)
}

impl Method for RegisterNode {
    const NAME: &'static str = "RegisterNode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        check_signing_key(
            &self.signing_master_public_key,
            &self.signing_master_algorithm,
        )?;
        check_signing_key(&self.signing_public_key, &self.signing_algorithm)?;
        check_rsa_key(&self.encryption_public_key)?;
        self.role().map(|_| ())
    }

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.nodes.contains_key(&self.node_id) {
            return Err(refused::NODE_EXISTS);
        }
        check_features(state, &self.supported_feature_list)?;
        let role = self.role()?;
        check_whitelist(state, role, &self.node_id_whitelist)?;
        let idp = role == Role::Idp;
        let (height, chain_id) = (state.height, state.chain_id.as_str());
        let key = |public_key, algorithm| KeyHistory::new(public_key, algorithm, height, chain_id);
        let node = Node {
            id: self.node_id.clone(),
            name: self.node_name,
            role,
            max_ial: if idp { self.max_ial } else { 0.0 },
            max_aal: if idp { self.max_aal } else { 0.0 },
            features: self.supported_feature_list,
            data_url_types: Vec::new(),
            agent: idp && self.agent,
            whitelist_active: has_whitelist(role) && self.node_id_whitelist_active,
            whitelist: if has_whitelist(role) {
                self.node_id_whitelist
            } else {
                Vec::new()
            },
            mq: Vec::new(),
            active: true,
            proxy: None,
            signing: key(self.signing_public_key, self.signing_algorithm),
            master: key(
                self.signing_master_public_key,
                self.signing_master_algorithm,
            ),
            encryption: key(self.encryption_public_key, self.encryption_algorithm),
        };
        state.nodes.insert(self.node_id.clone(), node);
        state.tokens.insert(self.node_id.clone(), 0.0);
        state.registered.push(self.node_id);
        Ok(MethodResult::default())
    }
}

impl RegisterNode {
    fn role(&self) -> Result<Role, TxRefusal> {
        Role::of_registration(&self.role).ok_or(refused::ROLE_INVALID)
    }
}

impl Method for UpdateNodeByNDID {
    const NAME: &'static str = "UpdateNodeByNDID";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let role = state.node(&self.node_id)?.role;
        check_features(state, self.supported_feature_list.as_deref().unwrap_or(&[]))?;
        check_whitelist(
            state,
            role,
            self.node_id_whitelist.as_deref().unwrap_or(&[]),
        )?;
        let node = state.node_mut(&self.node_id)?;
        if !self.node_name.is_empty() {
            node.name = self.node_name;
        }
        if let Some(features) = self.supported_feature_list {
            node.features = features;
        }
        if role == Role::Idp {
            if self.max_ial > 0.0 {
                node.max_ial = self.max_ial;
            }
            if self.max_aal > 0.0 {
                node.max_aal = self.max_aal;
            }
            node.agent = self.agent.unwrap_or(node.agent);
        }
        if has_whitelist(role) {
            node.whitelist_active = self
                .node_id_whitelist_active
                .unwrap_or(node.whitelist_active);
            if let Some(whitelist) = self.node_id_whitelist {
                node.whitelist = whitelist;
            }
        }
        Ok(MethodResult::default())
    }
}

impl Method for DisableNode {
    const NAME: &'static str = "DisableNode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.node_mut(&self.node_id)?.active = false;
        Ok(MethodResult::default())
    }
}

impl Method for EnableNode {
    const NAME: &'static str = "EnableNode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.node_mut(&self.node_id)?.active = true;
        Ok(MethodResult::default())
    }
}
