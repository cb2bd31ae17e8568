//! An accessor: a key with which a user signs, kept by the IdP's application.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::Private;
use openssl::rsa::{Padding, Rsa};
use serde_json::{Value, json};

use crate::devnet::apps::ApiClient;

/// Bits of a key; nodes accept no signatures of other lengths.
const KEY_BITS: u32 = 2048;

/// An accessor of a user.
#[derive(Clone)]
pub struct Accessor {
    /// Its id on the platform.
    pub id: String,
    key: Arc<Rsa<Private>>,
}

impl Accessor {
    /// One with a new key.
    ///
    /// # Errors
    /// When no key can be made.
    pub async fn generate(id: String) -> Result<Self, String> {
        let made = tokio::task::spawn_blocking(|| Rsa::generate(KEY_BITS)).await;
        let key = made
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        Ok(Self {
            id,
            key: Arc::new(key),
        })
    }

    /// Another with the same key: to make one takes longer than a request.
    pub fn sharing_its_key(&self, id: String) -> Self {
        Self {
            id,
            key: Arc::clone(&self.key),
        }
    }

    /// Members of a call that registers it.
    ///
    /// # Errors
    /// When the key cannot be written.
    pub fn registration(&self) -> Result<Value, String> {
        let pem = self.key.public_key_to_pem();
        let pem = pem.map_err(|error| error.to_string())?;
        Ok(json!({
            "accessor_type": "RSA",
            "accessor_public_key": String::from_utf8_lossy(&pem),
            "accessor_id": self.id,
        }))
    }

    /// Signs a request that the IdP received: asks its node for the padded hash.
    ///
    /// # Errors
    /// When the node does not give it.
    pub async fn sign_request(&self, idp: &ApiClient, request_id: &str) -> Result<String, String> {
        let query = format!("request_id={request_id}&accessor_id={}", self.id);
        let path = format!("/v6/idp/request_message_padded_hash?{query}");
        let answer = idp.get_json(&path).await?;
        let hash = answer["request_message_padded_hash"].as_str();
        self.sign(hash.unwrap_or_default())
    }

    /// The signature over a padded hash (both base64): RSA without padding.
    ///
    /// # Errors
    /// When the hash is not as long as the key.
    fn sign(&self, padded_hash: &str) -> Result<String, String> {
        let hash = STANDARD
            .decode(padded_hash)
            .map_err(|error| error.to_string())?;
        let mut signature = vec![0; self.key.size() as usize];
        self.key
            .private_encrypt(&hash, &mut signature, Padding::NONE)
            .map_err(|error| error.to_string())?;
        Ok(STANDARD.encode(signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::accessor;

    #[tokio::test]
    async fn a_node_verifies_what_an_accessor_signs() {
        let own = Accessor::generate("a".to_owned()).await.unwrap();
        let registration = own.registration().unwrap();
        let public = registration["accessor_public_key"].as_str().unwrap();
        let salt = STANDARD.encode([7; 32]);
        let hash = accessor::padded_hash("message", &salt, "r", public).unwrap();
        let signature = own.sign(&hash).unwrap();
        let verifies = |message: &str| accessor::verify(message, &salt, "r", public, &signature);
        assert!(verifies("message"));
        assert!(!verifies("another message"));
        assert!(own.sign("AAAA").is_err());
    }
}
