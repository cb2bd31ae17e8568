//! What the recorded client knew: whose key is whose, and what it signed.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::checks::Checks;
use crate::keys;
use crate::recording::{Area, Call, What};

/// The recorded client's knowledge, by recorded names.
#[derive(Debug, Default)]
pub struct Client {
    /// Public keys by accessor id: more than one if the client gave an id again,
    /// which the ledger refused.
    accessors: HashMap<String, Vec<String>>,
    /// Padded hashes by request id and accessor id.
    padded: HashMap<(String, String), Vec<u8>>,
}

/// What a recorded signature was made of.
pub struct Signed<'a> {
    pub request_id: &'a str,
    pub accessor_id: &'a str,
    /// The accessor's recorded public key.
    pub public_key: &'a str,
}

impl Client {
    /// Reads everything.
    pub fn new(areas: &[Area]) -> Self {
        let mut client = Self::default();
        for record in areas.iter().flat_map(|area| &area.records) {
            if let What::Call(call) = &record.what {
                client.learn(call);
            }
        }
        client
    }

    fn learn(&mut self, call: &Call) {
        let (asked, told) = (&call.request["accessor_id"], &call.response["accessor_id"]);
        let key = call.request["accessor_public_key"].as_str();
        let is_taken = call.status == 202;
        if let (Some(id), Some(key), true) = (asked.as_str().or(told.as_str()), key, is_taken) {
            let keys = self.accessors.entry(id.to_owned()).or_default();
            keys.push(key.to_owned());
        }
        let hash = call.response["request_message_padded_hash"].as_str();
        if let (Some(ids), Some(hash)) = (of_padded_hash(&call.path), hash) {
            self.padded.insert(ids, STANDARD.decode(hash).unwrap());
        }
    }

    /// How a recorded call was signed; `None` for a signature that was made up.
    pub fn signed<'a>(&'a self, request: &'a Value) -> Option<Signed<'a>> {
        let of = |name: &str| request[name].as_str();
        let (request_id, accessor_id) = (of("request_id")?, of("accessor_id")?);
        let keys = self.accessors.get(accessor_id)?;
        let ids = (request_id.to_owned(), accessor_id.to_owned());
        let hash = self.padded.get(&ids)?;
        let signature = STANDARD.decode(of("signature")?).ok()?;
        let mut signers = keys.iter();
        let public_key = signers.find(|key| keys::has_signed(key, hash, &signature))?;
        Some(Signed {
            request_id,
            accessor_id,
            public_key,
        })
    }

    /// The recorded public key of an accessor.
    pub fn accessor(&self, id: &str) -> Option<&str> {
        self.accessors.get(id)?.first().map(String::as_str)
    }
}

/// What is wrong in the answer to a call of this path; `key` finds the public key
/// of an accessor.
pub fn faults(
    checks: &mut Checks,
    path: &str,
    answer: &Value,
    key: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let Some((request_id, accessor_id)) = of_padded_hash(path) else {
        return checks.faults(answer, last_id(path));
    };
    match key(&accessor_id) {
        Some(key) => checks.padded_hash_faults(&request_id, &key, answer),
        None => Vec::new(),
    }
}

/// Request id and accessor id of a call for a padded hash.
fn of_padded_hash(path: &str) -> Option<(String, String)> {
    let (_, query) = path.split_once("/idp/request_message_padded_hash?")?;
    let of = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    Some((of("request_id")?.to_owned(), of("accessor_id")?.to_owned()))
}

/// The request id that a path ends with.
fn last_id(path: &str) -> Option<&str> {
    let (_, last) = path.rsplit_once('/')?;
    (last.len() == 64).then_some(last)
}
