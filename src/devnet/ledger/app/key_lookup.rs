//! Which key a transaction has to be signed with (spec/ledger.md 2.4).

use std::sync::Arc;

use super::node::NodeKey;
use super::params::{from_json, params};
use super::refusal::{self as refused, TxRefusal};
use super::state::State;
use crate::proto::wire::Tx;

params! {
    struct InitKey {
        signing_public_key: String,
        signing_algorithm: String,
    }
}

/// A key and the algorithm it signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// PEM text.
    pub public_key: Arc<str>,
    /// Name on the wire.
    pub algorithm: Arc<str>,
}

impl From<&NodeKey> for Signer {
    fn from(key: &NodeKey) -> Self {
        Self {
            public_key: Arc::clone(&key.public_key),
            algorithm: Arc::clone(&key.algorithm),
        }
    }
}

/// The key that verifies the transaction.
///
/// # Errors
/// 61, 62 or 63 if there is none.
pub fn signed_with(state: &State, tx: &Tx) -> Result<Signer, TxRefusal> {
    let node = state.nodes.get(&tx.node_id);
    match tx.method.as_str() {
        "InitNDID" => match from_json::<InitKey>(&tx.params) {
            Ok(key) if !key.signing_public_key.is_empty() => Ok(Signer {
                public_key: key.signing_public_key.into(),
                algorithm: key.signing_algorithm.into(),
            }),
            _ => Err(refused::INIT_KEY_MISSING),
        },
        "UpdateNode" => {
            let node = node.ok_or(refused::MASTER_KEY_UNKNOWN)?;
            Ok(node.master.current().into())
        }
        _ => {
            let node = node.ok_or(refused::SIGNING_KEY_UNKNOWN)?;
            Ok(node.signing.current().into())
        }
    }
}
