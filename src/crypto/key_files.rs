//! Private keys in PEM files (spec/messaging-and-crypto.md 5.7).

use std::path::{Path, PathBuf};

use openssl::pkey::{PKey, Private};
use secrecy::{ExposeSecret, SecretString};

use super::public_key;
use crate::config::{BehindProxyKeys, KeyFile, Keys};
use crate::error::{Error, codes};

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Missing, or not readable for this process.
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Not a PEM private key, or another passphrase.
    #[error("{path} is not a PEM private key, or its passphrase is wrong")]
    Pem { path: PathBuf },
    /// A key that nodes may not use.
    #[error("{path}: {error}", error = .error.message())]
    Unsuitable {
        path: PathBuf,
        /// What is wrong with it.
        error: Error,
    },
    /// Needed but not configured.
    #[error("{0} is not set")]
    Unset(&'static str),
}

impl From<KeyFileError> for Error {
    /// With the code of what is wrong with the key (spec/http-api.md 2).
    fn from(error: KeyFileError) -> Self {
        let code = match &error {
            KeyFileError::Read { .. } | KeyFileError::Unset(_) => codes::UNKNOWN_ERROR,
            KeyFileError::Pem { .. } => codes::INVALID_KEY_FORMAT,
            KeyFileError::Unsuitable { error, .. } => error.code(),
        };
        Error::with_message(code, error.to_string())
    }
}

/// What the name of a file ends with whose key was replaced.
const PREVIOUS: &str = ".previous";

/// The three private keys of a node.
#[derive(Clone)]
pub struct NodeKeys {
    /// Signs transactions, messages and AS data.
    pub signing: PKey<Private>,
    /// Signs `UpdateNode`.
    pub signing_master: PKey<Private>,
    /// Unwraps message keys.
    pub encryption: PKey<Private>,
}

/// Where the three keys of a node are.
struct Files {
    signing: KeyFile,
    signing_master: KeyFile,
    encryption: KeyFile,
}

impl Files {
    fn load(&self) -> Result<NodeKeys, KeyFileError> {
        Ok(NodeKeys {
            signing: load_signing(&self.signing)?,
            signing_master: load_signing(&self.signing_master)?,
            encryption: load_encryption(&self.encryption)?,
        })
    }

    /// Those that were replaced: `<file>.previous`, and where there is none the
    /// file itself.
    fn previous(&self) -> Option<Self> {
        let mut found = false;
        let mut previous = |file: &KeyFile| {
            let mut name = file.path.clone().into_os_string();
            name.push(PREVIOUS);
            let path = PathBuf::from(name);
            let is_there = path.exists();
            found |= is_there;
            match is_there {
                true => KeyFile {
                    path,
                    passphrase: file.passphrase.clone(),
                },
                false => file.clone(),
            }
        };
        let files = Self {
            signing: previous(&self.signing),
            signing_master: previous(&self.signing_master),
            encryption: previous(&self.encryption),
        };
        found.then_some(files)
    }

    /// The keys, then those that they replaced.
    fn generations(&self) -> Result<Vec<NodeKeys>, KeyFileError> {
        let mut keys = vec![self.load()?];
        if let Some(previous) = self.previous() {
            keys.push(previous.load()?);
        }
        Ok(keys)
    }
}

/// Loads this node's own keys, and those that they replaced if these are still
/// there.
///
/// # Errors
/// The first file that cannot be used.
pub fn load_own(keys: &Keys) -> Result<Vec<NodeKeys>, KeyFileError> {
    let Keys::Files {
        signing,
        signing_master,
        encryption,
        ..
    } = keys
    else {
        return Err(KeyFileError::Unset("SIGNING_PRIVATE_KEY_PATH"));
    };
    let files = Files {
        signing: signing.clone(),
        signing_master: signing_master.clone(),
        encryption: encryption.clone(),
    };
    files.generations()
}

/// Loads the keys of a node behind this proxy, as [`load_own`].
///
/// # Errors
/// The first file or directory that cannot be used.
pub fn load_behind_proxy(
    directories: &BehindProxyKeys,
    node_id: &str,
) -> Result<Vec<NodeKeys>, KeyFileError> {
    let file = |directory: &Option<PathBuf>, variable, name: &str| {
        let directory = directory.as_ref().ok_or(KeyFileError::Unset(variable))?;
        in_directory(directory, name)
    };
    let files = Files {
        signing: file(
            &directories.signing,
            "NODE_BEHIND_PROXY_SIGNING_PRIVATE_KEY_DIRECTORY_PATH",
            node_id,
        )?,
        signing_master: file(
            &directories.signing_master,
            "NODE_BEHIND_PROXY_SIGNING_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
            &format!("{node_id}_master"),
        )?,
        encryption: file(
            &directories.encryption,
            "NODE_BEHIND_PROXY_ENCRYPTION_PRIVATE_KEY_DIRECTORY_PATH",
            node_id,
        )?,
    };
    files.generations()
}

/// The file `name` with the passphrase in `<name>_passphrase`, if that exists.
fn in_directory(directory: &Path, name: &str) -> Result<KeyFile, KeyFileError> {
    // Node ids come from the ledger. An id with a path in it is no file name.
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(KeyFileError::Unsuitable {
            path: directory.to_owned(),
            error: Error::with_message(
                codes::UNKNOWN_ERROR,
                format!("no file can be named {name:?}"),
            ),
        });
    }
    let passphrase_path = directory.join(format!("{name}_passphrase"));
    let passphrase = match std::fs::read_to_string(&passphrase_path) {
        Ok(text) => Some(SecretString::from(strip_newline(&text).to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => {
            return Err(KeyFileError::Read {
                path: passphrase_path,
                source,
            });
        }
    };
    Ok(KeyFile {
        path: directory.join(name),
        passphrase,
    })
}

fn strip_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Loads a signing or signing master key.
///
/// # Errors
/// Unreadable, or not RSA from 2048 bits, EC on an accepted curve, or Ed25519.
pub fn load_signing(file: &KeyFile) -> Result<PKey<Private>, KeyFileError> {
    let key = load(file)?;
    public_key::check_signing(&key).map_err(|error| unsuitable(file, error))?;
    Ok(key)
}

/// Loads an encryption key.
///
/// # Errors
/// Unreadable, or not RSA from 2048 bits.
pub fn load_encryption(file: &KeyFile) -> Result<PKey<Private>, KeyFileError> {
    let key = load(file)?;
    public_key::check_rsa(&key).map_err(|error| unsuitable(file, error))?;
    Ok(key)
}

fn unsuitable(file: &KeyFile, error: Error) -> KeyFileError {
    KeyFileError::Unsuitable {
        path: file.path.clone(),
        error,
    }
}

fn load(file: &KeyFile) -> Result<PKey<Private>, KeyFileError> {
    let pem = std::fs::read(&file.path).map_err(|source| KeyFileError::Read {
        path: file.path.clone(),
        source,
    })?;
    // The form with a callback: without it OpenSSL would ask for the passphrase
    // of an encrypted key on the terminal. An empty answer fails like a wrong
    // one.
    let passphrase = file.passphrase.as_ref();
    let key = PKey::private_key_from_pem_callback(&pem, |buffer| {
        let given = passphrase.map_or("", |secret| secret.expose_secret());
        let target = buffer.get_mut(..given.len());
        Ok(target.map_or(0, |target| {
            target.copy_from_slice(given.as_bytes());
            given.len()
        }))
    });
    key.map_err(|_| KeyFileError::Pem {
        path: file.path.clone(),
    })
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::rsa::Rsa;
    use openssl::symm::Cipher;

    use super::*;

    fn file(directory: &Path, name: &str, pem: &[u8], passphrase: Option<&str>) -> KeyFile {
        let path = directory.join(name);
        std::fs::write(&path, pem).unwrap();
        KeyFile {
            path,
            passphrase: passphrase.map(|text| SecretString::from(text.to_owned())),
        }
    }

    #[test]
    fn every_form_openssl_reads_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let rsa = Rsa::generate(2048).unwrap();
        let key = PKey::from_rsa(rsa.clone()).unwrap();
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let ec = EcKey::generate(&group).unwrap();
        let cipher = Cipher::aes_256_cbc();
        let files = [
            file(directory, "pkcs1", &rsa.private_key_to_pem().unwrap(), None),
            file(
                directory,
                "pkcs8",
                &key.private_key_to_pem_pkcs8().unwrap(),
                None,
            ),
            file(directory, "sec1", &ec.private_key_to_pem().unwrap(), None),
            file(
                directory,
                "pbes2",
                &key.private_key_to_pem_pkcs8_passphrase(cipher, b"secret")
                    .unwrap(),
                Some("secret"),
            ),
            file(
                directory,
                "legacy",
                &rsa.private_key_to_pem_passphrase(cipher, b"secret")
                    .unwrap(),
                Some("secret"),
            ),
        ];
        for file in &files {
            load_signing(file).unwrap_or_else(|error| panic!("{error}"));
        }
        assert!(load_encryption(&files[2]).is_err());
    }

    #[test]
    fn a_missing_or_wrong_passphrase_fails_without_asking() {
        let directory = tempfile::tempdir().unwrap();
        let rsa = Rsa::generate(2048).unwrap();
        let pem = rsa
            .private_key_to_pem_passphrase(Cipher::aes_256_cbc(), b"secret")
            .unwrap();
        for passphrase in [None, Some("wrong"), Some("")] {
            let file = file(directory.path(), "key", &pem, passphrase);
            assert!(matches!(load_signing(&file), Err(KeyFileError::Pem { .. })));
        }
    }

    #[test]
    fn keys_that_nodes_may_not_use_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let short = Rsa::generate(1024).unwrap().private_key_to_pem().unwrap();
        let file = file(directory.path(), "short", &short, None);
        let error = load_signing(&file).unwrap_err().to_string();
        assert!(error.contains("2048"), "{error}");
    }

    #[test]
    fn a_passphrase_file_may_end_with_a_newline() {
        let directory = tempfile::tempdir().unwrap();
        let rsa = Rsa::generate(2048).unwrap();
        let pem = rsa
            .private_key_to_pem_passphrase(Cipher::aes_256_cbc(), b"secret")
            .unwrap();
        for name in ["idp9", "idp9_master"] {
            std::fs::write(directory.path().join(name), &pem).unwrap();
            std::fs::write(
                directory.path().join(format!("{name}_passphrase")),
                "secret\n",
            )
            .unwrap();
        }
        let path = Some(directory.path().to_owned());
        let directories = BehindProxyKeys {
            signing: path.clone(),
            signing_master: path.clone(),
            encryption: path,
        };
        load_behind_proxy(&directories, "idp9").unwrap_or_else(|error| panic!("{error}"));
        assert!(load_behind_proxy(&directories, "idp8").is_err());
        assert!(load_behind_proxy(&directories, "../idp9").is_err());
    }
}
