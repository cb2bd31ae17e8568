//! Users that the IdP's application onboards for requests of modes 2 and 3: each
//! has an identity on the platform and an accessor key, which signs its answers.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::error::ErrorStack;
use openssl::pkey::Private;
use openssl::rsa::{Padding, Rsa};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::citizen_id;
use super::client::ApiClient;
use super::record::Record;

/// What every user's identity is registered with, so that answers must say it.
pub(super) const IAL: f64 = 2.3;
/// Users share these: to make a key takes longer than a request.
const KEYS: usize = 4;
/// Bits of a key; nodes accept no signatures of other lengths.
const KEY_BITS: u32 = 2048;

/// A user with an identity at the IdP.
pub(super) struct User {
    /// Of the namespace `citizen_id`.
    pub identifier: String,
    /// Of the accessor key.
    pub accessor_id: String,
    key: Arc<Rsa<Private>>,
}

impl User {
    /// The signature over a padded hash (base64), as an accessor makes it: RSA
    /// without padding.
    ///
    /// # Errors
    /// When the hash is not as long as the key.
    pub fn sign(&self, padded_hash: &str) -> Result<String, String> {
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

/// The users of one run.
pub(super) struct Users {
    /// Of the identities and requests: 2 or 3.
    pub mode: u8,
    /// How many there are: their requests take turns.
    count: u64,
    keys: Vec<Arc<Rsa<Private>>>,
    onboarded: Mutex<HashMap<u64, Arc<OnceCell<Arc<User>>>>>,
    by_group: Mutex<HashMap<String, Arc<User>>>,
}

impl Users {
    /// `count` users, onboarded when their first request is made.
    ///
    /// # Errors
    /// When no key can be made.
    pub async fn new(mode: u8, count: u64) -> io::Result<Self> {
        let keys = (0..KEYS).map(|_| tokio::task::spawn_blocking(|| Rsa::generate(KEY_BITS)));
        let keys: Vec<Result<_, ErrorStack>> = futures_util::future::try_join_all(keys)
            .await
            .map_err(io::Error::other)?;
        let keys = keys.into_iter().map(|key| Ok(Arc::new(key?)));
        Ok(Self {
            mode,
            count: count.max(1),
            keys: keys.collect::<Result<_, ErrorStack>>()?,
            onboarded: Mutex::default(),
            by_group: Mutex::default(),
        })
    }

    /// The user of a request, onboarded if it is the first of this user.
    /// `callback_url`: where the IdP's application hears of it.
    ///
    /// # Errors
    /// When the IdP's node refuses.
    pub async fn of_request(
        &self,
        number: u64,
        idp: &ApiClient,
        record: &Record,
        callback_url: &str,
    ) -> Result<Arc<User>, String> {
        let number = number % self.count;
        let cell = Arc::clone(self.onboarded.lock().entry(number).or_default());
        let user = cell.get_or_try_init(|| self.onboard(number, idp, record, callback_url));
        user.await.cloned()
    }

    /// The user whose identity belongs to this reference group.
    pub fn of_group(&self, reference_group_code: &str) -> Option<Arc<User>> {
        self.by_group.lock().get(reference_group_code).cloned()
    }

    async fn onboard(
        &self,
        number: u64,
        idp: &ApiClient,
        record: &Record,
        callback_url: &str,
    ) -> Result<Arc<User>, String> {
        let key = &self.keys[number as usize % self.keys.len()];
        let user = Arc::new(User {
            identifier: citizen_id(number),
            accessor_id: format!("accessor-{number}-{}", uuid::Uuid::new_v4()),
            key: Arc::clone(key),
        });
        let reference = format!("onboard-{number}-{}", uuid::Uuid::new_v4());
        let result = record.expect_result(&reference);
        let public = key.public_key_to_pem().map_err(|error| error.to_string())?;
        let body = json!({
            "reference_id": reference,
            "callback_url": callback_url,
            "mode": self.mode,
            "identity_list": [{"namespace": "citizen_id", "identifier": user.identifier}],
            "accessor_type": "RSA",
            "accessor_public_key": String::from_utf8_lossy(&public),
            "accessor_id": user.accessor_id,
            "ial": IAL,
        });
        record.begins_identity(&reference);
        let is_in_doubt = || record.put_in_doubt(&reference);
        let answer = idp.post_telling("/v6/identity", &body, is_in_doubt).await?;
        let status = answer.status();
        let repeated = status.is_client_error() && record.is_in_doubt(&reference);
        if status.as_u16() != 202 && !repeated {
            let text = answer.text().await.unwrap_or_default();
            return Err(format!("POST /v6/identity answered {status}: {text}"));
        }
        let result = tokio::time::timeout(super::REQUEST_PATIENCE, result).await;
        let result: Value = result
            .map_err(|_| format!("{reference}: no create_identity_result"))?
            .map_err(|_| format!("{reference} was forgotten"))?;
        let group = result["reference_group_code"]
            .as_str()
            .ok_or_else(|| format!("not onboarded: {result}"))?;
        record.ends_identity(&reference, group);
        let mut by_group = self.by_group.lock();
        by_group.insert(group.to_owned(), Arc::clone(&user));
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::accessor;

    #[tokio::test]
    async fn a_node_verifies_what_a_user_signs() {
        let users = Users::new(3, 1).await.unwrap();
        let user = User {
            identifier: citizen_id(1),
            accessor_id: "a".to_owned(),
            key: Arc::clone(&users.keys[0]),
        };
        let public = user.key.public_key_to_pem().unwrap();
        let public = String::from_utf8(public).unwrap();
        let salt = STANDARD.encode([7; 32]);
        let hash = accessor::padded_hash("message", &salt, "r", &public).unwrap();
        let signature = user.sign(&hash).unwrap();
        let verifies = |message: &str| accessor::verify(message, &salt, "r", &public, &signature);
        assert!(verifies("message"));
        assert!(!verifies("another message"));
        assert!(user.sign("AAAA").is_err());
    }
}
