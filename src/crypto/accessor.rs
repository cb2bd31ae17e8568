//! Signatures of users' accessor keys in modes 2 and 3
//! (spec/messaging-and-crypto.md 5.3).
//!
//! The block length is fixed at 2048 bits, so signatures of longer keys never
//! verify. All nodes of the network must agree on that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::error::ErrorStack;
use openssl::pkey::Public;
use openssl::rsa::Rsa;

use super::hash::{sha256, sha256_base64};
use super::public_key;
use crate::error::{Error, codes};

/// Length of the padded hash, in bytes.
const BLOCK: usize = 256;
const HASH: usize = 32;

/// Base64 of the padded hash for this accessor's PEM key.
///
/// # Errors
/// 20040 when the key cannot be read, 20041 when it is not RSA.
pub fn padded_hash(
    request_message: &str,
    initial_salt: &str,
    request_id: &str,
    accessor_public_key: &str,
) -> Result<String, Error> {
    let key = rsa_key(accessor_public_key)?;
    let block = block(request_message, initial_salt, request_id);
    let reduced = reduce(&block, key.n()).map_err(|_| codes::INVALID_KEY_FORMAT)?;
    Ok(STANDARD.encode(reduced))
}

/// Whether the accessor's key made a base64 signature over the padded hash.
/// False for anything unusable.
pub fn verify(
    request_message: &str,
    initial_salt: &str,
    request_id: &str,
    accessor_public_key: &str,
    signature: &str,
) -> bool {
    let Ok(key) = rsa_key(accessor_public_key) else {
        return false;
    };
    let block = block(request_message, initial_salt, request_id);
    let Ok(expected) = reduce(&block, key.n()) else {
        return false;
    };
    let signature = decode_leniently(signature);
    public_operation(&key, &signature)
        .is_ok_and(|value| value.is_some_and(|value| value == expected))
}

fn rsa_key(pem: &str) -> Result<Rsa<Public>, Error> {
    let key = public_key::parse(pem)?;
    key.rsa().map_err(|_| codes::UNSUPPORTED_KEY_TYPE.into())
}

/// Padding followed by the salted hash of the message.
fn block(request_message: &str, initial_salt: &str, request_id: &str) -> Vec<u8> {
    let derived_salt = sha256_base64(&[request_id, initial_salt]);
    let mut block = Vec::with_capacity(BLOCK);
    for number in 1..=(BLOCK / HASH - 1) {
        block.extend(sha256(&[initial_salt, &number.to_string()]));
    }
    block.extend(sha256(&[request_message, &derived_salt]));
    block
}

fn reduce(block: &[u8], modulus: &BigNumRef) -> Result<Vec<u8>, ErrorStack> {
    let mut reduced = BigNum::new()?;
    let mut context = BigNumContext::new()?;
    let block = BigNum::from_slice(block)?;
    reduced.nnmod(&block, modulus, &mut context)?;
    reduced.to_vec_padded(BLOCK as i32)
}

/// `signature ^ e mod n` in the key's length. `None` for a signature that is
/// longer than the key or not below `n`, and for keys of another length than
/// the padded hash, whose result could never equal it.
fn public_operation(key: &Rsa<Public>, signature: &[u8]) -> Result<Option<Vec<u8>>, ErrorStack> {
    if key.size() as usize != BLOCK || signature.len() > BLOCK {
        return Ok(None);
    }
    let signature = BigNum::from_slice(signature)?;
    if signature.ucmp(key.n()).is_ge() {
        return Ok(None);
    }
    let mut value = BigNum::new()?;
    let mut context = BigNumContext::new()?;
    value.mod_exp(&signature, key.e(), key.n(), &mut context)?;
    value.to_vec_padded(BLOCK as i32).map(Some)
}

/// Decodes base64 as the other implementation does: either alphabet, with or
/// without padding, skipping anything else. Nodes must agree on what a
/// signature is.
fn decode_leniently(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut bits = 0u32;
    let mut count = 0;
    for character in text.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => continue,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::Padding;
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::test_key;

    const REQUEST: &str = "3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5";
    const SALT: &str = "ZXJhd2FuIHNwZWMgdGVzdCB2ZWN0b3Igc2FsdCAwMDE=";
    const MESSAGE: &str = "ขอความยินยอม: please confirm";
    const PADDED: &str = concat!(
        "InbiCRuYAekSmtZTZ2WCL5IhlvRfQgz+Pbnir1aVaTjYlNEn44QY3ZxSjCldiKR+tXiC/hdYuQ6r9McmHrxgzuHT",
        "65fFlMUcK8ffsZfJPk68t+m8q9buQTGjUzAxfcCZNQka5S5W+ZTA8Oiu0W6x58+8E+oCVJeUSQLZjFHYzdGKgGd0",
        "+EI09ivs/Ws0HAeLD0fhTABlfFdVXQVZVdrvOdVvs7E9/7Oaf4KP3L1WMhfVNnZzeU29krryTITVzXBaOjSCwG4h",
        "MrwMQOm7YQsKRw/zWmQcO6ytqP/I2oBPmY384JLrV8WFgE3KdWvTIRbIWuqh+eooHzGDsNwQ3NTP0g==",
    );
    const SIGNED: &str = concat!(
        "V9NflqsRrfanG1Np9DpC68qCHlOExTR/e+rxx6k6o6HI9scVKqRHhHKvoi8DhsHmOR7xyR1dnsMnnIRUnDYOPQoo",
        "glLMnqkOGDM8zgGGG/vCGsdl50ylkyw13z9bEEpv1KIYMZvPmIEDouWQ7aLCHDD+hN8DWpijm6mDH8TlwySa6cn8",
        "DCkLRK9KW41dueZ+bc5pqWNQXiEYFr+5QHnokKkSKAgn1ECZ3GCpP0iZd/ZMM+lo6wVaWW+tyiphVSLFqe8fq0bZ",
        "PDh+uh86BKe1sJX5a32eq9XOFmFkDZYbgPh4kLQLphp8Xa09JsCEqaqXsYF5y5YqOPBLxESk4kgz1w==",
    );
    const LEADING_ZERO: &str = concat!(
        "AIkueXs+9xpLB9nnCuUSdFX1akaIJD8azwM+PN5Vuip6/sFC87+yBmRBJi41f4DpyIQnhKa4JycSVOI+iMRJuoSX",
        "iRbv+CRJz49P+rhF+KXfcJXe8Q7+5yXx/Msdj3X+Do3h7Uwwhy30KCkx8qkLVg98UlXurzCLgc5+tew03sMHNQXU",
        "6lIz3z837US/2/KrM7toG4uFNLTq+efESR/4Ph86VLzc+Pka+4dVMDIQCf2dsDOwgrtBn3q22xvrrKmg6uEcTqbp",
        "mrZX/fGKkNt0YZC7ActglWQeS7qoWBmXX5c+fFrvPevn7UXtkxp7RlZGd139+5ylDHqu5rDkzAONGA==",
    );

    fn raw_sign(key: &Rsa<Private>, block: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; key.size() as usize];
        key.private_encrypt(block, &mut signature, Padding::NONE)
            .unwrap();
        signature
    }

    #[test]
    fn the_padded_hash_and_its_signature_are_those_of_the_specified_vectors() {
        let pem = test_key::public_pem();
        let blocks = block(MESSAGE, SALT, REQUEST);
        assert_eq!(
            hex::encode(&blocks[..32]),
            "b5bebf248064712006c55b2101d27b58332fd8bb2776a4230956b8fa68386d74"
        );
        assert_eq!(
            hex::encode(&blocks[192..224]),
            "74dd678f4919f82bac551bcd8f05191cc20c9cd52da63861befec093d9de82c1"
        );
        assert_eq!(
            hex::encode(&blocks[224..]),
            "3064c5cf981febe31ebab74f6129171c714be55c185fa62751ad4cbd7f5fa687"
        );
        assert_eq!(padded_hash(MESSAGE, SALT, REQUEST, &pem).unwrap(), PADDED);
        assert!(verify(MESSAGE, SALT, REQUEST, &pem, SIGNED));
        assert!(!verify("other", SALT, REQUEST, &pem, SIGNED));
    }

    #[test]
    fn leading_zero_bytes_are_kept() {
        let salt = "Q9wvWANAFtNZotzGj0hhoV0jg5YFr5Jv2/yMqRmPE4w=";
        let pem = test_key::public_pem();
        let hash = padded_hash("test", salt, REQUEST, &pem).unwrap();
        assert_eq!(hash, LEADING_ZERO);
        let key = test_key::private().rsa().unwrap();
        let signature = raw_sign(&key, &STANDARD.decode(&hash).unwrap());
        assert!(verify(
            "test",
            salt,
            REQUEST,
            &pem,
            &STANDARD.encode(signature)
        ));
    }

    proptest! {
        /// Whatever is asked: the accessor's signature of the padded hash is one
        /// of this request, and of no other.
        #[test]
        fn a_signature_is_of_one_request(message in ".{0,40}", salt in ".{0,20}", request in "[0-9a-f]{64}") {
            let pem = test_key::public_pem();
            let key = test_key::private().rsa().unwrap();
            let hash = padded_hash(&message, &salt, &request, &pem).unwrap();
            let hash = STANDARD.decode(hash).unwrap();
            prop_assert_eq!(hash.len(), BLOCK);
            let signature = STANDARD.encode(raw_sign(&key, &hash));
            prop_assert!(verify(&message, &salt, &request, &pem, &signature));
            let other = format!("{message} ");
            prop_assert!(!verify(&other, &salt, &request, &pem, &signature));
            let other = format!("{salt} ");
            prop_assert!(!verify(&message, &other, &request, &pem, &signature));
            let other = format!("{request}0");
            prop_assert!(!verify(&message, &salt, &other, &pem, &signature));
        }
    }

    #[test]
    fn signatures_of_longer_keys_never_verify() {
        let rsa = Rsa::generate(3072).unwrap();
        let key = PKey::from_rsa(rsa.clone()).unwrap();
        let pem = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
        let hash = STANDARD
            .decode(padded_hash(MESSAGE, SALT, REQUEST, &pem).unwrap())
            .unwrap();
        assert_eq!(hash.len(), 256);
        let mut padded = vec![0; 128];
        padded.extend(&hash);
        let signature = STANDARD.encode(raw_sign(&rsa, &padded));
        assert!(!verify(MESSAGE, SALT, REQUEST, &pem, &signature));
    }

    #[test]
    fn unusable_signatures_are_invalid_rather_than_an_error() {
        let pem = test_key::public_pem();
        let signed = STANDARD.decode(SIGNED).unwrap();
        let mut longer = vec![0];
        longer.extend(&signed);
        for signature in [
            Vec::new(),
            signed[1..].to_vec(),
            longer,
            vec![0xff; 256],
            vec![1; 300],
        ] {
            let text = STANDARD.encode(signature);
            assert!(!verify(MESSAGE, SALT, REQUEST, &pem, &text));
        }
        assert!(!verify(MESSAGE, SALT, REQUEST, "no key", SIGNED));
    }

    #[test]
    fn signatures_are_read_in_either_alphabet_with_or_without_padding() {
        let pem = test_key::public_pem();
        let without = SIGNED.trim_end_matches('=');
        let url_safe = without.replace('+', "-").replace('/', "_");
        assert!(verify(MESSAGE, SALT, REQUEST, &pem, without));
        assert!(verify(MESSAGE, SALT, REQUEST, &pem, &url_safe));
        assert_eq!(decode_leniently("aGVs\nbG8="), b"hello");
    }
}
