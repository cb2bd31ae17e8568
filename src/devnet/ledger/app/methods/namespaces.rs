//! Namespaces of identities (spec/ledger.md 4.7).

use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::{Namespace, State};

pub const METHODS: &[Entry] = &[
    Entry::of::<AddNamespace>(),
    Entry::of::<UpdateNamespace>(),
    Entry::of::<EnableNamespace>(),
    Entry::of::<DisableNamespace>(),
];

params! {
    struct AddNamespace {
        namespace: String,
        description: String,
        allowed_identifier_count_in_reference_group: i64,
        allowed_active_identifier_count_in_reference_group: i64,
    }

    struct UpdateNamespace {
        namespace: String,
        description: String,
        allowed_identifier_count_in_reference_group: i64,
        allowed_active_identifier_count_in_reference_group: i64,
    }

    struct EnableNamespace {
        namespace: String,
    }

    struct DisableNamespace {
        namespace: String,
    }
}

impl Method for AddNamespace {
    const NAME: &'static str = "AddNamespace";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.namespace(&self.namespace).is_some() {
            return Err(refused::NAMESPACE_EXISTS);
        }
        state.namespaces.push(Namespace {
            name: self.namespace,
            description: self.description,
            active: true,
            allowed_count: self.allowed_identifier_count_in_reference_group,
            allowed_active_count: self.allowed_active_identifier_count_in_reference_group,
        });
        Ok(MethodResult::default())
    }
}

impl Method for UpdateNamespace {
    const NAME: &'static str = "UpdateNamespace";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let namespace = state.namespace_mut(&self.namespace)?;
        if !self.description.is_empty() {
            namespace.description = self.description;
        }
        if self.allowed_identifier_count_in_reference_group != 0 {
            namespace.allowed_count = self.allowed_identifier_count_in_reference_group;
        }
        if self.allowed_active_identifier_count_in_reference_group != 0 {
            namespace.allowed_active_count =
                self.allowed_active_identifier_count_in_reference_group;
        }
        Ok(MethodResult::default())
    }
}

impl Method for EnableNamespace {
    const NAME: &'static str = "EnableNamespace";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.namespace_mut(&self.namespace)?.active = true;
        Ok(MethodResult::default())
    }
}

impl Method for DisableNamespace {
    const NAME: &'static str = "DisableNamespace";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.namespace_mut(&self.namespace)?.active = false;
        Ok(MethodResult::default())
    }
}
