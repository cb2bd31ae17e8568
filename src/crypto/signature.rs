//! Makes and verifies signatures (spec/messaging-and-crypto.md 5.4).

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPrivate, HasPublic, Id, PKeyRef};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Signer, Verifier};

use super::public_key;
use crate::error::{Error, codes};
use crate::pulse;

/// Hash functions of the signing algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashFunction {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl HashFunction {
    /// The name in calls of an external crypto service.
    pub fn as_str(self) -> &'static str {
        match self {
            HashFunction::Sha256 => "SHA256",
            HashFunction::Sha384 => "SHA384",
            HashFunction::Sha512 => "SHA512",
        }
    }

    /// OpenSSL's name for it.
    pub fn digest(self) -> MessageDigest {
        match self {
            HashFunction::Sha256 => MessageDigest::sha256(),
            HashFunction::Sha384 => MessageDigest::sha384(),
            HashFunction::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// A signing algorithm the ledger knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// `RSASSA_PKCS1_V1_5_SHA_*`
    RsaPkcs1(HashFunction),
    /// `RSASSA_PSS_SHA_*`
    RsaPss(HashFunction),
    /// `ECDSA_SHA_256` on P-256, `ECDSA_SHA_384` on P-384
    Ecdsa(HashFunction),
    /// `Ed25519`
    Ed25519,
}

impl SigningAlgorithm {
    /// By its exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RSASSA_PKCS1_V1_5_SHA_256" => Self::RsaPkcs1(HashFunction::Sha256),
            "RSASSA_PKCS1_V1_5_SHA_384" => Self::RsaPkcs1(HashFunction::Sha384),
            "RSASSA_PKCS1_V1_5_SHA_512" => Self::RsaPkcs1(HashFunction::Sha512),
            "RSASSA_PSS_SHA_256" => Self::RsaPss(HashFunction::Sha256),
            "RSASSA_PSS_SHA_384" => Self::RsaPss(HashFunction::Sha384),
            "RSASSA_PSS_SHA_512" => Self::RsaPss(HashFunction::Sha512),
            "ECDSA_SHA_256" => Self::Ecdsa(HashFunction::Sha256),
            "ECDSA_SHA_384" => Self::Ecdsa(HashFunction::Sha384),
            "Ed25519" => Self::Ed25519,
            _ => return None,
        })
    }

    /// Its hash; `None` for Ed25519, which signs the message itself.
    pub fn hash(self) -> Option<HashFunction> {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash) | Self::Ecdsa(hash) => Some(hash),
            Self::Ed25519 => None,
        }
    }

    /// Type of its keys: `RSA`, `EC` or `Ed25519`.
    pub fn key_type(self) -> &'static str {
        match self {
            Self::RsaPkcs1(_) | Self::RsaPss(_) => "RSA",
            Self::Ecdsa(_) => "EC",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Whether a key can be used with it.
    pub fn fits<T: HasPublic>(self, key: &PKeyRef<T>) -> bool {
        match self {
            Self::RsaPkcs1(_) | Self::RsaPss(_) => key.id() == Id::RSA,
            Self::Ecdsa(hash) => {
                let curve = match hash {
                    HashFunction::Sha256 => Nid::X9_62_PRIME256V1,
                    HashFunction::Sha384 | HashFunction::Sha512 => Nid::SECP384R1,
                };
                key.id() == Id::EC && public_key::curve(key) == Some(curve)
            }
            Self::Ed25519 => key.id() == Id::ED25519,
        }
    }
}

/// Whether `signature` over `message` verifies with the PEM key under the named
/// algorithm. False for anything unusable.
pub fn verify(public_key: &str, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
    pulse::keep_off("verifying");
    let Some(algorithm) = SigningAlgorithm::parse(algorithm) else {
        return false;
    };
    let Ok(key) = public_key::parse(public_key) else {
        return false;
    };
    if !algorithm.fits(&key) {
        return false;
    }
    verify_with(&key, algorithm, message, signature).unwrap_or(false)
}

fn verify_with<T: HasPublic>(
    key: &PKeyRef<T>,
    algorithm: SigningAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, ErrorStack> {
    let Some(hash) = algorithm.hash() else {
        return Verifier::new_without_digest(key)?.verify_oneshot(signature, message);
    };
    // RFC 8017 8.1.2 and 8.2.2, step 1: an RSA signature is as long as its key.
    // OpenSSL accepts PSS signatures without their leading zeros.
    if key.id() == Id::RSA && signature.len() != key.size() {
        return Ok(false);
    }
    let mut verifier = Verifier::new(hash.digest(), key)?;
    if matches!(algorithm, SigningAlgorithm::RsaPss(_)) {
        verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
        // -2: verification takes the salt's length from the signature, because
        // a node's own crypto service may choose any.
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::MAXIMUM_LENGTH)?;
    }
    verifier.verify_oneshot(signature, message)
}

/// Signs with the named algorithm. PSS uses the longest salt, as the other
/// implementation does.
///
/// # Errors
/// 20093 unknown algorithm; 20042 key of another type; 10000 when the key cannot sign.
pub fn sign<T: HasPrivate + HasPublic>(
    key: &PKeyRef<T>,
    algorithm: &str,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let algorithm =
        SigningAlgorithm::parse(algorithm).ok_or(codes::UNSUPPORTED_SIGNING_ALGORITHM)?;
    if !algorithm.fits(key) {
        return Err(codes::MISMATCHED_KEY_TYPE.into());
    }
    sign_with(key, algorithm, message)
        .map_err(|error| Error::with_message(codes::UNKNOWN_ERROR, format!("cannot sign: {error}")))
}

fn sign_with<T: HasPrivate>(
    key: &PKeyRef<T>,
    algorithm: SigningAlgorithm,
    message: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    let Some(hash) = algorithm.hash() else {
        return Signer::new_without_digest(key)?.sign_oneshot_to_vec(message);
    };
    let mut signer = Signer::new(hash.digest(), key)?;
    if matches!(algorithm, SigningAlgorithm::RsaPss(_)) {
        signer.set_rsa_padding(Padding::PKCS1_PSS)?;
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::MAXIMUM_LENGTH)?;
    }
    signer.sign_oneshot_to_vec(message)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::Rsa;

    use super::*;
    use crate::crypto::test_key;

    fn pem(key: &PKey<Private>) -> String {
        String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
    }

    fn ec(curve: Nid) -> PKey<Private> {
        let group = EcGroup::from_curve_name(curve).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    /// spec/messaging-and-crypto.md 10, AS data signature.
    #[test]
    fn signatures_are_those_of_the_specified_vector() {
        let key = test_key::private();
        let message = concat!(
            r#"{"name":"ทดสอบ"}"#,
            "oe1F+2x7KayjjySwyrK3l8UiwkNozFFptAYjMFwmoPs="
        );
        let algorithm = "RSASSA_PKCS1_V1_5_SHA_256";
        let signature = sign(&key, algorithm, message.as_bytes()).unwrap();
        assert_eq!(
            STANDARD.encode(&signature),
            concat!(
                "JSYmx/B+qtQ53PtfoJ6rXymAztl4skZIWJ+YdOxUkSUrG57G6Uh2k4HXQTPoiMxMorkeuuV8/yg98iJI7YsPWKYjYLME9K4z",
                "8SxvnRHReRN2L3DuWsEaxoYg033t3t6b8EoJQ8HCX776faRqaGT0wvGsARixWVYoBcgr6dLZnWQM8Oj9S2rqh8IK/mX3udQm",
                "MH65IKX9SDaMGwFr2CtN+1WZdezkbGgBL8SlT5Jas9z3foiLiv5xfYWnqfPhYlR9dxkjiySZYKxWcLTwX0f77oWkSPY0lE9B",
                "Z6oJ0cnqyWCDR2rhnlAYSf7QOzjBtiAO1xB9KqhtfxV909zKXzvfZg=="
            )
        );
        assert!(verify(
            &pem(&key),
            algorithm,
            message.as_bytes(),
            &signature
        ));
    }

    #[test]
    fn every_algorithm_verifies_its_own_signatures_and_nothing_else() {
        let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let cases = [
            ("RSASSA_PKCS1_V1_5_SHA_256", rsa.clone()),
            ("RSASSA_PKCS1_V1_5_SHA_384", rsa.clone()),
            ("RSASSA_PKCS1_V1_5_SHA_512", rsa.clone()),
            ("RSASSA_PSS_SHA_256", rsa.clone()),
            ("RSASSA_PSS_SHA_384", rsa.clone()),
            ("RSASSA_PSS_SHA_512", rsa),
            ("ECDSA_SHA_256", ec(Nid::X9_62_PRIME256V1)),
            ("ECDSA_SHA_384", ec(Nid::SECP384R1)),
            ("Ed25519", PKey::generate_ed25519().unwrap()),
        ];
        for (algorithm, key) in &cases {
            let signature = sign(key, algorithm, b"message").unwrap();
            let public = pem(key);
            assert!(
                verify(&public, algorithm, b"message", &signature),
                "{algorithm}"
            );
            assert!(
                !verify(&public, algorithm, b"other", &signature),
                "{algorithm}"
            );
            assert!(
                !verify(&public, algorithm, b"message", &signature[1..]),
                "{algorithm}"
            );
            assert!(!verify(&public, algorithm, b"message", b""), "{algorithm}");
            for (other, _) in cases.iter().filter(|(other, _)| other != algorithm) {
                assert!(
                    !verify(&public, other, b"message", &signature),
                    "{algorithm} as {other}"
                );
            }
        }
    }

    /// One signature in 256 begins with a zero, and is the same number without
    /// it.
    #[test]
    fn a_signature_that_lost_a_zero_in_front_is_none() {
        let key = test_key::private();
        let algorithm = "RSASSA_PSS_SHA_256";
        let signature = (0..100_000)
            .map(|_| sign(&key, algorithm, b"message").unwrap())
            .find(|signature| signature[0] == 0)
            .unwrap();
        assert!(verify(&pem(&key), algorithm, b"message", &signature));
        assert!(!verify(&pem(&key), algorithm, b"message", &signature[1..]));
    }

    #[test]
    fn pss_signatures_verify_with_any_salt_length() {
        let key = test_key::private();
        for salt in [
            RsaPssSaltlen::DIGEST_LENGTH,
            RsaPssSaltlen::MAXIMUM_LENGTH,
            RsaPssSaltlen::custom(0),
            RsaPssSaltlen::custom(17),
        ] {
            let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
            signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signer.set_rsa_pss_saltlen(salt).unwrap();
            let signature = signer.sign_oneshot_to_vec(b"message").unwrap();
            assert!(verify(
                &pem(&key),
                "RSASSA_PSS_SHA_256",
                b"message",
                &signature
            ));
        }
    }

    #[test]
    fn keys_and_algorithms_that_do_not_belong_together_are_refused() {
        let key = ec(Nid::SECP256K1);
        assert!(sign(&key, "ECDSA_SHA_256", b"message").is_err());
        let error = sign(&key, "RSASSA_PSS_SHA_256", b"message").unwrap_err();
        assert_eq!(error.code().number, 20042);
        let error = sign(&key, "MD5", b"message").unwrap_err();
        assert_eq!(error.code().number, 20093);
        assert!(!verify("not a key", "Ed25519", b"message", &[0; 64]));
    }
}
