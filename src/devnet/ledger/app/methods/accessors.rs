//! Accessors: keys by which identities answer (spec/ledger.md 4.3).

use super::consent::{self, CONSENT_MODE};
use super::identities::{GroupTarget, own_entry, own_entry_mut};
use crate::devnet::ledger::app::keys::check_rsa_key;
use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::{Accessor, GroupIdp, State};

pub const METHODS: &[Entry] = &[
    Entry::of::<AddAccessor>(),
    Entry::of::<RevokeAccessor>(),
    Entry::of::<RevokeAndAddAccessor>(),
];

params! {
    struct AddAccessor {
        reference_group_code: String,
        identity_namespace: String,
        identity_identifier_hash: String,
        accessor_id: String,
        accessor_public_key: String,
        accessor_type: String,
        request_id: String,
    }

    struct RevokeAccessor {
        accessor_id_list: Vec<String>,
        request_id: String,
    }

    struct RevokeAndAddAccessor {
        revoking_accessor_id: String,
        accessor_id: String,
        accessor_public_key: String,
        accessor_type: String,
        request_id: String,
    }
}

impl AddAccessor {
    fn target(&self) -> GroupTarget<'_> {
        GroupTarget {
            group_code: &self.reference_group_code,
            namespace: &self.identity_namespace,
            identifier_hash: &self.identity_identifier_hash,
        }
    }
}

impl Method for AddAccessor {
    const NAME: &'static str = "AddAccessor";
    const CALLER: AllowedCaller = AllowedCaller::Idp;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        self.target().check()?;
        check_rsa_key(&self.accessor_public_key)
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.group_of_accessor.contains_key(&self.accessor_id) {
            return Err(refused::ACCESSOR_EXISTS);
        }
        let code = self.target().group_code(state)?;
        let needs_consent = own_entry(state, &code, call)?.modes.contains(&CONSENT_MODE);
        let consent = needs_consent
            .then(|| consent::check(state, &self.request_id, Self::NAME, 1))
            .transpose()?;

        consent::spend(state, consent);
        let accessor = new_accessor(
            state,
            call,
            self.accessor_id,
            self.accessor_type,
            self.accessor_public_key,
        );
        append(state, call, &code, accessor)?;
        Ok(MethodResult::with_group(code))
    }
}

fn new_accessor(
    state: &State,
    call: &MethodCall,
    id: String,
    kind: String,
    public_key: String,
) -> Accessor {
    Accessor {
        id,
        kind,
        public_key: public_key.into(),
        active: true,
        owner: call.node_id.to_owned(),
        creation_height: state.height,
        creation_chain_id: state.chain_id.clone(),
    }
}

fn append(
    state: &mut State,
    call: &MethodCall,
    code: &str,
    accessor: Accessor,
) -> Result<(), TxRefusal> {
    let id = accessor.id.clone();
    own_entry_mut(state, code, call)?.accessors.push(accessor);
    state.group_of_accessor.insert(id, code.to_owned());
    Ok(())
}

impl Method for RevokeAccessor {
    const NAME: &'static str = "RevokeAccessor";
    const CALLER: AllowedCaller = AllowedCaller::Idp;
    const PAID: bool = true;

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let code = self.common_group(state)?;
        let group = state.groups.get(&code).ok_or(refused::GROUP_UNKNOWN)?;
        // A caller outside the group passes and changes nothing (spec/ledger.md 9.2).
        let Some(entry) = group.idp(call.node_id) else {
            return Ok(MethodResult::with_group(code));
        };
        self.check_revocable(entry)?;
        let needs_consent = entry.modes.contains(&CONSENT_MODE);
        let consent = needs_consent
            .then(|| consent::check(state, &self.request_id, Self::NAME, 1))
            .transpose()?;

        consent::spend(state, consent);
        for accessor in &mut own_entry_mut(state, &code, call)?.accessors {
            if self.accessor_id_list.contains(&accessor.id) {
                accessor.active = false;
            }
        }
        Ok(MethodResult::with_group(code))
    }
}

impl RevokeAccessor {
    /// The one group of all accessors.
    fn common_group(&self, state: &State) -> Result<String, TxRefusal> {
        let known = self.accessor_id_list.iter();
        let codes: Option<Vec<&String>> = known.map(|id| state.group_of_accessor.get(id)).collect();
        let codes = codes.ok_or(refused::GROUP_UNKNOWN)?;
        let first = *codes.first().ok_or(refused::GROUP_UNKNOWN)?;
        if codes.iter().any(|code| *code != first) {
            return Err(refused::GROUPS_DIFFER);
        }
        Ok(first.clone())
    }

    fn check_revocable(&self, entry: &GroupIdp) -> Result<(), TxRefusal> {
        let owns = |id: &String| entry.accessors.iter().any(|accessor| accessor.id == *id);
        if !self.accessor_id_list.iter().all(owns) {
            return Err(refused::ACCESSOR_NOT_OWN);
        }
        let active = entry.accessors.iter().filter(|accessor| accessor.active);
        if active.count() <= self.accessor_id_list.len() {
            return Err(refused::LAST_ACCESSOR);
        }
        Ok(())
    }
}

impl Method for RevokeAndAddAccessor {
    const NAME: &'static str = "RevokeAndAddAccessor";
    const CALLER: AllowedCaller = AllowedCaller::Idp;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        check_rsa_key(&self.accessor_public_key)
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let found = state.group_by_accessor(&self.revoking_accessor_id);
        let (code, group) = found.ok_or(refused::GROUP_UNKNOWN)?;
        let code = code.to_owned();
        let entry = group.idp(call.node_id).ok_or(refused::NOT_IN_GROUP)?;
        let mut own = entry.accessors.iter();
        if !own.any(|accessor| accessor.id == self.revoking_accessor_id) {
            return Err(refused::ACCESSOR_NOT_OWN);
        }
        let needs_consent = entry.modes.contains(&CONSENT_MODE);
        let consent = needs_consent
            .then(|| consent::check(state, &self.request_id, Self::NAME, 1))
            .transpose()?;
        if state.group_of_accessor.contains_key(&self.accessor_id) {
            return Err(refused::ACCESSOR_EXISTS);
        }

        consent::spend(state, consent);
        for accessor in &mut own_entry_mut(state, &code, call)?.accessors {
            if accessor.id == self.revoking_accessor_id {
                accessor.active = false;
            }
        }
        let accessor = new_accessor(
            state,
            call,
            self.accessor_id,
            self.accessor_type,
            self.accessor_public_key,
        );
        append(state, call, &code, accessor)?;
        Ok(MethodResult::with_group(code))
    }
}
