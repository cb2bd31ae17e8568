//! Signs transactions (spec/ledger.md 2).

use rand::RngCore;
use serde_json::Value;

use super::{Crypto, KeyUse};
use crate::error::{Error, codes};
use crate::ledger::transaction::{Signed, encode, signed_message};
use crate::ledger::types::NodeKey;
use crate::ledger::{Ledger, query};

const NONCE_BYTES: usize = 32;

/// Signs with `node_id`'s key under its algorithm on the ledger. `UpdateNode`
/// uses the master key and its algorithm (spec/ledger.md 9.1), `InitNDID` the
/// algorithm that it tells the ledger.
/// # Errors
/// Those of the ledger and of [`Crypto::sign`]; 10034 when the ledger has no
/// key for the node.
pub async fn sign(
    ledger: &dyn Ledger,
    crypto: &dyn Crypto,
    node_id: &str,
    method: &str,
    params: &Value,
) -> Result<Signed, Error> {
    let (key_use, key) = key(ledger, node_id, method, params).await?;
    let params = params.to_string().into_bytes();
    let mut nonce = [0; NONCE_BYTES];
    rand::rng().fill_bytes(&mut nonce);
    let message = signed_message(method, &params, &ledger.chain_id()?, &nonce);
    let signature = crypto.sign(node_id, key_use, &key, &message).await?;
    Ok(encode(method, &params, &nonce, &signature, node_id))
}

/// The key that signs, as the ledger has it, and its use.
async fn key(
    ledger: &dyn Ledger,
    node_id: &str,
    method: &str,
    params: &Value,
) -> Result<(KeyUse, NodeKey), Error> {
    let (key_use, key) = match method {
        "InitNDID" => {
            let text = |name: &str| params[name].as_str().unwrap_or_default();
            let key = NodeKey::unregistered(text("signing_public_key"), text("signing_algorithm"));
            return Ok((KeyUse::Signing, key));
        }
        "UpdateNode" => (
            KeyUse::SigningMaster,
            query::signing_master_key(ledger, node_id).await?,
        ),
        _ => (KeyUse::Signing, query::signing_key(ledger, node_id).await?),
    };
    Ok((key_use, key.ok_or(codes::NODE_KEY_NOT_FOUND)?))
}
