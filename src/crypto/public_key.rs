//! Public keys as PEM text, and which of them a node accepts
//! (spec/messaging-and-crypto.md 5.4, 5.7).

use std::collections::HashMap;
use std::sync::LazyLock;

use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKey, PKeyRef, Public};
use openssl::rsa::Rsa;
use parking_lot::Mutex;

use crate::error::{Error, codes};

/// Shortest RSA key, in bits.
pub const MIN_RSA_BITS: u32 = 2048;

/// Longest PEM text that is parsed, in bytes; a 16384-bit RSA key needs 3 KB.
const MAX_PEM_BYTES: usize = 16 * 1024;

/// Parsed keys in each of two generations.
const CACHE_GENERATION: usize = 2048;

/// Parsed keys by PEM text. Parsing costs more than verifying, and a few keys
/// come again and again. When the young generation is full it becomes the old
/// one, so that keys in use survive and memory stays bounded.
#[derive(Default)]
struct Cache {
    young: HashMap<String, PKey<Public>>,
    old: HashMap<String, PKey<Public>>,
}

impl Cache {
    fn get(&mut self, pem: &str) -> Option<PKey<Public>> {
        if let Some(key) = self.young.get(pem) {
            return Some(key.clone());
        }
        let (pem, key) = self.old.remove_entry(pem)?;
        self.insert(pem, key.clone());
        Some(key)
    }

    fn insert(&mut self, pem: String, key: PKey<Public>) {
        if self.young.len() >= CACHE_GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(pem, key);
    }
}

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

/// Reads SPKI (`PUBLIC KEY`) or PKCS#1 (`RSA PUBLIC KEY`) PEM. Cached.
///
/// # Errors
/// 20040 when it is neither.
pub fn parse(pem: &str) -> Result<PKey<Public>, Error> {
    if let Some(key) = CACHE.lock().get(pem) {
        return Ok(key);
    }
    let key = parse_pem(pem).ok_or(codes::INVALID_KEY_FORMAT)?;
    CACHE.lock().insert(pem.to_owned(), key.clone());
    Ok(key)
}

fn parse_pem(pem: &str) -> Option<PKey<Public>> {
    if pem.len() > MAX_PEM_BYTES {
        return None;
    }
    if let Ok(key) = PKey::public_key_from_pem(pem.as_bytes()) {
        return Some(key);
    }
    let rsa = Rsa::public_key_from_pem_pkcs1(pem.as_bytes()).ok()?;
    PKey::from_rsa(rsa).ok()
}

/// Whether two PEM texts are of one key.
pub fn are_same(one: &str, other: &str) -> bool {
    match (parse(one), parse(other)) {
        (Ok(one), Ok(other)) => one.public_eq(&other),
        _ => false,
    }
}

/// Checks a signing key: RSA from 2048 bits, EC on P-256, secp256k1 or P-384,
/// or Ed25519.
///
/// # Errors
/// 20041 another type or curve; 20044 too short.
pub fn check_signing<T: HasPublic>(key: &PKeyRef<T>) -> Result<(), Error> {
    match key.id() {
        Id::RSA => check_rsa_length(key),
        Id::EC => match curve(key) {
            Some(Nid::X9_62_PRIME256V1 | Nid::SECP256K1 | Nid::SECP384R1) => Ok(()),
            _ => Err(codes::UNSUPPORTED_KEY_TYPE.into()),
        },
        Id::ED25519 => Ok(()),
        _ => Err(codes::UNSUPPORTED_KEY_TYPE.into()),
    }
}

/// Checks an encryption or accessor key: RSA from 2048 bits.
/// # Errors
/// 20041 not RSA; 20044 too short.
pub fn check_rsa<T: HasPublic>(key: &PKeyRef<T>) -> Result<(), Error> {
    match key.id() {
        Id::RSA => check_rsa_length(key),
        _ => Err(codes::UNSUPPORTED_KEY_TYPE.into()),
    }
}

/// The curve of an EC key.
pub fn curve<T: HasPublic>(key: &PKeyRef<T>) -> Option<Nid> {
    key.ec_key().ok()?.group().curve_name()
}

fn check_rsa_length<T: HasPublic>(key: &PKeyRef<T>) -> Result<(), Error> {
    if key.bits() < MIN_RSA_BITS {
        return Err(codes::RSA_KEY_LENGTH_TOO_SHORT.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};

    use super::*;

    fn rsa_pem(bits: u32) -> String {
        let key = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
        String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
    }

    #[test]
    fn both_public_pem_forms_give_the_same_key() {
        let rsa = Rsa::generate(2048).unwrap();
        let pkcs1 = String::from_utf8(rsa.public_key_to_pem_pkcs1().unwrap()).unwrap();
        let spki = String::from_utf8(rsa.public_key_to_pem().unwrap()).unwrap();
        assert!(parse(&pkcs1).unwrap().public_eq(&parse(&spki).unwrap()));
    }

    #[test]
    fn keys_that_cannot_be_used_have_their_codes() {
        let number = |result: Result<(), Error>| result.unwrap_err().code().number;
        assert_eq!(number(parse("nonsense").map(|_| ())), 20040);
        let short = parse(&rsa_pem(1024)).unwrap();
        assert_eq!(number(check_signing(&short)), 20044);
        assert_eq!(number(check_rsa(&short)), 20044);
        let good = parse(&rsa_pem(2048)).unwrap();
        check_signing(&good).unwrap();
        check_rsa(&good).unwrap();

        let group = EcGroup::from_curve_name(Nid::SECP521R1).unwrap();
        let ec = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        assert_eq!(number(check_signing(&ec)), 20041);
        assert_eq!(number(check_rsa(&ec)), 20041);
    }

    #[test]
    fn the_cache_keeps_what_is_in_use_and_stays_bounded() {
        let key = parse(&rsa_pem(2048)).unwrap();
        let mut cache = Cache::default();
        cache.insert("used".into(), key.clone());
        for number in 0..3 * CACHE_GENERATION {
            cache.insert(format!("other {number}"), key.clone());
            assert!(cache.get("used").is_some());
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * CACHE_GENERATION);
        assert!(cache.get("other 0").is_none());
    }
}
