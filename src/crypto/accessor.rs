//! What users' accessor keys sign in modes 2 and 3 (spec/messaging-and-crypto.md 5.3).

use crate::error::{Error, codes};

/// Base64 of the padded hash for this accessor's PEM key.
///
/// # Errors
/// 20040 when the key cannot be read.
pub fn padded_hash(
    _request_message: &str,
    _initial_salt: &str,
    _request_id: &str,
    _accessor_public_key: &str,
) -> Result<String, Error> {
    Err(codes::INVALID_KEY_FORMAT.into())
}

/// Whether a base64 signature was made by the accessor's key over the padded hash.
pub fn verify(
    _request_message: &str,
    _initial_salt: &str,
    _request_id: &str,
    _accessor_public_key: &str,
    _signature: &str,
) -> bool {
    false
}
