//! The public keys that a node is registered with (spec/http-api.md 3.4).

use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::api::versions::ANY_TYPE;
use crate::crypto::public_key;
use crate::error::{Error, codes};

/// A node's three keys in calls. The ledger reads their types from the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(in crate::flows) struct PublicKeys {
    /// Verifies transactions, messages and data: PEM.
    #[schemars(length(min = 1))]
    signing_public_key: String,
    /// Its type.
    #[serde(skip_serializing)]
    #[schemars(schema_with = "key_type")]
    signing_key_algorithm: String,
    /// What it verifies.
    #[schemars(schema_with = "signing_algorithm")]
    signing_algorithm: String,
    /// Verifies changes of keys: PEM.
    #[schemars(length(min = 1))]
    signing_master_public_key: String,
    /// Its type.
    #[serde(skip_serializing)]
    #[schemars(schema_with = "key_type")]
    signing_master_key_algorithm: String,
    /// What it verifies.
    #[schemars(schema_with = "signing_algorithm")]
    signing_master_algorithm: String,
    /// Messages to the node are encrypted for it: PEM.
    #[schemars(length(min = 1))]
    encryption_public_key: String,
    /// Its type.
    #[serde(skip_serializing)]
    #[schemars(schema_with = "encryption_key_type")]
    encryption_key_algorithm: String,
    /// How it encrypts.
    #[schemars(schema_with = "encryption_algorithm")]
    encryption_algorithm: String,
}

impl PublicKeys {
    /// Checks that the keys have the types that the call names.
    ///
    /// # Errors
    /// Those of [`check_signing`] for the signing key, then for the master key,
    /// then those of [`check_encryption`].
    pub fn check(&self) -> Result<(), Error> {
        check_signing(
            &self.signing_public_key,
            &self.signing_key_algorithm,
            &self.signing_algorithm,
        )?;
        check_signing(
            &self.signing_master_public_key,
            &self.signing_master_key_algorithm,
            &self.signing_master_algorithm,
        )?;
        check_encryption(&self.encryption_public_key, &self.encryption_key_algorithm)
    }
}

/// Checks that a PEM text is a signing key of this type. The ledger checks the
/// algorithm, except for EC keys.
///
/// # Errors
/// 20040 unreadable, 20042 another type, 20044 a short RSA key, 20041 an unsupported
/// curve, 20093 a curve of another algorithm.
pub(in crate::flows) fn check_signing(
    pem: &str,
    key_type: &str,
    algorithm: &str,
) -> Result<(), Error> {
    let key = of_type(pem, key_type)?;
    public_key::check_signing(&key)?;
    let wanted = match public_key::curve(&key) {
        Some(Nid::SECP384R1) => "ECDSA_SHA_384",
        Some(_) => "ECDSA_SHA_256",
        None => return Ok(()),
    };
    match algorithm == wanted {
        true => Ok(()),
        false => Err(codes::UNSUPPORTED_SIGNING_ALGORITHM.into()),
    }
}

/// Checks that a PEM text is an encryption key of this type.
///
/// # Errors
/// 20040 unreadable, 20042 another type, 20044 a short RSA key.
pub(in crate::flows) fn check_encryption(pem: &str, key_type: &str) -> Result<(), Error> {
    let key = of_type(pem, key_type)?;
    public_key::check_rsa(&key)
}

fn of_type(pem: &str, key_type: &str) -> Result<PKey<Public>, Error> {
    let key = public_key::parse(pem)?;
    let is_of_type = match (key_type, key.id()) {
        // Older versions of the API do not require it.
        (ANY_TYPE, _) => true,
        ("RSA", id) => id == Id::RSA,
        ("EC", id) => id == Id::EC,
        ("Ed25519", id) => id == Id::ED25519,
        _ => false,
    };
    match is_of_type {
        true => Ok(key),
        false => Err(codes::MISMATCHED_KEY_TYPE.into()),
    }
}

/// The schema of a signing key's type.
pub(in crate::flows) fn key_type(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["RSA", "EC", "Ed25519"]})
}

/// The schema of an encryption key's type.
pub(in crate::flows) fn encryption_key_type(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["RSA"]})
}

/// The schema of a signing algorithm's name.
pub(in crate::flows) fn signing_algorithm(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": [
            "RSASSA_PSS_SHA_256",
            "RSASSA_PSS_SHA_384",
            "RSASSA_PSS_SHA_512",
            "RSASSA_PKCS1_V1_5_SHA_256",
            "RSASSA_PKCS1_V1_5_SHA_384",
            "RSASSA_PKCS1_V1_5_SHA_512",
            "ECDSA_SHA_256",
            "ECDSA_SHA_384",
            "Ed25519",
        ],
    })
}

/// The schema of an encryption algorithm's name.
pub(in crate::flows) fn encryption_algorithm(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": ["RSAES_PKCS1_V1_5", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"],
    })
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::rsa::Rsa;

    use super::*;

    fn pem<T: openssl::pkey::HasPublic>(key: PKey<T>) -> String {
        String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
    }

    fn rsa(bits: u32) -> String {
        pem(PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap())
    }

    fn ec(curve: Nid) -> String {
        let group = EcGroup::from_curve_name(curve).unwrap();
        pem(PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap())
    }

    fn number(result: Result<(), Error>) -> u32 {
        result.map_or_else(|error| error.code().number, |()| 0)
    }

    #[test]
    fn signing_keys_are_judged_in_the_order_of_the_specification() {
        let (short, long) = (rsa(1024), rsa(2048));
        let ed25519 = pem(PKey::generate_ed25519().unwrap());
        let x25519 = pem(PKey::generate_x25519().unwrap());
        let (p256, p384) = (ec(Nid::X9_62_PRIME256V1), ec(Nid::SECP384R1));
        let (bitcoin, p521) = (ec(Nid::SECP256K1), ec(Nid::SECP521R1));
        for (pem, key_type, algorithm, code) in [
            (long.as_str(), "RSA", "RSASSA_PSS_SHA_256", 0),
            // The ledger decides on these.
            (&long, "RSA", "Ed25519", 0),
            (&ed25519, "Ed25519", "RSASSA_PSS_SHA_256", 0),
            ("no key", "EC", "ECDSA_SHA_256", 20040),
            (&short, "EC", "ECDSA_SHA_256", 20042),
            (&short, "RSA", "ECDSA_SHA_256", 20044),
            (&x25519, "Ed25519", "Ed25519", 20042),
            (&p256, "EC", "ECDSA_SHA_256", 0),
            (&bitcoin, "EC", "ECDSA_SHA_256", 0),
            (&p384, "EC", "ECDSA_SHA_384", 0),
            (&p256, "EC", "ECDSA_SHA_384", 20093),
            (&p384, "EC", "RSASSA_PSS_SHA_256", 20093),
            (&p521, "EC", "ECDSA_SHA_256", 20041),
            // A client of an older version names no type.
            (&long, "any", "RSASSA_PKCS1_V1_5_SHA_256", 0),
            (&short, "any", "RSASSA_PKCS1_V1_5_SHA_256", 20044),
            (&p256, "any", "RSASSA_PKCS1_V1_5_SHA_256", 20093),
            (&bitcoin, "any", "RSASSA_PKCS1_V1_5_SHA_256", 20093),
            (&p521, "any", "RSASSA_PKCS1_V1_5_SHA_256", 20041),
            (&x25519, "any", "RSASSA_PKCS1_V1_5_SHA_256", 20041),
            (&ed25519, "any", "RSASSA_PKCS1_V1_5_SHA_256", 0),
        ] {
            let result = check_signing(pem, key_type, algorithm);
            assert_eq!(number(result), code, "{key_type} {algorithm}");
        }
    }

    #[test]
    fn encryption_keys_are_rsa_keys_from_2048_bits() {
        assert_eq!(number(check_encryption(&rsa(2048), "RSA")), 0);
        assert_eq!(number(check_encryption(&rsa(1024), "RSA")), 20044);
        let other = ec(Nid::X9_62_PRIME256V1);
        assert_eq!(number(check_encryption(&other, "RSA")), 20042);
        assert_eq!(number(check_encryption("", "RSA")), 20040);
        let ed25519 = pem(PKey::generate_ed25519().unwrap());
        assert_eq!(number(check_encryption(&ed25519, "any")), 20041);
        assert_eq!(number(check_encryption(&rsa(2048), "any")), 0);
    }
}
