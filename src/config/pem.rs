//! Whether files of certificates and keys hold what they should.

use std::fs;
use std::path::Path;

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

/// A certificate chain, the own certificate first.
/// # Errors
/// What is wrong with it, in words.
pub(super) fn certificates(path: &Path) -> Result<Vec<X509>, String> {
    let pem = fs::read(path).map_err(|error| error.to_string())?;
    match X509::stack_from_pem(&pem) {
        Ok(chain) if chain.is_empty() => Err("there is no PEM certificate in it".to_owned()),
        Ok(chain) => Ok(chain),
        Err(_) => Err("it is no PEM certificate".to_owned()),
    }
}

/// The private key of a certificate, without a passphrase.
/// # Errors
/// As above.
pub(super) fn key(path: &Path) -> Result<PKey<Private>, String> {
    let pem = fs::read(path).map_err(|error| error.to_string())?;
    // Without the callback OpenSSL would ask at the terminal.
    PKey::private_key_from_pem_callback(&pem, |_| Ok(0)).map_err(|_| {
        match pem.windows(9).any(|part| part == b"ENCRYPTED") {
            true => "it has a passphrase, which is not supported here".to_owned(),
            false => "it is no PEM private key".to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pem_is_told_in_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.pem");
        fs::write(&path, "rubbish").unwrap();
        assert!(
            certificates(&path)
                .unwrap_err()
                .contains("no PEM certificate")
        );
        assert!(key(&path).unwrap_err().contains("no PEM private key"));
        let own = PKey::generate_ed25519().unwrap();
        let cipher = openssl::symm::Cipher::aes_128_cbc();
        let locked = own.private_key_to_pem_pkcs8_passphrase(cipher, b"secret");
        fs::write(&path, locked.unwrap()).unwrap();
        assert!(key(&path).unwrap_err().contains("passphrase"));
        fs::write(&path, own.private_key_to_pem_pkcs8().unwrap()).unwrap();
        assert!(key(&path).unwrap().public_eq(&own));
    }
}
