//! Hashes and the salts derived with them (spec/messaging-and-crypto.md 5.2). A
//! salt enters a hash as base64 text and is never decoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::Sha256;
use rand::RngCore;

/// Length of a generated salt, and the shortest that a client may send (20087).
pub const SALT_LENGTH: usize = 44;

/// Base64 of the SHA-256 of the parts, one after the other.
pub fn sha256_base64(parts: &[&str]) -> String {
    STANDARD.encode(sha256(parts))
}

/// SHA-256 of the parts, one after the other.
pub fn sha256(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    hasher.finish()
}

/// A new `initial_salt`: base64 of 32 random bytes.
pub fn generate_salt() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    STANDARD.encode(bytes)
}

/// A new request or message id: 32 random bytes as hex.
pub fn generate_id() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// Salt of a request's message.
pub fn request_message_salt(namespace: &str, identifier: &str, initial_salt: &str) -> String {
    sha256_base64(&[namespace, identifier, initial_salt])
}

/// The hash of a request's message on the ledger.
pub fn request_message_hash(request_message: &str, salt: &str) -> String {
    sha256_base64(&[request_message, salt])
}

/// Salt of the parameters for one service.
pub fn request_params_salt(request_id: &str, service_id: &str, initial_salt: &str) -> String {
    sha256_base64(&[request_id, service_id, initial_salt])
}

/// The hash of the parameters for one service on the ledger.
pub fn request_params_hash(request_params: Option<&str>, salt: &str) -> String {
    sha256_base64(&[request_params.unwrap_or_default(), salt])
}

/// Salt of an AS's data. `as_id` is the answering process's own node id.
pub fn data_salt(request_id: &str, service_id: &str, as_id: &str, initial_salt: &str) -> String {
    sha256_base64(&[request_id, service_id, as_id, initial_salt])
}

/// The hash of an identifier on the ledger.
pub fn identifier_hash(identifier: &str) -> String {
    sha256_base64(&[identifier])
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5";
    const SALT: &str = "ZXJhd2FuIHNwZWMgdGVzdCB2ZWN0b3Igc2FsdCAwMDE=";
    const SERVICE: &str = "001.cust_info_001";

    /// spec/messaging-and-crypto.md 10
    #[test]
    fn salts_and_hashes_are_those_of_the_specified_vectors() {
        let message_salt = request_message_salt("citizen_id", "1234567890123", SALT);
        assert_eq!(message_salt, "EOejeoqF+nqUbsD/ikixX4QeNgqllKizWDJO0amkAM0=");
        assert_eq!(
            request_message_hash("ขอความยินยอม: please confirm", &message_salt),
            "6CVZ7YeKWEIH1j44Nx5nyZuDoTxIGbDGFiabV+sej+Y="
        );
        let params_salt = request_params_salt(REQUEST, SERVICE, SALT);
        assert_eq!(params_salt, "54ZxddvQGzzNAclM8CkSJWJ44KBx4ksKtmUQMXzcLuA=");
        assert_eq!(
            request_params_hash(Some(r#"{"format":"pdf"}"#), &params_salt),
            "Ws2JV0bOEc+747jo9tbYMlSF6yYZDYkeq+zZsuSkmok="
        );
        assert_eq!(
            request_params_hash(None, &params_salt),
            "aL0ei3KZDZOYFYboFZlnOnnBwlN6DPnbQoT5iN3zgiI="
        );
        assert_eq!(
            data_salt(REQUEST, SERVICE, "as1", SALT),
            "oe1F+2x7KayjjySwyrK3l8UiwkNozFFptAYjMFwmoPs="
        );
        assert_eq!(
            identifier_hash("1234567890123"),
            "vKK0Gisl4TfIP+40ave9Hg9SvVYFg8oHobQvmUTFxQs="
        );
    }

    #[test]
    fn generated_salts_and_ids_have_their_lengths() {
        assert_eq!(generate_salt().len(), SALT_LENGTH);
        assert_eq!(generate_id().len(), 64);
    }
}
