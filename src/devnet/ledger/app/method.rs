//! What a transaction method is: who may call it, what is checked before it
//! enters the mempool and what it does in a block (spec/ledger.md 4).

use super::node::{Node, Role};
use super::params::{Decode, from_json};
use super::refusal::{self as refused, TxRefusal};
use super::state::State;

/// Who may call a method, and the refusal of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedCaller {
    /// Any node.
    Anyone,
    /// NDID, else 55.
    Ndid,
    /// An RP, else 119.
    Rp,
    /// An IdP that is not an agent, else 56.
    Idp,
    /// An IdP, agent or not, else 56.
    IdpOrAgent,
    /// An AS, else 57.
    As,
    /// An RP or an IdP that is not an agent, else 58.
    RpOrIdp,
    /// Every node but NDID, else 54.
    NotNdid,
}

impl AllowedCaller {
    fn check(self, node: &Node) -> Result<(), TxRefusal> {
        let (allowed, refusal) = match self {
            Self::Anyone => return Ok(()),
            Self::Ndid => (node.role == Role::Ndid, refused::NOT_NDID),
            Self::Rp => (node.role == Role::Rp, refused::NOT_RP),
            Self::Idp => (node.role == Role::Idp && !node.agent, refused::NOT_IDP),
            Self::IdpOrAgent => (node.role == Role::Idp, refused::NOT_IDP),
            Self::As => (node.role == Role::As, refused::NOT_AS),
            Self::RpOrIdp => (
                node.role == Role::Rp || (node.role == Role::Idp && !node.agent),
                refused::NOT_RP_OR_IDP,
            ),
            Self::NotNdid => (node.role != Role::Ndid, refused::MQ_NOT_FOR_ROLE),
        };
        if allowed { Ok(()) } else { Err(refusal) }
    }
}

/// The call of a method by a transaction.
#[derive(Clone, Copy)]
pub struct MethodCall<'a> {
    /// The node that signed.
    pub node_id: &'a str,
    /// Parameters as sent.
    pub params: &'a [u8],
}

/// What a method that succeeded reports.
#[derive(Debug, Default, PartialEq)]
pub struct MethodResult {
    /// `data` of the result.
    pub data: Option<Vec<u8>>,
    /// Attribute `reference_group_code` of the event.
    pub group_code: Option<String>,
}

impl MethodResult {
    /// With this id as data.
    pub fn with_id(id: &str) -> Self {
        Self {
            data: Some(id.as_bytes().to_vec()),
            group_code: None,
        }
    }

    /// With this reference group.
    pub fn with_group(code: String) -> Self {
        Self {
            data: None,
            group_code: Some(code),
        }
    }
}

/// A transaction method; the implementing type is its parameters.
pub trait Method: Decode {
    /// Name on the wire.
    const NAME: &'static str;
    /// Who may call it.
    const CALLER: AllowedCaller;
    /// Whether a caller other than NDID pays for it (spec/ledger.md 2.9).
    const PAID: bool = false;

    /// The checks marked S: made before the mempool and again in the block.
    ///
    /// # Errors
    /// The first refusal.
    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        Ok(())
    }

    /// The checks marked F, then the effect. Changes nothing before the last
    /// check has passed.
    ///
    /// # Errors
    /// The first refusal.
    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal>;
}

/// A method without its type.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Name on the wire.
    pub name: &'static str,
    /// See [`Method::PAID`].
    pub paid: bool,
    /// Caller, parameters and S checks.
    pub check: fn(&State, &MethodCall) -> Result<(), TxRefusal>,
    /// All checks, then the effect.
    pub run: fn(&mut State, &MethodCall) -> Result<MethodResult, TxRefusal>,
}

impl Entry {
    /// The entry of a method.
    pub const fn of<M: Method>() -> Self {
        Self {
            name: M::NAME,
            paid: M::PAID,
            check: |state, call| checked::<M>(state, call).map(|_| ()),
            run: |state, call| checked::<M>(state, call)?.run(state, call),
        }
    }
}

fn checked<M: Method>(state: &State, call: &MethodCall) -> Result<M, TxRefusal> {
    check_caller(M::CALLER, state, call)?;
    let params: M = from_json(call.params)?;
    params.check(state, call)?;
    Ok(params)
}

/// Whether the caller may call.
///
/// # Errors
/// 24 if it does not exist, else the refusal of `caller`.
pub fn check_caller(
    caller: AllowedCaller,
    state: &State,
    call: &MethodCall,
) -> Result<(), TxRefusal> {
    match caller {
        AllowedCaller::Anyone => Ok(()),
        caller => caller.check(state.node(call.node_id)?),
    }
}
