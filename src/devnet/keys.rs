//! Private keys of a development network's nodes, as PEM files in one folder.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;

/// What a development network's nodes sign with. Encryption is always RSA: the
/// network knows nothing else (spec/messaging-and-crypto.md 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SigningKeys {
    /// RSA 2048, PKCS#1 v1.5 with SHA-256: what most nodes use.
    Rsa,
    /// Ed25519: far cheaper to sign with.
    Ed25519,
}

impl SigningKeys {
    /// Algorithm name on the ledger.
    pub fn algorithm(self) -> &'static str {
        match self {
            SigningKeys::Rsa => "RSASSA_PKCS1_V1_5_SHA_256",
            SigningKeys::Ed25519 => "Ed25519",
        }
    }

    /// Name of their type in the API.
    pub fn kind(self) -> &'static str {
        match self {
            SigningKeys::Rsa => "RSA",
            SigningKeys::Ed25519 => "Ed25519",
        }
    }

    fn generate(self) -> Result<PKey<Private>, ErrorStack> {
        match self {
            SigningKeys::Rsa => PKey::from_rsa(Rsa::generate(2048)?),
            SigningKeys::Ed25519 => PKey::generate_ed25519(),
        }
    }
}

/// The three key files of a node, and their public halves as PEM text.
#[derive(Debug, Clone)]
pub struct GeneratedKeys {
    /// Signs transactions, messages and data.
    pub signing: PathBuf,
    /// Signs `UpdateNode`.
    pub master: PathBuf,
    /// Unwraps message keys.
    pub encryption: PathBuf,
}

impl GeneratedKeys {
    /// Where a node's keys are.
    pub fn at(directory: &Path, node_id: &str) -> Self {
        let file = |purpose: &str| directory.join(format!("{node_id}.{purpose}.pem"));
        Self {
            signing: file("signing"),
            master: file("master"),
            encryption: file("encryption"),
        }
    }

    /// Where a proxy finds the keys of a node behind it.
    pub fn behind_proxy(directory: &Path, node_id: &str) -> Self {
        let [signing, master, encryption] = Self::directories_behind_proxy(directory);
        Self {
            signing: signing.join(node_id),
            master: master.join(format!("{node_id}_master")),
            encryption: encryption.join(node_id),
        }
    }

    /// The folders of [`behind_proxy`](Self::behind_proxy): signing, master, encryption.
    pub fn directories_behind_proxy(directory: &Path) -> [PathBuf; 3] {
        let behind = directory.join("behind_proxy");
        ["signing", "master", "encryption"].map(|purpose| behind.join(purpose))
    }

    /// Makes the files that do not exist yet, readable by their owner only.
    ///
    /// # Errors
    /// When a file cannot be written or a key cannot be made.
    pub fn ensure(&self, signing: SigningKeys) -> io::Result<()> {
        write_key(&self.signing, signing)?;
        write_key(&self.master, signing)?;
        write_key(&self.encryption, SigningKeys::Rsa)
    }

    /// Reads a private key.
    ///
    /// # Errors
    /// When the file cannot be read or is no PEM key.
    pub fn read(path: &Path) -> io::Result<PKey<Private>> {
        PKey::private_key_from_pem(&fs::read(path)?).map_err(io::Error::other)
    }

    /// The public half of a key file, as PEM text.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn public_pem(path: &Path) -> io::Result<String> {
        let pem = Self::read(path)?
            .public_key_to_pem()
            .map_err(io::Error::other)?;
        String::from_utf8(pem).map_err(io::Error::other)
    }
}

fn write_key(path: &Path, kind: SigningKeys) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let pem = kind
        .generate()
        .and_then(|key| key.private_key_to_pem_pkcs8())
        .map_err(io::Error::other)?;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::Write::write_all(&mut file, &pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let keys = GeneratedKeys::at(directory.path(), "rp1");
        keys.ensure(SigningKeys::Ed25519).unwrap();
        let first = GeneratedKeys::public_pem(&keys.signing).unwrap();
        keys.ensure(SigningKeys::Ed25519).unwrap();
        assert_eq!(first, GeneratedKeys::public_pem(&keys.signing).unwrap());
        assert!(GeneratedKeys::read(&keys.encryption).unwrap().rsa().is_ok());
    }
}
