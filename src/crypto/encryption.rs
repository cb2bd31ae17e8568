//! Wrapping and unwrapping a message's symmetric key with RSA
//! (spec/messaging-and-crypto.md 5.5).

use openssl::encrypt::{Decrypter, Encrypter};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKeyRef, Private, Public};
use openssl::rsa::Padding;

use super::public_key;
use crate::error::{Error, codes};

/// An encryption algorithm of node keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionAlgorithm {
    /// `RSAES_PKCS1_V1_5`, by far the most common.
    Pkcs1,
    /// `RSAES_OAEP_SHA_1`
    OaepSha1,
    /// `RSAES_OAEP_SHA_256`, with MGF1 of SHA-256.
    OaepSha256,
}

/// Names of all algorithms.
pub const ALGORITHMS: [&str; 3] = ["RSAES_PKCS1_V1_5", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"];

impl EncryptionAlgorithm {
    /// Finds an algorithm by its exact name.
    ///
    /// # Errors
    /// 10000: the ledger does not check the name, so it can be anything.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "RSAES_PKCS1_V1_5" => Ok(Self::Pkcs1),
            "RSAES_OAEP_SHA_1" => Ok(Self::OaepSha1),
            "RSAES_OAEP_SHA_256" => Ok(Self::OaepSha256),
            _ => Err(Error::with_message(
                codes::UNKNOWN_ERROR,
                format!("unknown/unsupported algorithm: {name}"),
            )),
        }
    }

    fn oaep_digest(self) -> Option<MessageDigest> {
        match self {
            Self::Pkcs1 => None,
            Self::OaepSha1 => Some(MessageDigest::sha1()),
            Self::OaepSha256 => Some(MessageDigest::sha256()),
        }
    }
}

/// Encrypts a short text for the owner of a PEM key.
///
/// # Errors
/// 20040, 20041, 20044 for the key; 10000 for the algorithm or a text that does not fit.
pub fn encrypt(public_key: &str, algorithm: &str, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let algorithm = EncryptionAlgorithm::parse(algorithm)?;
    let key = public_key::parse(public_key)?;
    public_key::check_rsa(&key)?;
    encrypt_with(&key, algorithm, plaintext).map_err(|error| {
        Error::with_message(codes::UNKNOWN_ERROR, format!("cannot encrypt: {error}"))
    })
}

fn encrypt_with(
    key: &PKeyRef<Public>,
    algorithm: EncryptionAlgorithm,
    plaintext: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    let mut encrypter = Encrypter::new(key)?;
    match algorithm.oaep_digest() {
        None => encrypter.set_rsa_padding(Padding::PKCS1)?,
        Some(digest) => {
            encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
            encrypter.set_rsa_oaep_md(digest)?;
            encrypter.set_rsa_mgf1_md(digest)?;
        }
    }
    let mut ciphertext = vec![0; encrypter.encrypt_len(plaintext)?];
    let length = encrypter.encrypt(plaintext, &mut ciphertext)?;
    ciphertext.truncate(length);
    Ok(ciphertext)
}

/// Decrypts with a private key. With `RSAES_PKCS1_V1_5` a wrong ciphertext
/// mostly gives random bytes instead of an error, so that nobody can learn from
/// the difference. The caller must check the result.
/// # Errors
/// 10022 for anything wrong with the ciphertext; 10000 unknown algorithm.
pub fn decrypt(
    key: &PKeyRef<Private>,
    algorithm: &str,
    ciphertext: &[u8],
) -> Result<Vec<u8>, Error> {
    let algorithm = EncryptionAlgorithm::parse(algorithm)?;
    // The cause stays inside: it must not tell a sender anything.
    decrypt_with(key, algorithm, ciphertext).map_err(|_| codes::DECRYPT_MESSAGE_ERROR.into())
}

fn decrypt_with(
    key: &PKeyRef<Private>,
    algorithm: EncryptionAlgorithm,
    ciphertext: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    let mut decrypter = Decrypter::new(key)?;
    match algorithm.oaep_digest() {
        None => decrypter.set_rsa_padding(Padding::PKCS1)?,
        Some(digest) => {
            decrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
            decrypter.set_rsa_oaep_md(digest)?;
            decrypter.set_rsa_mgf1_md(digest)?;
        }
    }
    let mut plaintext = vec![0; decrypter.decrypt_len(ciphertext)?];
    let length = decrypter.decrypt(ciphertext, &mut plaintext)?;
    plaintext.truncate(length);
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::crypto::test_key;

    const OAEP_SHA_1: &str = concat!(
        "QhppTkhWlq0RSy01Zg/uWZZDUTygJWTxX0RFHMw7KtIim1nvh3kvu3hYbKso/kHoKz020N/42ww4zmfb8LJTlM9J",
        "vjoOjZOeBxjewHMvy1p8VtI0AoOJ548zzlT9ydZAwDKMYayDmv3hZ9aB9YQ7/5oj1KW6XURdaLjaHqH+NwSh40uS",
        "DaxmgJmF9K/lymy9jFiRt1SinvbyiqjdmDgp7uHXHThhvNpFGEYe0Pu9uu8oguL8WUUMKHKhchE6yvf17PpFqzYn",
        "Yaa/CCJBmlyJYs61lZs7Hl2wq92tXY/97KcCn17G9yb3aYWJYzDQGuTncixJ3gT+bRSpKE3fbZQt6w==",
    );
    const OAEP_SHA_256: &str = concat!(
        "g5+dLby9fI2G9t9Gp5ynRs7hQsv9Y3fTwk56jbrZIk8HG4Id4NEKIiEHxq41beaOCiU+cil0V9CCTAh5S02GwuW4",
        "/CAedqZAtcbf4lvMsF3zdzDIq9D78p/qGEJrBFZerPlYiPjBryr/xCFIS723rLR27rcsQguxx2X3lwPc7TJ1foBt",
        "SAp9WhF/dJTVdvc3B21BhiDgc7cYg+0h4SfTi0FP+tDuS4/gtsDEzuWij3HbZheA5UgXzjq/LVXNg2aHyRcE576u",
        "ilOVGBT/0iEjBPSkI9+X+KxTD4yKfz3tGbtHEBL42Fwuzw9ra80dDecfKBvUNDKzCSZrtQmWKurz7Q==",
    );

    /// spec/messaging-and-crypto.md 10
    #[test]
    fn the_specified_wrapped_keys_are_unwrapped() {
        let key: Vec<u8> = (0..32).collect();
        for (algorithm, wrapped) in [
            ("RSAES_OAEP_SHA_1", OAEP_SHA_1),
            ("RSAES_OAEP_SHA_256", OAEP_SHA_256),
        ] {
            let wrapped = STANDARD.decode(wrapped).unwrap();
            let unwrapped = decrypt(&test_key::private(), algorithm, &wrapped).unwrap();
            assert_eq!(unwrapped, key, "{algorithm}");
        }
    }

    #[test]
    fn what_is_encrypted_is_decrypted() {
        for algorithm in ALGORITHMS {
            let ciphertext = encrypt(&test_key::public_pem(), algorithm, b"secret").unwrap();
            let plaintext = decrypt(&test_key::private(), algorithm, &ciphertext).unwrap();
            assert_eq!(plaintext, b"secret", "{algorithm}");
        }
    }

    #[test]
    fn every_wrong_ciphertext_fails_alike_or_gives_other_bytes() {
        let key = test_key::private();
        for algorithm in ALGORITHMS {
            let mut ciphertext = encrypt(&test_key::public_pem(), algorithm, b"secret").unwrap();
            ciphertext[100] ^= 1;
            for wrong in [ciphertext.as_slice(), &ciphertext[1..], &[0xff; 256], &[]] {
                match decrypt(&key, algorithm, wrong) {
                    Ok(plaintext) => assert_ne!(plaintext, b"secret"),
                    Err(error) => assert_eq!(error.code().number, 10022),
                }
            }
        }
    }

    #[test]
    fn unknown_algorithms_are_named() {
        let error = encrypt(&test_key::public_pem(), "ROT13", b"x").unwrap_err();
        assert_eq!(error.message(), "unknown/unsupported algorithm: ROT13");
    }
}
