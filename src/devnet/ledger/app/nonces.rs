//! Nonces that CheckTx has seen (spec/ledger.md 2.8).

use std::collections::HashSet;

use super::Sha256Digest;

/// Nonces in one generation. Far more than a mempool holds, so that a waiting
/// transaction's nonce is never forgotten.
const GENERATION: usize = 500_000;

/// Hashes of nonces seen. Those of refused transactions stay burned, as in the
/// replaced application, but not for ever: the oldest are forgotten, so that
/// rubbish cannot fill the memory.
#[derive(Default)]
pub struct SeenNonces {
    young: HashSet<Sha256Digest>,
    old: HashSet<Sha256Digest>,
}

impl SeenNonces {
    /// Remembers a nonce; false if it was known.
    pub fn insert(&mut self, nonce: Sha256Digest) -> bool {
        if self.old.contains(&nonce) {
            return false;
        }
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(nonce)
    }

    /// Forgets a nonce, because its transaction is in a block.
    pub fn remove(&mut self, nonce: &Sha256Digest) {
        self.young.remove(nonce);
        self.old.remove(nonce);
    }
}
