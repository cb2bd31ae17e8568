//! Administration of the chain (spec/ledger.md 4.5).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::Value;

use crate::devnet::ledger::app::method::{
    AllowedCaller, Entry, Method, MethodCall, MethodResult, check_caller,
};
use crate::devnet::ledger::app::params::{Decode, from_json, params};
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal, UNDECODABLE};
use crate::devnet::ledger::app::state::{Identity, Init, NEVER_DISABLED, State};

/// Name of the method whose parameters are protobuf.
pub const SET_INIT_DATA_PB: &str = "SetInitData_pb";

pub const METHODS: &[Entry] = &[
    Entry::of::<EndInit>(),
    Entry::of::<SetLastBlock>(),
    Entry::of::<SetInitData>(),
    Entry {
        name: SET_INIT_DATA_PB,
        paid: false,
        check: check_init_data_pb,
        run: run_init_data_pb,
    },
    Entry::of::<SetValidator>(),
];

/// Bytes as base64 text.
#[derive(Debug, Clone, Default, PartialEq)]
struct Base64(Vec<u8>);

impl Decode for Base64 {
    fn decode(value: Value) -> Result<Self, TxRefusal> {
        let text = <String as Decode>::decode(value)?;
        STANDARD.decode(text).map(Self).map_err(|_| UNDECODABLE)
    }
}

params! {
    struct EndInit {}

    struct SetLastBlock {
        block_height: i64,
    }

    struct KeyValue {
        key: Base64,
        value: Base64,
    }

    struct SetInitData {
        kv_list: Vec<KeyValue>,
    }

    struct SetValidator {
        public_key: String,
        power: i64,
    }
}

impl Method for EndInit {
    const NAME: &'static str = "EndInit";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.init = Init::Ended;
        Ok(MethodResult::default())
    }
}

impl Method for SetLastBlock {
    const NAME: &'static str = "SetLastBlock";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.last_block = match self.block_height {
            NEVER_DISABLED => NEVER_DISABLED,
            given => given.max(state.height),
        };
        Ok(MethodResult::default())
    }
}

fn check_initialising(state: &State) -> Result<(), TxRefusal> {
    match state.init {
        Init::Begun => Ok(()),
        Init::Not | Init::Ended => Err(refused::CHAIN_INITIALISED),
    }
}

impl Method for SetInitData {
    const NAME: &'static str = "SetInitData";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn check(&self, state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        check_initialising(state)
    }

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        for entry in self.kv_list {
            import(state, entry.key.0, entry.value.0);
        }
        Ok(MethodResult::default())
    }
}

/// Writes one record under the key of spec/ledger.md 10. Only records whose
/// value is text are interpreted: the layout of the others is not known.
fn import(state: &mut State, key: Vec<u8>, value: Vec<u8>) {
    if let Some(nonce) = key.strip_prefix(b"n|") {
        state.nonces.insert(openssl::sha::sha256(nonce));
        return;
    }
    if let (Ok(key), Ok(value)) = (std::str::from_utf8(&key), std::str::from_utf8(&value))
        && import_text(state, key, value)
    {
        return;
    }
    state.imported.insert(key, value);
}

fn import_text(state: &mut State, key: &str, value: &str) -> bool {
    let parts: Vec<&str> = key.split('|').collect();
    match parts.as_slice() {
        ["ChainHistoryInfo"] => state.chain_history = value.to_owned(),
        ["lastBlock"] => match value.parse() {
            Ok(height) => state.last_block = height,
            Err(_) => return false,
        },
        ["identityToRefCodeKey", namespace, hash] => {
            let identity = Identity {
                namespace: (*namespace).to_owned(),
                identifier_hash: (*hash).to_owned(),
            };
            state.group_of_identity.insert(identity, value.to_owned());
        }
        ["accessorToRefCodeKey", id] => {
            state
                .group_of_accessor
                .insert((*id).to_owned(), value.to_owned());
        }
        ["SignData", as_id, service_id, request_id] => {
            let key = (*as_id, *service_id, *request_id);
            let key = (key.0.to_owned(), key.1.to_owned(), key.2.to_owned());
            state.data_signatures.insert(key, value.to_owned());
        }
        _ => return false,
    }
    true
}

#[derive(Clone, PartialEq, Message)]
struct KeyValuePb {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SetInitDataPb {
    #[prost(message, repeated, tag = "1")]
    kv_list: Vec<KeyValuePb>,
}

/// Decodes as JSON what execution decodes as protobuf, as the replaced
/// application does: a real one is refused here (spec/ledger.md 9.2).
fn check_init_data_pb(state: &State, call: &MethodCall) -> Result<(), TxRefusal> {
    check_caller(AllowedCaller::Ndid, state, call)?;
    from_json::<SetInitData>(call.params)?;
    check_initialising(state)
}

fn run_init_data_pb(state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
    check_caller(AllowedCaller::Ndid, state, call)?;
    let params = SetInitDataPb::decode(call.params).map_err(|_| UNDECODABLE)?;
    check_initialising(state)?;
    for entry in params.kv_list {
        import(state, entry.key, entry.value);
    }
    Ok(MethodResult::default())
}

const ED25519_KEY_BYTES: usize = 32;

impl Method for SetValidator {
    const NAME: &'static str = "SetValidator";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        let key = STANDARD.decode(&self.public_key);
        let key = key.map_err(|_| refused::VALIDATOR_KEY_NOT_BASE64)?;
        if key.len() != ED25519_KEY_BYTES {
            return Err(refused::VALIDATOR_KEY_LENGTH);
        }
        if self.power < 0 {
            return Err(refused::POWER_NEGATIVE);
        }
        Ok(())
    }

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if self.power > 0 {
            state.validators.insert(self.public_key, self.power);
        } else if state.validators.remove(&self.public_key).is_none() {
            return Err(refused::VALIDATOR_UNKNOWN);
        }
        Ok(MethodResult::default())
    }
}
