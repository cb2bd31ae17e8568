//! Nodes behind proxies (spec/ledger.md 4.4).

use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::node::{BehindProxy, Role};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::State;

pub const METHODS: &[Entry] = &[
    Entry::of::<AddNodeToProxyNode>(),
    Entry::of::<UpdateNodeProxyNode>(),
    Entry::of::<RemoveNodeFromProxyNode>(),
];

params! {
    struct AddNodeToProxyNode {
        node_id: String,
        proxy_node_id: String,
        config: String,
    }

    struct UpdateNodeProxyNode {
        node_id: String,
        proxy_node_id: String,
        config: String,
    }

    struct RemoveNodeFromProxyNode {
        node_id: String,
    }
}

fn check_proxy(state: &State, proxy_id: &str) -> Result<(), TxRefusal> {
    match state.nodes.get(proxy_id) {
        Some(node) if node.role == Role::Proxy => Ok(()),
        _ => Err(refused::PROXY_UNKNOWN),
    }
}

fn behind(state: &State, node_id: &str) -> Result<BehindProxy, TxRefusal> {
    let behind = state.node(node_id)?.proxy.clone();
    behind.ok_or(refused::NOT_BEHIND_PROXY)
}

fn leave(state: &mut State, node_id: &str, proxy_id: &str) {
    if let Some(nodes) = state.behind_proxy.get_mut(proxy_id) {
        nodes.retain(|id| id != node_id);
    }
}

fn join(state: &mut State, node_id: &str, proxy_id: String) {
    let nodes = state.behind_proxy.entry(proxy_id).or_default();
    nodes.push(node_id.to_owned());
}

impl Method for AddNodeToProxyNode {
    const NAME: &'static str = "AddNodeToProxyNode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let node = state.node(&self.node_id)?;
        if node.proxy.is_some() {
            return Err(refused::BEHIND_PROXY);
        }
        if node.role == Role::Proxy {
            return Err(refused::IS_PROXY);
        }
        check_proxy(state, &self.proxy_node_id)?;
        let node = state.node_mut(&self.node_id)?;
        node.mq.clear();
        node.proxy = Some(BehindProxy {
            proxy_id: self.proxy_node_id.clone(),
            config: self.config,
        });
        join(state, &self.node_id, self.proxy_node_id);
        Ok(MethodResult::default())
    }
}

impl Method for UpdateNodeProxyNode {
    const NAME: &'static str = "UpdateNodeProxyNode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let old = behind(state, &self.node_id)?;
        if !self.proxy_node_id.is_empty() {
            check_proxy(state, &self.proxy_node_id)?;
        }
        let kept_or = |given: String, old: &str| match given.as_str() {
            "" => old.to_owned(),
            _ => given,
        };
        let proxy_id = kept_or(self.proxy_node_id, &old.proxy_id);
        let config = kept_or(self.config, &old.config);
        if proxy_id != old.proxy_id {
            leave(state, &self.node_id, &old.proxy_id);
            join(state, &self.node_id, proxy_id.clone());
        }
        state.node_mut(&self.node_id)?.proxy = Some(BehindProxy { proxy_id, config });
        Ok(MethodResult::default())
    }
}

impl Method for RemoveNodeFromProxyNode {
    const NAME: &'static str = "RemoveNodeFromProxyNode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.node(&self.node_id)?.role == Role::Proxy {
            return Err(refused::IS_PROXY);
        }
        let old = behind(state, &self.node_id)?;
        leave(state, &self.node_id, &old.proxy_id);
        state.node_mut(&self.node_id)?.proxy = None;
        Ok(MethodResult::default())
    }
}
