//! The salt from which all other salts of a request or a message derive.

use crate::crypto::hash::{self, SALT_LENGTH};
use crate::error::{Error, codes};

/// The client's salt, or a new one.
///
/// # Errors
/// 20087 when it is too short.
pub fn given_or_new(given: Option<&str>) -> Result<String, Error> {
    match given {
        None | Some("") => Ok(hash::generate_salt()),
        Some(salt) if salt.encode_utf16().count() < SALT_LENGTH => {
            Err(codes::INITIAL_SALT_TOO_SHORT.into())
        }
        Some(salt) => Ok(salt.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_is_the_clients_or_a_new_one() {
        let long = "x".repeat(SALT_LENGTH);
        assert_eq!(given_or_new(Some(&long)).unwrap(), long);
        for absent in [None, Some("")] {
            let salt = given_or_new(absent).unwrap();
            assert_eq!(salt.len(), SALT_LENGTH);
            assert_ne!(salt, given_or_new(absent).unwrap());
        }
        let short = given_or_new(Some(&long[1..])).unwrap_err();
        assert_eq!(short.code().number, 20087);
        // 22 emoji are 44 units of UTF-16, as clients count.
        assert!(given_or_new(Some(&"🙂".repeat(22))).is_ok());
    }
}
