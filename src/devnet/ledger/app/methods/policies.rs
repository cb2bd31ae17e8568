//! Lists of what is allowed in the network (spec/ledger.md 4.6, 4.9).

use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::node::Role;
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::{ErrorCode, State};

pub const METHODS: &[Entry] = &[
    Entry::of::<SetSupportedIALList>(),
    Entry::of::<SetSupportedAALList>(),
    Entry::of::<SetAllowedModeList>(),
    Entry::of::<SetAllowedMinIalForRegisterIdentityAtFirstIdp>(),
    Entry::of::<AddRequestType>(),
    Entry::of::<RemoveRequestType>(),
    Entry::of::<AddErrorCode>(),
    Entry::of::<RemoveErrorCode>(),
    Entry::of::<SetTimeOutBlockRegisterIdentity>(),
    Entry::of::<AddAllowedNodeSupportedFeature>(),
    Entry::of::<RemoveAllowedNodeSupportedFeature>(),
    Entry::of::<AddSuppressedIdentityModificationNotificationNode>(),
    Entry::of::<RemoveSuppressedIdentityModificationNotificationNode>(),
];

params! {
    struct SetSupportedIALList {
        supported_ial_list: Vec<f64>,
    }

    struct SetSupportedAALList {
        supported_aal_list: Vec<f64>,
    }

    struct SetAllowedModeList {
        purpose: String,
        allowed_mode_list: Vec<i64>,
    }

    struct SetAllowedMinIalForRegisterIdentityAtFirstIdp {
        min_ial: f64,
    }

    struct AddRequestType {
        name: String,
    }

    struct RemoveRequestType {
        name: String,
    }

    struct AddErrorCode {
        error_code: i64,
        r#type: String,
        description: String,
    }

    struct RemoveErrorCode {
        error_code: i64,
        r#type: String,
    }

    struct SetTimeOutBlockRegisterIdentity {
        time_out_block: i64,
    }

    struct AddAllowedNodeSupportedFeature {
        name: String,
    }

    struct RemoveAllowedNodeSupportedFeature {
        name: String,
    }

    struct AddSuppressedIdentityModificationNotificationNode {
        node_id: String,
    }

    struct RemoveSuppressedIdentityModificationNotificationNode {
        node_id: String,
    }
}

impl Method for SetSupportedIALList {
    const NAME: &'static str = "SetSupportedIALList";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.supported_ials = self.supported_ial_list;
        Ok(MethodResult::default())
    }
}

impl Method for SetSupportedAALList {
    const NAME: &'static str = "SetSupportedAALList";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.supported_aals = self.supported_aal_list;
        Ok(MethodResult::default())
    }
}

impl Method for SetAllowedModeList {
    const NAME: &'static str = "SetAllowedModeList";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state
            .allowed_modes
            .insert(self.purpose, self.allowed_mode_list);
        Ok(MethodResult::default())
    }
}

impl Method for SetAllowedMinIalForRegisterIdentityAtFirstIdp {
    const NAME: &'static str = "SetAllowedMinIalForRegisterIdentityAtFirstIdp";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.first_idp_min_ial = self.min_ial;
        Ok(MethodResult::default())
    }
}

impl Method for AddRequestType {
    const NAME: &'static str = "AddRequestType";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.request_types.insert(self.name) {
            return Ok(MethodResult::default());
        }
        Err(refused::REQUEST_TYPE_EXISTS)
    }
}

impl Method for RemoveRequestType {
    const NAME: &'static str = "RemoveRequestType";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.request_types.remove(&self.name) {
            return Ok(MethodResult::default());
        }
        Err(refused::REQUEST_TYPE_UNKNOWN)
    }
}

impl Method for AddErrorCode {
    const NAME: &'static str = "AddErrorCode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        let kind = self.r#type.to_lowercase();
        if self.error_code == 0 || !["idp", "as"].contains(&kind.as_str()) {
            return Err(refused::ERROR_CODE_INVALID);
        }
        Ok(())
    }

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let kind = self.r#type.to_lowercase();
        if state.has_error_code(&kind, self.error_code) {
            return Err(refused::ERROR_CODE_EXISTS);
        }
        state.error_codes.entry(kind).or_default().push(ErrorCode {
            code: self.error_code,
            description: self.description,
        });
        Ok(MethodResult::default())
    }
}

impl Method for RemoveErrorCode {
    const NAME: &'static str = "RemoveErrorCode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let known = state.error_codes.get_mut(&self.r#type);
        let known = known.ok_or(refused::ERROR_CODE_INVALID)?;
        let place = known.iter().position(|entry| entry.code == self.error_code);
        known.remove(place.ok_or(refused::ERROR_CODE_INVALID)?);
        Ok(MethodResult::default())
    }
}

impl Method for SetTimeOutBlockRegisterIdentity {
    const NAME: &'static str = "SetTimeOutBlockRegisterIdentity";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if self.time_out_block <= 0 {
            return Err(refused::TIME_OUT_BLOCK_INVALID);
        }
        state.time_out_block = self.time_out_block;
        Ok(MethodResult::default())
    }
}

impl Method for AddAllowedNodeSupportedFeature {
    const NAME: &'static str = "AddAllowedNodeSupportedFeature";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.features.insert(self.name) {
            return Ok(MethodResult::default());
        }
        Err(refused::FEATURE_EXISTS)
    }
}

impl Method for RemoveAllowedNodeSupportedFeature {
    const NAME: &'static str = "RemoveAllowedNodeSupportedFeature";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.features.remove(&self.name) {
            return Ok(MethodResult::default());
        }
        Err(refused::FEATURE_NOT_ALLOWED)
    }
}

impl Method for AddSuppressedIdentityModificationNotificationNode {
    const NAME: &'static str = "AddSuppressedIdentityModificationNotificationNode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.node(&self.node_id)?.role != Role::Idp {
            return Err(refused::TARGET_NOT_IDP);
        }
        if state.suppressed.insert(self.node_id) {
            return Ok(MethodResult::default());
        }
        Err(refused::SUPPRESSED_EXISTS)
    }
}

impl Method for RemoveSuppressedIdentityModificationNotificationNode {
    const NAME: &'static str = "RemoveSuppressedIdentityModificationNotificationNode";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.suppressed.remove(&self.node_id) {
            return Ok(MethodResult::default());
        }
        Err(refused::SUPPRESSED_UNKNOWN)
    }
}
