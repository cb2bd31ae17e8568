//! Public keys: what may be registered, and signatures made with them
//! (spec/ledger.md 2.4).

use std::collections::HashMap;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};

use super::refusal::{self as refused, TxRefusal};

const MIN_RSA_BITS: u32 = 2048;
/// Parsed keys kept; far more than a network has nodes.
const MAX_PARSED: usize = 10_000;

/// How a signature with a named algorithm is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    RsaPkcs1(MessageDigestName),
    RsaPss(MessageDigestName),
    Ecdsa(MessageDigestName),
    Ed25519,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageDigestName {
    Sha256,
    Sha384,
    Sha512,
}

impl MessageDigestName {
    fn digest(self) -> MessageDigest {
        match self {
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }
}

fn scheme(algorithm: &str) -> Option<Scheme> {
    use MessageDigestName::{Sha256, Sha384, Sha512};
    Some(match algorithm {
        "RSASSA_PKCS1_V1_5_SHA_256" => Scheme::RsaPkcs1(Sha256),
        "RSASSA_PKCS1_V1_5_SHA_384" => Scheme::RsaPkcs1(Sha384),
        "RSASSA_PKCS1_V1_5_SHA_512" => Scheme::RsaPkcs1(Sha512),
        "RSASSA_PSS_SHA_256" => Scheme::RsaPss(Sha256),
        "RSASSA_PSS_SHA_384" => Scheme::RsaPss(Sha384),
        "RSASSA_PSS_SHA_512" => Scheme::RsaPss(Sha512),
        "ECDSA_SHA_256" => Scheme::Ecdsa(Sha256),
        "ECDSA_SHA_384" => Scheme::Ecdsa(Sha384),
        "Ed25519" => Scheme::Ed25519,
        _ => return None,
    })
}

fn parse(pem: &str) -> Result<PKey<Public>, ErrorStack> {
    let pem = pem.replace('\t', "");
    if pem.contains("BEGIN RSA PUBLIC KEY") {
        return PKey::from_rsa(Rsa::public_key_from_pem_pkcs1(pem.as_bytes())?);
    }
    PKey::public_key_from_pem(pem.as_bytes())
}

fn curve(key: &PKey<Public>) -> Option<Nid> {
    key.ec_key().ok()?.group().curve_name()
}

/// Checks a key that is to sign with `algorithm`.
///
/// # Errors
/// 50, 51, 52, 65, 127 or 128.
pub fn check_signing_key(pem: &str, algorithm: &str) -> Result<(), TxRefusal> {
    let key = parse(pem).map_err(|_| refused::KEY_UNDECODABLE)?;
    let scheme = scheme(algorithm);
    match key.id() {
        Id::RSA => {
            if key.bits() < MIN_RSA_BITS {
                return Err(refused::RSA_TOO_SHORT);
            }
            match scheme {
                Some(Scheme::RsaPkcs1(_) | Scheme::RsaPss(_)) => Ok(()),
                _ => Err(refused::KEY_ALGORITHM_MISMATCH),
            }
        }
        Id::EC => check_curve(curve(&key), scheme),
        Id::ED25519 => match scheme {
            Some(Scheme::Ed25519) => Ok(()),
            _ => Err(refused::KEY_ALGORITHM_MISMATCH),
        },
        other => Err(unsupported(other)),
    }
}

fn check_curve(curve: Option<Nid>, scheme: Option<Scheme>) -> Result<(), TxRefusal> {
    let known = [
        Nid::SECP224R1,
        Nid::X9_62_PRIME256V1,
        Nid::SECP384R1,
        Nid::SECP521R1,
    ];
    // The replaced application cannot parse other curves (secp256k1 for one).
    let curve = curve
        .filter(|curve| known.contains(curve))
        .ok_or(refused::KEY_UNDECODABLE)?;
    let wanted = match scheme {
        Some(Scheme::Ecdsa(MessageDigestName::Sha256)) => Nid::X9_62_PRIME256V1,
        Some(Scheme::Ecdsa(_)) => Nid::SECP384R1,
        _ => return Err(refused::KEY_ALGORITHM_MISMATCH),
    };
    if curve == wanted {
        Ok(())
    } else {
        Err(refused::CURVE_ALGORITHM_MISMATCH)
    }
}

fn unsupported(id: Id) -> TxRefusal {
    match id {
        Id::DSA => refused::KEY_TYPE_UNSUPPORTED,
        Id::X25519 => refused::KEY_TYPE_UNKNOWN,
        // Types that the replaced application cannot parse (Ed448, X448 ...).
        _ => refused::KEY_UNDECODABLE,
    }
}

/// Checks an encryption key or an accessor key: RSA of at least 2048 bits.
///
/// # Errors
/// 50, 51, 52 or 65.
pub fn check_rsa_key(pem: &str) -> Result<(), TxRefusal> {
    let key = parse(pem).map_err(|_| refused::KEY_UNDECODABLE)?;
    match key.id() {
        Id::RSA if key.bits() < MIN_RSA_BITS => Err(refused::RSA_TOO_SHORT),
        Id::RSA => Ok(()),
        Id::EC | Id::ED25519 => Err(refused::KEY_TYPE_UNSUPPORTED),
        other => Err(unsupported(other)),
    }
}

/// Verifies signatures, keeping the keys it has parsed.
#[derive(Default)]
pub struct SignatureVerifier {
    parsed: HashMap<Arc<str>, PKey<Public>>,
}

impl SignatureVerifier {
    /// Whether `signature` over `message` was made by the key.
    ///
    /// # Errors
    /// 999 if the stored key is not PEM (spec/ledger.md 2.8), 59 if the
    /// signature is not the key's.
    pub fn verify(
        &mut self,
        pem: &Arc<str>,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TxRefusal> {
        if !self.parsed.contains_key(pem) {
            if self.parsed.len() >= MAX_PARSED {
                self.parsed.clear();
            }
            let key = parse(pem).map_err(|_| refused::STORED_KEY_BROKEN)?;
            self.parsed.insert(Arc::clone(pem), key);
        }
        let valid = match (scheme(algorithm), self.parsed.get(pem)) {
            // OpenSSL reports a malformed signature as an error.
            (Some(scheme), Some(key)) => {
                signature_is_valid(scheme, key, message, signature).unwrap_or(false)
            }
            _ => false,
        };
        if valid {
            Ok(())
        } else {
            Err(refused::SIGNATURE_INVALID)
        }
    }
}

fn signature_is_valid(
    scheme: Scheme,
    key: &PKey<Public>,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, ErrorStack> {
    let mut verifier = match scheme {
        Scheme::Ed25519 => {
            return Verifier::new_without_digest(key)?.verify_oneshot(signature, message);
        }
        Scheme::RsaPkcs1(hash) => {
            let mut verifier = Verifier::new(hash.digest(), key)?;
            verifier.set_rsa_padding(Padding::PKCS1)?;
            verifier
        }
        Scheme::RsaPss(hash) => {
            let mut verifier = Verifier::new(hash.digest(), key)?;
            verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
            verifier.set_rsa_mgf1_md(hash.digest())?;
            // For a verifier "maximum" is OpenSSL's "whatever length it has".
            verifier.set_rsa_pss_saltlen(RsaPssSaltlen::MAXIMUM_LENGTH)?;
            verifier
        }
        Scheme::Ecdsa(hash) => Verifier::new(hash.digest(), key)?,
    };
    verifier.update(message)?;
    verifier.verify(signature)
}
