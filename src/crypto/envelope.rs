//! The symmetric layer of messages: AES-256-GCM with a 16-byte IV
//! (spec/messaging-and-crypto.md 3.5).
//!
//! Layout: 64 zero bytes (an unused salt), IV, tag, ciphertext.

use openssl::error::ErrorStack;
use openssl::symm::{self, Cipher};
use rand::RngCore;

use crate::pulse;

/// Length of a key, in bytes.
pub const KEY_LENGTH: usize = 32;

const UNUSED: usize = 64;
const IV: usize = 16;
const TAG: usize = 16;
const CIPHERTEXT: usize = UNUSED + IV + TAG;

/// A new random key.
pub fn generate_key() -> [u8; KEY_LENGTH] {
    let mut key = [0; KEY_LENGTH];
    rand::rng().fill_bytes(&mut key);
    key
}

/// Encrypts with a random IV.
///
/// # Errors
/// Those of OpenSSL; none are expected.
pub fn encrypt(key: &[u8; KEY_LENGTH], plaintext: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    pulse::keep_off("encrypting");
    let mut iv = [0; IV];
    rand::rng().fill_bytes(&mut iv);
    encrypt_with_iv(key, &iv, plaintext)
}

fn encrypt_with_iv(
    key: &[u8; KEY_LENGTH],
    iv: &[u8; IV],
    plaintext: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    let mut tag = [0; TAG];
    let ciphertext = symm::encrypt_aead(
        Cipher::aes_256_gcm(),
        key,
        Some(iv),
        &[],
        plaintext,
        &mut tag,
    )?;
    Ok([&[0; UNUSED][..], iv, &tag, &ciphertext].concat())
}

/// Decrypts; `None` for a key of another length, bytes that are too short, or
/// a tag that does not match.
pub fn decrypt(key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    pulse::keep_off("decrypting");
    if key.len() != KEY_LENGTH || bytes.len() < CIPHERTEXT {
        return None;
    }
    let (head, ciphertext) = bytes.split_at(CIPHERTEXT);
    let (iv, tag) = head[UNUSED..].split_at(IV);
    symm::decrypt_aead(Cipher::aes_256_gcm(), key, Some(iv), &[], ciphertext, tag).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector() -> ([u8; 32], [u8; 16]) {
        let key = std::array::from_fn(|index| index as u8);
        let iv = std::array::from_fn(|index| 0xa0 + index as u8);
        (key, iv)
    }

    /// spec/messaging-and-crypto.md 10
    #[test]
    fn the_layer_is_that_of_the_specified_vector() {
        let (key, iv) = vector();
        let bytes = encrypt_with_iv(&key, &iv, b"test").unwrap();
        assert_eq!(&bytes[..64], &[0; 64]);
        assert_eq!(
            hex::encode(&bytes[64..]),
            "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf840f7deab57489802268486bdcd5c63d5ec650c8"
        );
        assert_eq!(decrypt(&key, &bytes).unwrap(), b"test");
    }

    #[test]
    fn any_changed_byte_but_the_unused_ones_is_noticed() {
        let (key, iv) = vector();
        let bytes = encrypt_with_iv(&key, &iv, b"test").unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(decrypt(&key, &changed).is_some(), index < 64, "{index}");
        }
        assert!(decrypt(&key[1..], &bytes).is_none());
        assert!(decrypt(&key, &bytes[..95]).is_none());
        assert!(decrypt(&key, &[]).is_none());
    }
}
