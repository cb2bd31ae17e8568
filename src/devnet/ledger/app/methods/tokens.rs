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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NODE: &str = "rp1";

    fn call() -> MethodCall<'static> {
        MethodCall {
            node_id: "ndid1",
            params: b"{}",
        }
    }

    proptest! {
        /// What is taken was there, and what is there was given.
        #[test]
        fn tokens_are_neither_made_nor_lost(steps in prop::collection::vec((any::<bool>(), 0u32..1000), 0..40)) {
            let mut state = State::new("chain");
            state.tokens.insert(NODE.to_owned(), 0.0);
            let mut expected = 0u32;
            for (is_added, amount) in steps {
                let (node_id, given) = (NODE.to_owned(), f64::from(amount));
                let taken = match is_added {
                    true => AddNodeToken { node_id, amount: given }.run(&mut state, &call()).is_ok(),
                    false => ReduceNodeToken { node_id, amount: given }.run(&mut state, &call()).is_ok(),
                };
                prop_assert_eq!(taken, is_added || amount <= expected);
                match is_added {
                    true => expected += amount,
                    false if taken => expected -= amount,
                    false => {}
                }
                prop_assert_eq!(state.tokens[NODE], f64::from(expected));
            }
        }
    }

    #[test]
    fn amounts_are_not_negative_and_accounts_are_known() {
        assert!(check(NODE, -0.5).is_err());
        assert!(check(NODE, 0.0).is_ok());
        let mut state = State::new("chain");
        let unknown = AddNodeToken {
            node_id: "nobody".to_owned(),
            amount: 1.0,
        };
        assert!(unknown.run(&mut state, &call()).is_err());
    }
}
