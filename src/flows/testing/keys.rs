//! The recorded network's keys.

use async_trait::async_trait;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Padding;
use openssl::sign::Signer;

use super::recordings::fixture;
use crate::crypto::{Crypto, KeyUse};
use crate::error::{Error, codes};
use crate::ledger::types::NodeKey;

/// The recorded private keys, `RSASSA_PKCS1_V1_5_SHA_256` and `RSAES_PKCS1_V1_5`.
pub(crate) struct RecordedKeys;

impl RecordedKeys {
    fn key(node_id: &str, name: &str) -> Result<PKey<Private>, Error> {
        let path = fixture("keys").join(format!("{node_id}.{name}.pem"));
        let pem = std::fs::read(path).map_err(|_| codes::NODE_KEY_NOT_FOUND)?;
        Ok(PKey::private_key_from_pem(&pem).expect("recorded keys are PEM"))
    }
}

#[async_trait]
impl Crypto for RecordedKeys {
    fn is_local(&self) -> bool {
        true
    }

    async fn sign(
        &self,
        node_id: &str,
        key_use: KeyUse,
        key: &NodeKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        assert_eq!(key.algorithm, "RSASSA_PKCS1_V1_5_SHA_256");
        let name = match key_use {
            KeyUse::Signing => "signing",
            KeyUse::SigningMaster => "master",
        };
        let key = Self::key(node_id, name)?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        Ok(signer.sign_oneshot_to_vec(message).unwrap())
    }

    async fn decrypt(
        &self,
        node_id: &str,
        key: &NodeKey,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, Error> {
        assert_eq!(key.algorithm, "RSAES_PKCS1_V1_5");
        let key = Self::key(node_id, "encryption")?.rsa().unwrap();
        let mut plain = vec![0; key.size() as usize];
        let length = key
            .private_decrypt(encrypted, &mut plain, Padding::PKCS1)
            .map_err(|_| codes::DECRYPT_MESSAGE_ERROR)?;
        plain.truncate(length);
        Ok(plain)
    }
}
