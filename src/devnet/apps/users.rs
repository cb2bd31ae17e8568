//! Users that the IdP's application onboards for requests of modes 2 and 3: each
//! has an identity on the platform and an accessor key, which signs its answers.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::accessor::Accessor;
use super::citizen_id;
use super::client::ApiClient;
use super::record::Record;

/// What every user's identity is registered with, so that answers must say it.
pub(super) const IAL: f64 = 2.3;
/// Users share the keys of these.
const KEYS: usize = 4;

/// A user with an identity at the IdP.
pub(super) struct User {
    /// Of the namespace `citizen_id`.
    pub identifier: String,
    /// Signs for the user.
    pub accessor: Accessor,
}

/// The users of one run.
pub(super) struct Users {
    /// Mode of the identities and requests: 2 or 3.
    pub mode: u8,
    /// How many there are: their requests take turns.
    count: u64,
    keys: Vec<Accessor>,
    onboarded: Mutex<HashMap<u64, Arc<OnceCell<Arc<User>>>>>,
    by_group: Mutex<HashMap<String, Arc<User>>>,
}

impl Users {
    /// `count` users, onboarded when their first request is made.
    ///
    /// # Errors
    /// When no key can be made.
    pub async fn new(mode: u8, count: u64) -> io::Result<Self> {
        let keys = (0..KEYS).map(|number| Accessor::generate(format!("key-{number}")));
        let keys = futures_util::future::try_join_all(keys).await;
        Ok(Self {
            mode,
            count: count.max(1),
            keys: keys.map_err(io::Error::other)?,
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
        let accessor_id = format!("accessor-{number}-{}", uuid::Uuid::new_v4());
        let user = Arc::new(User {
            identifier: citizen_id(number),
            accessor: key.sharing_its_key(accessor_id),
        });
        let reference = format!("onboard-{number}-{}", uuid::Uuid::new_v4());
        let result = record.expect_result(&reference);
        let mut body = user.accessor.registration()?;
        body["reference_id"] = reference.as_str().into();
        body["callback_url"] = callback_url.into();
        body["mode"] = self.mode.into();
        let identity = json!({"namespace": "citizen_id", "identifier": user.identifier});
        body["identity_list"] = json!([identity]);
        body["ial"] = IAL.into();
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
