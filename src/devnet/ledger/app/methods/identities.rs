//! Identities and what an IdP says of them (spec/ledger.md 4.3).

use std::collections::{HashMap, HashSet};

use super::consent::{self, CONSENT_MODE};
use crate::devnet::ledger::app::keys::check_rsa_key;
use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::{Accessor, Group, GroupIdp, Identity, State};

pub const METHODS: &[Entry] = &[
    Entry::of::<RegisterIdentity>(),
    Entry::of::<AddIdentity>(),
    Entry::of::<UpdateIdentity>(),
    Entry::of::<UpdateIdentityModeList>(),
    Entry::of::<RevokeIdentityAssociation>(),
];

params! {
    struct IdentityParams {
        identity_namespace: String,
        identity_identifier_hash: String,
    }

    struct RegisterIdentity {
        reference_group_code: String,
        new_identity_list: Vec<IdentityParams>,
        ial: f64,
        lial: Option<bool>,
        laal: Option<bool>,
        mode_list: Vec<i64>,
        accessor_id: String,
        accessor_public_key: String,
        accessor_type: String,
        request_id: String,
    }

    struct AddIdentity {
        reference_group_code: String,
        new_identity_list: Vec<IdentityParams>,
        request_id: String,
    }

    struct UpdateIdentity {
        reference_group_code: String,
        identity_namespace: String,
        identity_identifier_hash: String,
        ial: Option<f64>,
        lial: Option<bool>,
        laal: Option<bool>,
    }

    struct UpdateIdentityModeList {
        reference_group_code: String,
        identity_namespace: String,
        identity_identifier_hash: String,
        mode_list: Vec<i64>,
    }

    struct RevokeIdentityAssociation {
        reference_group_code: String,
        identity_namespace: String,
        identity_identifier_hash: String,
        request_id: String,
    }
}

/// Whose group a method is about: the code, or one identity of it.
pub struct GroupTarget<'a> {
    pub group_code: &'a str,
    pub namespace: &'a str,
    pub identifier_hash: &'a str,
}

impl GroupTarget<'_> {
    /// # Errors
    /// 88 if the group is named in both ways.
    pub fn check(&self) -> Result<(), TxRefusal> {
        let given = [self.group_code, self.namespace, self.identifier_hash];
        if given.iter().all(|text| !text.is_empty()) {
            return Err(refused::TARGET_AMBIGUOUS);
        }
        Ok(())
    }

    /// The code of the group, which exists.
    ///
    /// # Errors
    /// 89 if there is no such group.
    pub fn group_code(&self, state: &State) -> Result<String, TxRefusal> {
        let code = if self.group_code.is_empty() {
            let identity = Identity {
                namespace: self.namespace.to_owned(),
                identifier_hash: self.identifier_hash.to_owned(),
            };
            let found = state.group_of_identity.get(&identity);
            found.ok_or(refused::GROUP_UNKNOWN)?.clone()
        } else {
            self.group_code.to_owned()
        };
        if state.groups.contains_key(&code) {
            Ok(code)
        } else {
            Err(refused::GROUP_UNKNOWN)
        }
    }
}

/// The caller's entry in the group.
///
/// # Errors
/// 89 if there is no such group, 90 if the caller is not in it.
pub fn own_entry<'a>(
    state: &'a State,
    code: &str,
    call: &MethodCall,
) -> Result<&'a GroupIdp, TxRefusal> {
    let group = state.groups.get(code).ok_or(refused::GROUP_UNKNOWN)?;
    group.idp(call.node_id).ok_or(refused::NOT_IN_GROUP)
}

/// The caller's entry in the group, to change.
///
/// # Errors
/// 89 if there is no such group, 90 if the caller is not in it.
pub fn own_entry_mut<'a>(
    state: &'a mut State,
    code: &str,
    call: &MethodCall,
) -> Result<&'a mut GroupIdp, TxRefusal> {
    let group = state.groups.get_mut(code).ok_or(refused::GROUP_UNKNOWN)?;
    group.idp_mut(call.node_id).ok_or(refused::NOT_IN_GROUP)
}

fn sorted_modes(modes: &[i64]) -> Vec<i64> {
    let mut modes = modes.to_vec();
    modes.sort_unstable();
    modes.dedup();
    modes
}

fn check_new_identities(list: &[IdentityParams]) -> Result<(), TxRefusal> {
    let mut seen = HashSet::new();
    for new in list {
        if new.identity_namespace.is_empty() || new.identity_identifier_hash.is_empty() {
            return Err(refused::IDENTITY_EMPTY);
        }
        if !seen.insert((&new.identity_namespace, &new.identity_identifier_hash)) {
            return Err(refused::IDENTITY_REPEATED);
        }
    }
    Ok(())
}

/// The new identities, if they may join the group.
fn admissible_identities(
    state: &State,
    list: &[IdentityParams],
    group: Option<&Group>,
) -> Result<Vec<Identity>, TxRefusal> {
    let mut identities = Vec::with_capacity(list.len());
    for new in list {
        let identity = Identity {
            namespace: new.identity_namespace.clone(),
            identifier_hash: new.identity_identifier_hash.clone(),
        };
        if state.group_of_identity.contains_key(&identity) {
            return Err(refused::IDENTITY_EXISTS);
        }
        if !state
            .namespace(&identity.namespace)
            .is_some_and(|known| known.active)
        {
            return Err(refused::IDENTITY_NAMESPACE_INVALID);
        }
        identities.push(identity);
    }
    let mut counts: HashMap<&str, i64> = HashMap::new();
    for identity in &identities {
        *counts.entry(&identity.namespace).or_default() += 1;
    }
    for identity in group.iter().flat_map(|group| &group.identities) {
        if let Some(count) = counts.get_mut(identity.namespace.as_str()) {
            *count += 1;
        }
    }
    let too_many = counts.iter().any(|(namespace, count)| {
        let allowed = state
            .namespace(namespace)
            .map_or(0, |known| known.allowed_count);
        allowed > 0 && *count > allowed
    });
    if too_many {
        return Err(refused::IDENTIFIER_COUNT);
    }
    Ok(identities)
}

fn add_identities(state: &mut State, code: &str, identities: Vec<Identity>) {
    for identity in &identities {
        state
            .group_of_identity
            .insert(identity.clone(), code.to_owned());
    }
    let group = state.groups.entry(code.to_owned()).or_default();
    group.identities.extend(identities);
}

impl Method for RegisterIdentity {
    const NAME: &'static str = "RegisterIdentity";
    const CALLER: AllowedCaller = AllowedCaller::Idp;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        if self.reference_group_code.is_empty() {
            return Err(refused::GROUP_CODE_EMPTY);
        }
        if self.accessor_id.is_empty() {
            return Err(refused::ACCESSOR_ID_EMPTY);
        }
        if self.accessor_public_key.is_empty() {
            return Err(refused::ACCESSOR_KEY_EMPTY);
        }
        if self.accessor_type.is_empty() {
            return Err(refused::ACCESSOR_TYPE_EMPTY);
        }
        check_new_identities(&self.new_identity_list)?;
        check_rsa_key(&self.accessor_public_key)
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if self.ial > state.node(call.node_id)?.max_ial {
            return Err(refused::IAL_ABOVE_NODE);
        }
        let allowed = state.modes_allowed_for(Self::NAME);
        if !self.mode_list.iter().all(|mode| allowed.contains(mode)) {
            return Err(refused::MODE_NOT_ALLOWED_REGISTER);
        }
        let code = &self.reference_group_code;
        let group = state.groups.get(code);
        let needs_consent = has_active_idp(state, group)? && self.mode_list.contains(&CONSENT_MODE);
        let consent = needs_consent
            .then(|| consent::check(state, &self.request_id, Self::NAME, 1))
            .transpose()?;
        if group.is_none() && self.ial < state.first_idp_min_ial {
            return Err(refused::FIRST_IDP_IAL);
        }
        let identities = admissible_identities(state, &self.new_identity_list, group)?;
        if state.group_of_accessor.contains_key(&self.accessor_id)
            && !self.reactivates_accessor(group, call)
        {
            return Err(refused::ACCESSOR_EXISTS);
        }

        consent::spend(state, consent);
        add_identities(state, code, identities);
        self.write_entry(state, call);
        let code = self.reference_group_code;
        state
            .group_of_accessor
            .insert(self.accessor_id, code.clone());
        Ok(MethodResult::with_group(code))
    }
}

/// Whether some IdP with an active entry in the group is an active node.
fn has_active_idp(state: &State, group: Option<&Group>) -> Result<bool, TxRefusal> {
    for entry in group.iter().flat_map(|group| &group.idps) {
        if entry.active && state.node(&entry.node_id)?.active {
            return Ok(true);
        }
    }
    Ok(false)
}

impl RegisterIdentity {
    /// Whether the accessor is an inactive one of the caller in this group.
    fn reactivates_accessor(&self, group: Option<&Group>, call: &MethodCall) -> bool {
        let entry = group.and_then(|group| group.idp(call.node_id));
        let mut own = entry.iter().flat_map(|entry| &entry.accessors);
        own.any(|accessor| accessor.id == self.accessor_id && !accessor.active)
    }

    fn write_entry(&self, state: &mut State, call: &MethodCall) {
        let accessor = Accessor {
            id: self.accessor_id.clone(),
            kind: self.accessor_type.clone(),
            public_key: self.accessor_public_key.as_str().into(),
            active: true,
            owner: call.node_id.to_owned(),
            creation_height: state.height,
            creation_chain_id: state.chain_id.clone(),
        };
        let code = self.reference_group_code.clone();
        let group = state.groups.entry(code).or_default();
        let Some(entry) = group.idp_mut(call.node_id) else {
            group.idps.push(GroupIdp {
                node_id: call.node_id.to_owned(),
                modes: sorted_modes(&self.mode_list),
                accessors: vec![accessor],
                ial: self.ial,
                lial: self.lial,
                laal: self.laal,
                active: true,
            });
            return;
        };
        entry.active = true;
        // Not sorted when an entry is used again (spec/ledger.md 9.2).
        entry.modes.clone_from(&self.mode_list);
        entry.ial = self.ial;
        entry.lial = self.lial.or(entry.lial);
        entry.laal = self.laal.or(entry.laal);
        let mut own = entry.accessors.iter_mut();
        match own.find(|known| known.id == self.accessor_id) {
            Some(known) => {
                known.kind.clone_from(&self.accessor_type);
                known.public_key = self.accessor_public_key.as_str().into();
                known.active = true;
            }
            None => entry.accessors.push(accessor),
        }
    }
}

impl Method for AddIdentity {
    const NAME: &'static str = "AddIdentity";
    const CALLER: AllowedCaller = AllowedCaller::Idp;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        if self.reference_group_code.is_empty() {
            return Err(refused::GROUP_CODE_EMPTY);
        }
        check_new_identities(&self.new_identity_list)
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let code = self.reference_group_code;
        let group = state.groups.get(&code).ok_or(refused::GROUP_UNKNOWN)?;
        let mut needed = 0;
        for entry in &group.idps {
            if state.node(&entry.node_id)?.active {
                needed = 1;
                break;
            }
        }
        let identities = admissible_identities(state, &self.new_identity_list, Some(group))?;
        let entry = group.idp(call.node_id).ok_or(refused::NOT_IN_GROUP)?;
        let needs_consent = entry.modes.contains(&CONSENT_MODE);
        let consent = needs_consent
            .then(|| consent::check(state, &self.request_id, Self::NAME, needed))
            .transpose()?;

        consent::spend(state, consent);
        add_identities(state, &code, identities);
        Ok(MethodResult::with_group(code))
    }
}

macro_rules! target {
    ($params:expr) => {
        GroupTarget {
            group_code: &$params.reference_group_code,
            namespace: &$params.identity_namespace,
            identifier_hash: &$params.identity_identifier_hash,
        }
    };
}

impl Method for UpdateIdentity {
    const NAME: &'static str = "UpdateIdentity";
    const CALLER: AllowedCaller = AllowedCaller::Idp;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        target!(self).check()?;
        if self.ial.is_none() && self.lial.is_none() && self.laal.is_none() {
            return Err(refused::NOTHING_TO_UPDATE);
        }
        Ok(())
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let max_ial = state.node(call.node_id)?.max_ial;
        if self.ial.is_some_and(|ial| ial > max_ial) {
            return Err(refused::IAL_ABOVE_NODE);
        }
        let code = target!(self).group_code(state)?;
        let entry = own_entry_mut(state, &code, call)?;
        entry.ial = self.ial.unwrap_or(entry.ial);
        entry.lial = self.lial.or(entry.lial);
        entry.laal = self.laal.or(entry.laal);
        Ok(MethodResult::with_group(code))
    }
}

impl Method for UpdateIdentityModeList {
    const NAME: &'static str = "UpdateIdentityModeList";
    const CALLER: AllowedCaller = AllowedCaller::Idp;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        target!(self).check()
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let code = target!(self).group_code(state)?;
        let entry = own_entry(state, &code, call)?;
        let allowed = state.modes_allowed_for(Self::NAME);
        if !self.mode_list.iter().all(|mode| allowed.contains(mode)) {
            return Err(refused::MODE_NOT_ALLOWED_UPDATE);
        }
        // The smallest ones are compared (spec/ledger.md 9.2).
        let smallest = |modes: &[i64]| modes.iter().copied().min().unwrap_or(0);
        if smallest(&entry.modes) > smallest(&self.mode_list) {
            return Err(refused::MODE_LOWERED);
        }
        own_entry_mut(state, &code, call)?.modes = sorted_modes(&self.mode_list);
        Ok(MethodResult::with_group(code))
    }
}

impl Method for RevokeIdentityAssociation {
    const NAME: &'static str = "RevokeIdentityAssociation";
    const CALLER: AllowedCaller = AllowedCaller::Idp;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        target!(self).check()
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let code = target!(self).group_code(state)?;
        let needs_consent = own_entry(state, &code, call)?.modes.contains(&CONSENT_MODE);
        let consent = needs_consent
            .then(|| consent::check(state, &self.request_id, Self::NAME, 1))
            .transpose()?;

        consent::spend(state, consent);
        let entry = own_entry_mut(state, &code, call)?;
        entry.active = false;
        for accessor in &mut entry.accessors {
            accessor.active = false;
        }
        Ok(MethodResult::with_group(code))
    }
}
