//! What a node says of itself (spec/ledger.md 4.2).

use crate::devnet::ledger::app::keys::{check_rsa_key, check_signing_key};
use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::node::{MqAddress, Role};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::TxRefusal;
use crate::devnet::ledger::app::state::State;

pub const METHODS: &[Entry] = &[Entry::of::<SetMqAddresses>(), Entry::of::<UpdateNode>()];

params! {
    struct AddressParams {
        ip: String,
        port: i64,
    }

    struct SetMqAddresses {
        addresses: Vec<AddressParams>,
    }

    struct UpdateNode {
        signing_public_key: String,
        signing_algorithm: String,
        signing_master_public_key: String,
        signing_master_algorithm: String,
        encryption_public_key: String,
        encryption_algorithm: String,
        supported_request_message_data_url_type_list: Option<Vec<String>>,
    }
}

impl Method for SetMqAddresses {
    const NAME: &'static str = "SetMqAddresses";
    const CALLER: AllowedCaller = AllowedCaller::NotNdid;
    const PAID: bool = true;

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let addresses = self.addresses.into_iter().map(|address| MqAddress {
            ip: address.ip,
            port: address.port,
        });
        state.node_mut(call.node_id)?.mq = addresses.collect();
        Ok(MethodResult::default())
    }
}

/// Signed with the master key, see `signed_with` of the application.
impl Method for UpdateNode {
    const NAME: &'static str = "UpdateNode";
    const CALLER: AllowedCaller = AllowedCaller::Anyone;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        if !self.signing_master_public_key.is_empty() {
            check_signing_key(
                &self.signing_master_public_key,
                &self.signing_master_algorithm,
            )?;
        }
        if !self.signing_public_key.is_empty() {
            check_signing_key(&self.signing_public_key, &self.signing_algorithm)?;
        }
        if !self.encryption_public_key.is_empty() {
            check_rsa_key(&self.encryption_public_key)?;
        }
        Ok(())
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let height = state.height;
        let chain_id = state.chain_id.clone();
        let node = state.node_mut(call.node_id)?;
        let changes = [
            (
                &mut node.master,
                self.signing_master_public_key,
                self.signing_master_algorithm,
            ),
            (
                &mut node.signing,
                self.signing_public_key,
                self.signing_algorithm,
            ),
            (
                &mut node.encryption,
                self.encryption_public_key,
                self.encryption_algorithm,
            ),
        ];
        for (history, public_key, algorithm) in changes {
            if !public_key.is_empty() {
                history.replace(public_key, algorithm, height, &chain_id);
            }
        }
        if let Some(types) = self.supported_request_message_data_url_type_list
            && node.role == Role::Idp
        {
            node.data_url_types = types;
        }
        Ok(MethodResult::default())
    }
}
