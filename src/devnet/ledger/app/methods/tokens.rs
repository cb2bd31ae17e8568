//! Token accounts and prices of methods (spec/ledger.md 4.6).

use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::State;

pub const METHODS: &[Entry] = &[
    Entry::of::<SetNodeToken>(),
    Entry::of::<AddNodeToken>(),
    Entry::of::<ReduceNodeToken>(),
    Entry::of::<SetPriceFunc>(),
];

params! {
    struct SetNodeToken {
        node_id: String,
        amount: f64,
    }

    struct AddNodeToken {
        node_id: String,
        amount: f64,
    }

    struct ReduceNodeToken {
        node_id: String,
        amount: f64,
    }

    struct SetPriceFunc {
        func: String,
        price: f64,
    }
}

fn check(node_id: &str, amount: f64) -> Result<(), TxRefusal> {
    if node_id.is_empty() {
        return Err(refused::NODE_UNKNOWN);
    }
    if amount < 0.0 {
        return Err(refused::AMOUNT_NEGATIVE);
    }
    Ok(())
}

fn account<'a>(state: &'a mut State, node_id: &str) -> Result<&'a mut f64, TxRefusal> {
    let account = state.tokens.get_mut(node_id);
    account.ok_or(refused::TOKEN_ACCOUNT_UNKNOWN)
}

impl Method for SetNodeToken {
    const NAME: &'static str = "SetNodeToken";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        check(&self.node_id, self.amount)
    }

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        *account(state, &self.node_id)? = self.amount;
        Ok(MethodResult::default())
    }
}

impl Method for AddNodeToken {
    const NAME: &'static str = "AddNodeToken";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        check(&self.node_id, self.amount)
    }

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        *account(state, &self.node_id)? += self.amount;
        Ok(MethodResult::default())
    }
}

impl Method for ReduceNodeToken {
    const NAME: &'static str = "ReduceNodeToken";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        check(&self.node_id, self.amount)
    }

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let account = account(state, &self.node_id)?;
        if *account < self.amount {
            return Err(refused::TOKEN_NOT_ENOUGH);
        }
        *account -= self.amount;
        Ok(MethodResult::default())
    }
}

impl Method for SetPriceFunc {
    const NAME: &'static str = "SetPriceFunc";
    const CALLER: AllowedCaller = AllowedCaller::Ndid;

    fn run(self, state: &mut State, _call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        state.method_prices.insert(self.func, self.price);
        Ok(MethodResult::default())
    }
}
