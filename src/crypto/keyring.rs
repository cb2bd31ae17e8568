//! The private keys of this node and of the nodes behind it, from files
//! (spec/messaging-and-crypto.md 5.7, 5.8).

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;

use super::envelope::KEY_LENGTH;
use super::key_files::{self, KeyFileError, NodeKeys};
use super::{Crypto, KeyUse, encryption, signature};
use crate::config::{Config, Keys};
use crate::error::{Error, codes};

/// Keys by node id, and those they replaced: messages encrypted before a
/// rotation arrive for minutes after it.
#[derive(Clone, Default)]
struct KeyGenerations {
    current: HashMap<String, Arc<NodeKeys>>,
    previous: HashMap<String, Arc<NodeKeys>>,
}

/// Private keys held in memory. Those of a node that is put behind this proxy
/// later are loaded when they are first needed.
pub struct Keyring {
    config: Arc<Config>,
    held: RwLock<KeyGenerations>,
}

impl Keyring {
    /// Loads this node's keys and those of the nodes behind it (role proxy,
    /// config `KEY_ON_PROXY`).
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(config: Arc<Config>, behind_proxy: &[String]) -> Result<Self, KeyFileError> {
        let current = load_all(&config, behind_proxy)?;
        Ok(Self {
            config,
            held: RwLock::new(KeyGenerations {
                current,
                previous: HashMap::new(),
            }),
        })
    }

    /// Reads all files again, for `GET /reinit_node_keys`. Either all of them
    /// are usable and take effect together, or nothing changes. Keys that were
    /// replaced go on decrypting until the next change.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn reload(&self, behind_proxy: &[String]) -> Result<(), KeyFileError> {
        let current = load_all(&self.config, behind_proxy)?;
        let mut held = self.held.write();
        let before = std::mem::take(&mut held.current);
        for (node_id, keys) in before {
            let is_replaced = current
                .get(&node_id)
                .is_some_and(|now| !now.encryption.public_eq(&keys.encryption));
            if is_replaced {
                held.previous.insert(node_id, keys);
            }
        }
        held.previous
            .retain(|node_id, _| current.contains_key(node_id));
        held.current = current;
        Ok(())
    }

    fn current(&self, node_id: &str) -> Result<Arc<NodeKeys>, Error> {
        let held = self.held.read().current.get(node_id).cloned();
        let keys = held.or_else(|| self.load_late(node_id));
        keys.ok_or_else(|| codes::NODE_KEY_NOT_FOUND.into())
    }

    /// Keys of a node that was put behind this proxy after the start.
    fn load_late(&self, node_id: &str) -> Option<Arc<NodeKeys>> {
        let Keys::Files { behind_proxy, .. } = &self.config.keys else {
            return None;
        };
        match key_files::load_behind_proxy(behind_proxy, node_id) {
            Ok(keys) => {
                tracing::info!(node_id, "keys of a node behind this proxy are loaded");
                let keys = Arc::new(keys);
                let mut held = self.held.write();
                Some(
                    held.current
                        .entry(node_id.to_owned())
                        .or_insert(keys)
                        .clone(),
                )
            }
            // Nothing is behind this node.
            Err(KeyFileError::Unset(_)) => None,
            Err(error) => {
                tracing::warn!(node_id, %error, "no keys of this node");
                None
            }
        }
    }

    fn previous(&self, node_id: &str) -> Option<Arc<NodeKeys>> {
        self.held.read().previous.get(node_id).cloned()
    }
}

fn load_all(
    config: &Config,
    behind_proxy: &[String],
) -> Result<HashMap<String, Arc<NodeKeys>>, KeyFileError> {
    let own = key_files::load_own(&config.keys)?;
    let mut keys = HashMap::from([(config.node_id.clone(), Arc::new(own))]);
    if let Keys::Files {
        behind_proxy: directories,
        ..
    } = &config.keys
    {
        for node_id in behind_proxy {
            let loaded = key_files::load_behind_proxy(directories, node_id)?;
            keys.insert(node_id.clone(), Arc::new(loaded));
        }
    }
    Ok(keys)
}

#[async_trait]
impl Crypto for Keyring {
    fn is_local(&self) -> bool {
        true
    }

    async fn sign(
        &self,
        node_id: &str,
        key_use: KeyUse,
        algorithm: &str,
        _key_version: u64,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let keys = self.current(node_id)?;
        let key = match key_use {
            KeyUse::Signing => &keys.signing,
            KeyUse::SigningMaster => &keys.signing_master,
        };
        signature::sign(key, algorithm, message)
    }

    async fn decrypt(
        &self,
        node_id: &str,
        algorithm: &str,
        _key_version: u64,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let keys = self.current(node_id)?;
        let result = encryption::decrypt(&keys.encryption, algorithm, encrypted);
        let is_key = result.as_ref().is_ok_and(|key| key.len() == KEY_LENGTH);
        match self.previous(node_id) {
            Some(previous) if !is_key => {
                encryption::decrypt(&previous.encryption, algorithm, encrypted)
            }
            _ => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;

    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;

    use super::*;
    use crate::messaging::testing;

    /// A new RSA key in this file; its public half.
    fn write_key(path: &Path) -> String {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        std::fs::write(path, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
    }

    fn config(directory: &Path) -> Arc<Config> {
        let mut config = testing::config("rp1", SocketAddr::from(([127, 0, 0, 1], 1)));
        let file = |name| crate::config::KeyFile {
            path: directory.join(name),
            passphrase: None,
        };
        config.keys = Keys::Files {
            signing: file("signing"),
            signing_master: file("master"),
            encryption: file("encryption"),
            behind_proxy: Default::default(),
        };
        Arc::new(config)
    }

    #[tokio::test]
    async fn a_reload_changes_everything_or_nothing_and_old_messages_can_be_read() {
        const SIGN: &str = "RSASSA_PKCS1_V1_5_SHA_256";
        const WRAP: &str = "RSAES_OAEP_SHA_256";
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let signing_before = write_key(&path("signing"));
        write_key(&path("master"));
        let encryption_before = write_key(&path("encryption"));
        let keyring =
            Keyring::load(config(directory.path()), &[]).unwrap_or_else(|error| panic!("{error}"));
        let signs_with = async |public_key: &str| {
            let signature = keyring.sign("rp1", KeyUse::Signing, SIGN, 1, b"m").await;
            signature::verify(public_key, SIGN, b"m", &signature.unwrap())
        };
        assert!(signs_with(&signing_before).await);

        let signing_after = write_key(&path("signing"));
        std::fs::write(path("encryption"), "broken").unwrap();
        assert!(keyring.reload(&[]).is_err());
        assert!(signs_with(&signing_before).await);

        let encryption_after = write_key(&path("encryption"));
        keyring
            .reload(&[])
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(signs_with(&signing_after).await);
        for public_key in [encryption_before, encryption_after] {
            let wrapped = encryption::encrypt(&public_key, WRAP, &[7; KEY_LENGTH]).unwrap();
            let key = keyring.decrypt("rp1", WRAP, 1, &wrapped).await.unwrap();
            assert_eq!(key, [7; KEY_LENGTH]);
        }
    }

    #[tokio::test]
    async fn a_node_that_is_put_behind_the_proxy_later_is_served_with_its_keys() {
        const SIGN: &str = "RSASSA_PKCS1_V1_5_SHA_256";
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let own = ["signing", "master", "encryption"];
        for name in own {
            write_key(&path(name));
        }
        let mut config = config(directory.path()).as_ref().clone();
        let behind = path("behind");
        std::fs::create_dir(&behind).unwrap();
        if let Keys::Files { behind_proxy, .. } = &mut config.keys {
            behind_proxy.signing = Some(behind.clone());
            behind_proxy.signing_master = Some(behind.clone());
            behind_proxy.encryption = Some(behind.clone());
        }
        let config = Arc::new(config);
        let missing = Keyring::load(config.clone(), &["idp4".to_owned()]);
        assert!(missing.is_err(), "its keys are needed at the start");
        let keyring = Keyring::load(config, &[]).unwrap_or_else(|error| panic!("{error}"));
        let sign = async || keyring.sign("idp4", KeyUse::Signing, SIGN, 1, b"m").await;
        assert_eq!(sign().await.unwrap_err().code().number, 10034);
        write_key(&behind.join("idp4_master"));
        let public_key = write_key(&behind.join("idp4"));
        let signature = sign().await.unwrap();
        assert!(signature::verify(&public_key, SIGN, b"m", &signature));
        keyring
            .reload(&["idp4".to_owned()])
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(sign().await.is_ok());
    }

    #[tokio::test]
    async fn keys_of_unknown_nodes_are_missing() {
        let config = testing::config("rp1", SocketAddr::from(([127, 0, 0, 1], 1)));
        let keyring = Keyring::load(Arc::new(config), &[]).unwrap_or_else(|e| panic!("{e}"));
        let error = keyring.decrypt("idp1", "RSAES_PKCS1_V1_5", 1, &[0]).await;
        assert_eq!(error.unwrap_err().code().number, 10034);
    }
}
