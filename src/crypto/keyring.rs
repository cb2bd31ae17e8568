//! The private keys of this node and of the nodes behind it, from files
//! (spec/messaging-and-crypto.md 5.7, 5.8).
//!
//! The ledger says which key counts, and it changes its mind in the middle of
//! everything: so every signature and decryption names the public half, and several
//! generations of keys are held at once. Files whose key is not the ledger's are
//! read again, and all files when a block changes keys, so that new files take
//! effect in every process of the node, called or not, and before or after the
//! ledger has their public halves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use openssl::pkey::{PKey, Private};
use parking_lot::{Mutex, RwLock};

use super::key_files::{self, KeyFileError, NodeKeys};
use super::{Crypto, KeyUse, compared, encryption, public_key, signature};
use crate::config::{Config, Keys};
use crate::error::{Error, codes};
use crate::ledger::types::{NodeInfo, NodeKey};

/// Generations of keys that are held of a node.
const GENERATIONS: usize = 4;

/// How often the files of a node are looked into, at most, for a key that is not
/// held.
const LOOK: Duration = Duration::from_secs(1);

/// The keys of a node, newest first.
type Generations = Vec<Arc<NodeKeys>>;

/// Private keys in memory. The keys of a node that is put behind this proxy
/// later are loaded when they are first needed.
pub struct Keyring {
    config: Arc<Config>,
    held: RwLock<HashMap<String, Generations>>,
    /// When the files of a node were last looked into.
    looked: Mutex<HashMap<String, Instant>>,
}

impl Keyring {
    /// Loads this node's keys and those of the nodes behind it (role proxy,
    /// config `KEY_ON_PROXY`).
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(config: Arc<Config>, behind_proxy: &[String]) -> Result<Self, KeyFileError> {
        let keyring = Self {
            config,
            held: RwLock::default(),
            looked: Mutex::default(),
        };
        keyring.reload(behind_proxy)?;
        Ok(keyring)
    }

    /// Reads all files again, for `GET /reinit_node_keys`. Either all of them
    /// are usable and take effect together, or nothing changes. Keys that were
    /// replaced go on to be used while the ledger has their public halves, and
    /// to decrypt.
    ///
    /// # Errors
    /// The first unusable file.
    pub fn reload(&self, behind_proxy: &[String]) -> Result<(), KeyFileError> {
        let mut read = Vec::new();
        for node_id in std::iter::once(&self.config.node_id).chain(behind_proxy) {
            read.push((node_id, self.read(node_id)?));
        }
        let mut held = self.held.write();
        for (node_id, keys) in read {
            add(held.entry(node_id.clone()).or_default(), keys);
        }
        Ok(())
    }

    fn read(&self, node_id: &str) -> Result<Vec<NodeKeys>, KeyFileError> {
        match &self.config.keys {
            Keys::Files { behind_proxy, .. } if *node_id != *self.config.node_id => {
                key_files::load_behind_proxy(behind_proxy, node_id)
            }
            keys => key_files::load_own(keys),
        }
    }

    fn held(&self, node_id: &str) -> Generations {
        self.held.read().get(node_id).cloned().unwrap_or_default()
    }

    /// Reads the files of all nodes whose keys are held, because keys on the
    /// ledger have changed, perhaps those of one of them. A process that signs
    /// nothing between two changes would otherwise miss the keys of the first.
    pub fn refresh(&self) {
        let node_ids: Vec<String> = self.held.read().keys().cloned().collect();
        for node_id in node_ids {
            self.look(&node_id);
        }
    }

    /// The variables whose keys are not those of the ledger, in no generation.
    pub fn differing(&self, node_id: &str, node: &NodeInfo) -> Vec<&'static str> {
        let found = compared::differing(&self.held(node_id), node);
        if found.is_empty() {
            return found;
        }
        self.look_if_due(node_id);
        compared::differing(&self.held(node_id), node)
    }

    /// Looks into the files of a node whose key is not held, unless that was done
    /// a moment ago.
    fn look_if_due(&self, node_id: &str) {
        let before = self.looked.lock().get(node_id).copied();
        if before.is_none_or(|before| before.elapsed() >= LOOK) {
            self.look(node_id);
        }
    }

    fn look(&self, node_id: &str) {
        let now = Instant::now();
        match self.read(node_id) {
            Ok(keys) => {
                let mut held = self.held.write();
                if add(held.entry(node_id.to_owned()).or_default(), keys) {
                    tracing::info!(keys_of = node_id, "new keys of this node are loaded");
                }
            }
            // Nothing is behind this node.
            Err(KeyFileError::Unset(_)) => return,
            Err(error) => {
                tracing::warn!(keys_of = node_id, %error, "keys of this node cannot be read")
            }
        }
        let mut looked = self.looked.lock();
        looked.retain(|_, at| now.duration_since(*at) < LOOK);
        looked.insert(node_id.to_owned(), now);
    }

    /// The private half of a key of the ledger.
    ///
    /// # Errors
    /// 10034: final when no key of the node is there, temporary when others are,
    /// and the ledger's has taken the place of another one: its file will come.
    fn find(
        &self,
        node_id: &str,
        key: &NodeKey,
        pick: impl Fn(&NodeKeys) -> &PKey<Private>,
    ) -> Result<PKey<Private>, Error> {
        let half_of = |held: &Generations| {
            let mut picked = held.iter().map(|keys| pick(keys));
            let public = public_key::parse(&key.public_key).ok()?;
            picked.find(|private| private.public_eq(&public)).cloned()
        };
        if let Some(private) = half_of(&self.held(node_id)) {
            return Ok(private);
        }
        self.look_if_due(node_id);
        let held = self.held(node_id);
        let found = half_of(&held);
        match (found, held.first()) {
            (Some(private), _) => Ok(private),
            (None, None) => Err(codes::NODE_KEY_NOT_FOUND.into()),
            // Nothing can be on its way: the ledger says whether it is wrong.
            (None, Some(newest)) if key.version <= 1 => Ok(pick(newest).clone()),
            (None, Some(_)) => Err(Error::from(codes::NODE_KEY_NOT_FOUND)
                .temporary()
                .of_crypto_service()),
        }
    }
}

/// Adds keys as read from files, newest first; whether any of them is new.
fn add(held: &mut Generations, read: Vec<NodeKeys>) -> bool {
    let before = held.len();
    let known = |held: &Generations, keys: &NodeKeys| held.iter().position(|one| same(one, keys));
    for (place, keys) in read.into_iter().enumerate() {
        let keys = match known(held, &keys) {
            Some(position) => held.remove(position),
            None => Arc::new(keys),
        };
        held.insert(place.min(held.len()), keys);
    }
    let is_new = held.len() > before;
    held.truncate(GENERATIONS);
    is_new
}

fn same(one: &NodeKeys, other: &NodeKeys) -> bool {
    one.signing.public_eq(&other.signing)
        && one.signing_master.public_eq(&other.signing_master)
        && one.encryption.public_eq(&other.encryption)
}

#[async_trait]
impl Crypto for Keyring {
    fn is_local(&self) -> bool {
        true
    }

    fn encryption_keys(&self, node_id: &str) -> Vec<String> {
        let held = self.held(node_id);
        let pems = held.iter().filter_map(|keys| {
            let pem = keys.encryption.public_key_to_pem().ok()?;
            String::from_utf8(pem).ok()
        });
        pems.collect()
    }

    async fn sign(
        &self,
        node_id: &str,
        key_use: KeyUse,
        key: &NodeKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let private = self.find(node_id, key, |keys| match key_use {
            KeyUse::Signing => &keys.signing,
            KeyUse::SigningMaster => &keys.signing_master,
        })?;
        signature::sign(&private, &key.algorithm, message)
    }

    async fn decrypt(
        &self,
        node_id: &str,
        key: &NodeKey,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let private = self.find(node_id, key, |keys| &keys.encryption)?;
        encryption::decrypt(&private, &key.algorithm, encrypted)
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
