//! Keys, signatures, encryption, hashes and salts (spec/messaging-and-crypto.md 5, 6).

pub mod accessor;
pub mod behalf;
pub mod compared;
pub mod encryption;
pub mod envelope;
pub mod external;
#[cfg(test)]
pub(crate) mod external_tests;
pub mod hash;
pub mod key_files;
pub mod keyring;
pub mod public_key;
pub mod signature;
#[cfg(test)]
pub(crate) mod test_key;
pub mod transaction;

use async_trait::async_trait;

use crate::error::Error;
use crate::ledger::types::NodeKey;

/// Version of a key that is not on the ledger yet; versions on the ledger are
/// counted from 1.
pub const NO_VERSION: u64 = 0;

/// Which of a node's two signing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyUse {
    /// Transactions, messages, AS data.
    Signing,
    /// `UpdateNode` only.
    SigningMaster,
}

/// Private key operations of this node and of the nodes behind it, with key
/// files or an external service.
#[async_trait]
pub trait Crypto: Send + Sync {
    /// True when operations run in this process, cheap enough for an API call
    /// to wait for them.
    fn is_local(&self) -> bool;

    /// Pending calls of an external service.
    fn calls_under_way(&self) -> u64 {
        0
    }

    /// Why the last call of an external service failed.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// PEM texts of the public halves of the encryption keys in this process,
    /// newest first, whether the ledger has them or not.
    fn encryption_keys(&self, _node_id: &str) -> Vec<String> {
        Vec::new()
    }

    /// Signs with the private half of a key of the ledger, under its algorithm
    /// (spec/messaging-and-crypto.md 5.4).
    ///
    /// # Errors
    /// 10034 without any key of the node; temporary while it has others than this
    /// one, or when the external service cannot be reached, or has no URL yet
    /// (10010, 10011).
    async fn sign(
        &self,
        node_id: &str,
        key_use: KeyUse,
        key: &NodeKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Error>;

    /// Unwraps a message's symmetric key (spec/messaging-and-crypto.md 5.5).
    ///
    /// # Errors
    /// 10022 for anything wrong with the ciphertext; 10034, 10012, temporary as for [`sign`](Self::sign).
    async fn decrypt(
        &self,
        node_id: &str,
        key: &NodeKey,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, Error>;
}
