//! What holds for every method: the chain is open, the caller may act, the
//! caller can pay (spec/ledger.md 2.8, 2.9).

use super::method::Entry;
use super::node::Role;
use super::refusal::{self as refused, TxRefusal};
use super::state::{Init, NEVER_DISABLED, State};

/// The common checks, in their order.
///
/// # Errors
/// 82, 83, 24, 68, 75, 77, 12 or 13.
pub fn check(state: &State, method: &str, node_id: &str) -> Result<(), TxRefusal> {
    let disabled = state.last_block != NEVER_DISABLED && state.height > state.last_block;
    if disabled && method != "SetLastBlock" {
        return Err(refused::CHAIN_DISABLED);
    }
    match method {
        "SetInitData" | "SetInitData_pb" | "InitNDID" => return Ok(()),
        "EndInit" => {}
        _ if state.init != Init::Ended => return Err(refused::CHAIN_NOT_INITIALISED),
        _ => {}
    }
    check_caller(state, node_id)?;
    check_balance(state, method, node_id)
}

fn check_caller(state: &State, node_id: &str) -> Result<(), TxRefusal> {
    let node = state.node(node_id)?;
    if !node.active {
        return Err(refused::NODE_DISABLED);
    }
    if let Some(behind) = &node.proxy {
        let proxy = state.nodes.get(&behind.proxy_id);
        if !proxy.ok_or(refused::PROXY_UNKNOWN)?.active {
            return Err(refused::PROXY_DISABLED);
        }
    }
    Ok(())
}

fn check_balance(state: &State, method: &str, node_id: &str) -> Result<(), TxRefusal> {
    if state.node(node_id)?.role == Role::Ndid {
        return Ok(());
    }
    let balance = state.tokens.get(node_id);
    if *balance.ok_or(refused::TOKEN_ACCOUNT_UNKNOWN)? < state.price_of(method) {
        return Err(refused::TOKEN_NOT_ENOUGH);
    }
    Ok(())
}

/// Takes the price of the method, whether it succeeded or not.
///
/// # Errors
/// 24 if the caller does not exist, which happens to a refused `InitNDID`
/// (spec/ledger.md 9.2).
pub fn pay(state: &mut State, entry: Entry, node_id: &str) -> Result<(), TxRefusal> {
    let role = state.node(node_id)?.role;
    if role == Role::Ndid || !entry.paid {
        return Ok(());
    }
    let price = state.price_of(entry.name);
    if let Some(balance) = state.tokens.get_mut(node_id) {
        *balance -= price;
    }
    Ok(())
}
