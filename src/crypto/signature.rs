//! Verifying signatures (spec/messaging-and-crypto.md 5.4).

/// Whether `signature` over `message` verifies with the PEM key under the named
/// algorithm. False for anything unusable.
pub fn verify(_public_key: &str, _algorithm: &str, _message: &[u8], _signature: &[u8]) -> bool {
    false
}
