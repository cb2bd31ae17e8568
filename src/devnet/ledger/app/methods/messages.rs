//! Messages of RPs (spec/ledger.md 4.1).

use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::{Message, State};

pub const METHODS: &[Entry] = &[Entry::of::<CreateMessage>()];

params! {
    struct CreateMessage {
        message_id: String,
        message: String,
        purpose: String,
    }
}

impl Method for CreateMessage {
    const NAME: &'static str = "CreateMessage";
    const CALLER: AllowedCaller = AllowedCaller::Rp;
    const PAID: bool = true;

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.messages.contains_key(&self.message_id) {
            return Err(refused::MESSAGE_EXISTS);
        }
        let done = MethodResult::with_id(&self.message_id);
        let message = Message {
            message: self.message,
            purpose: self.purpose,
            owner: call.node_id.to_owned(),
            creation_height: state.height,
            creation_chain_id: state.chain_id.clone(),
        };
        state.messages.insert(self.message_id, message);
        Ok(done)
    }
}
