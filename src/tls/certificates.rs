//! Certificates and keys of PEM files.

use std::fs;
use std::io;
use std::path::Path;

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use crate::config::{GrpcTls, TlsFiles};

/// What one side of a connection shows, and whom it trusts.
pub struct Certificates {
    /// Our certificate, then those that lead to its authority.
    pub chain: Vec<X509>,
    /// Of our certificate.
    pub key: PKey<Private>,
    /// Authorities that the other side's certificate may come from.
    pub roots: Vec<X509>,
}

impl Certificates {
    /// Those of the gRPC links.
    ///
    /// # Errors
    /// The first file that cannot be used, with its name and the reason.
    pub fn read(files: &GrpcTls) -> io::Result<Self> {
        Ok(Self {
            roots: read_chain(&files.root)?,
            ..Self::of_server(&files.own)?
        })
    }

    /// Those of a listener that asks nobody for a certificate.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of_server(files: &TlsFiles) -> io::Result<Self> {
        let chain = read_chain(&files.certificate)?;
        let key = read_key(&files.key)?;
        let fits = chain[0].public_key().is_ok_and(|own| own.public_eq(&key));
        if !fits {
            let (key, certificate) = (files.key.display(), files.certificate.display());
            let reason = format!("{key} is not the key of the certificate in {certificate}");
            return Err(wrong(reason));
        }
        Ok(Self {
            chain,
            key,
            roots: Vec::new(),
        })
    }

    /// Our own certificate.
    pub fn own(&self) -> &X509 {
        &self.chain[0]
    }
}

/// All certificates of a PEM file: at least one.
///
/// # Errors
/// The file cannot be read, or has none.
pub fn read_chain(path: &Path) -> io::Result<Vec<X509>> {
    let pem = read(path)?;
    let chain = X509::stack_from_pem(&pem).map_err(|error| named(path, &error))?;
    match chain.is_empty() {
        true => Err(wrong(format!("{}: no certificate (PEM)", path.display()))),
        false => Ok(chain),
    }
}

fn read_key(path: &Path) -> io::Result<PKey<Private>> {
    let pem = read(path)?;
    // An empty passphrase, so that OpenSSL asks for none on the terminal.
    PKey::private_key_from_pem_passphrase(&pem, b"").map_err(|_| {
        let path = path.display();
        wrong(format!("{path}: no private key without passphrase (PEM)"))
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn named(path: &Path, error: &openssl::error::ErrorStack) -> io::Error {
    let reasons = error.errors().iter().filter_map(|error| error.reason());
    let reasons: Vec<&str> = reasons.collect();
    let path = path.display();
    wrong(format!(
        "{path}: no certificate (PEM): {}",
        reasons.join(", ")
    ))
}

fn wrong(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
