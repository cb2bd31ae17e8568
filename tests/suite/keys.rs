//! Key pairs of our own, one for each public key of the recordings, whose
//! private keys nobody has.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use openssl::ec::EcKey;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sha::sha256;
use parking_lot::Mutex;
use serde_json::Value;

use crate::genesis;
use crate::recording::{Area, What};

/// A pair of our own.
pub struct Pair {
    pub private: PKey<Private>,
    /// The public key as PEM, as the recorded one is written.
    pub public: String,
}

/// The pairs by recorded public key.
#[derive(Clone)]
pub struct Pairs(Arc<HashMap<String, Pair>>);

/// Made once for all networks of this process.
static MADE: LazyLock<Mutex<Option<Pairs>>> = LazyLock::new(Mutex::default);

impl Pairs {
    /// A pair for each key of the recordings and of the genesis.
    pub fn for_all(areas: &[Area]) -> Self {
        let mut made = MADE.lock();
        let pairs = made.get_or_insert_with(|| Self::make(areas));
        pairs.clone()
    }

    fn make(areas: &[Area]) -> Self {
        let mut recorded = Vec::new();
        for record in areas.iter().flat_map(|area| &area.records) {
            match &record.what {
                What::Call(call) => {
                    collect(&call.request, &mut recorded);
                    collect(&call.response, &mut recorded);
                }
                What::Callback(callback) => collect(&callback.body, &mut recorded),
            }
        }
        for transaction in genesis::transactions() {
            collect(&transaction.params, &mut recorded);
        }
        recorded.sort();
        recorded.dedup();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("suite-keys");
        fs::create_dir_all(&folder).unwrap();
        let half = recorded.len() / 2;
        let (one, other) = recorded.split_at(half);
        let made = std::thread::scope(|scope| {
            let halves = [one, other].map(|half| scope.spawn(|| pairs_of(half, &folder)));
            halves.map(|half| half.join().unwrap())
        });
        Self(Arc::new(made.into_iter().flatten().collect()))
    }

    /// The pair for a recorded public key.
    pub fn get(&self, recorded: &str) -> Option<&Pair> {
        self.0.get(recorded)
    }

    /// Recorded public keys and ours.
    pub fn public(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter();
        all.map(|(recorded, pair)| (recorded.as_str(), pair.public.as_str()))
    }
}

fn pairs_of(recorded: &[String], folder: &Path) -> Vec<(String, Pair)> {
    let recorded = recorded.iter();
    let made = recorded.filter_map(|pem| Some((pem.clone(), pair(pem, folder)?)));
    made.collect()
}

/// Every public key in a value.
fn collect(value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains("PUBLIC KEY-----") => keys.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
        Value::Object(members) => members.values().for_each(|value| collect(value, keys)),
        _ => {}
    }
}

/// `None` for what is no key: it is sent as it was recorded.
fn pair(recorded: &str, folder: &Path) -> Option<Pair> {
    let public = PKey::public_key_from_pem(recorded.as_bytes()).ok()?;
    let name = hex::encode(&sha256(recorded.as_bytes())[..12]);
    let private = kept(folder.join(format!("{name}.pem")), || match public.id() {
        Id::RSA => PKey::from_rsa(Rsa::generate(public.bits()).unwrap()).unwrap(),
        Id::EC => {
            let key = public.ec_key().unwrap();
            PKey::from_ec_key(EcKey::generate(key.group()).unwrap()).unwrap()
        }
        Id::ED25519 => PKey::generate_ed25519().unwrap(),
        other => panic!("a recorded key of kind {other:?}"),
    });
    let ours = String::from_utf8(private.public_key_to_pem().unwrap()).unwrap();
    // A recorded key that is not written as OpenSSL does is one to be refused.
    let as_usual = public.public_key_to_pem().unwrap() == recorded.as_bytes();
    as_usual.then_some(Pair {
        private,
        public: ours,
    })
}

/// Making keys is slow: those of an earlier run are as good.
fn kept(path: PathBuf, make: impl FnOnce() -> PKey<Private>) -> PKey<Private> {
    let read = fs::read(&path).ok();
    if let Some(key) = read.and_then(|pem| PKey::private_key_from_pem(&pem).ok()) {
        return key;
    }
    let key = make();
    let written = path.with_extension(format!("{}", std::process::id()));
    fs::write(&written, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    fs::rename(written, path).unwrap();
    key
}

/// Whether a user's key of the recordings has signed this padded hash.
pub fn has_signed(recorded: &str, padded_hash: &[u8], signature: &[u8]) -> bool {
    let Ok(Ok(key)) = PKey::public_key_from_pem(recorded.as_bytes()).map(|key| key.rsa()) else {
        return false;
    };
    let mut value = vec![0; key.size() as usize];
    let opened = key.public_decrypt(signature, &mut value, Padding::NONE);
    opened.is_ok_and(|length| &value[..length] == padded_hash)
}

/// A user's signature of a padded hash.
pub fn sign(private: &PKey<Private>, padded_hash: &[u8]) -> Vec<u8> {
    let key = private.rsa().unwrap();
    let mut signature = vec![0; key.size() as usize];
    let length = key.private_encrypt(padded_hash, &mut signature, Padding::NONE);
    signature.truncate(length.unwrap());
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_belongs_to_its_key_and_hash() {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let pem = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
        let (hash, other) = ([7; 256], [8; 256]);
        let signature = sign(&key, &hash);
        assert!(has_signed(&pem, &hash, &signature));
        assert!(!has_signed(&pem, &other, &signature));
        assert!(!has_signed(&pem, &hash, b"some signature"));
    }
}
