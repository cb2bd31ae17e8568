//! TLS of the listeners.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

/// A server's TLS with the certificate chain and key in these files.
///
/// # Errors
/// A file that cannot be read or does not hold what it should.
pub(super) fn server_config(files: &TlsFiles) -> io::Result<ServerConfig> {
    let about = |path: &std::path::Path, reason: String| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{}: {reason}", path.display()),
        )
    };
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| about(&files.certificate, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| about(&files.key, error.to_string()))?;
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        })
        .map_err(|error| about(&files.certificate, error.to_string()))
}
