//! TLS of the gRPC link (spec/process-model-and-config.md 4): both sides
//! present a certificate. The master does not insist on the worker's.

use std::fmt;
use std::fs;
use std::io;

use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use crate::config::GrpcTls;

/// Certificates in PEM.
#[derive(Clone)]
pub struct Tls {
    /// Certificate of the authority that signed the other side's.
    pub root: Vec<u8>,
    /// Our certificate chain.
    pub certificate: Vec<u8>,
    /// Our private key.
    pub key: Vec<u8>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls { .. }")
    }
}

impl Tls {
    /// The certificates of the gRPC links.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(files: Option<&GrpcTls>) -> io::Result<Option<Self>> {
        let Some(files) = files else {
            return Ok(None);
        };
        Ok(Some(Self {
            root: fs::read(&files.root)?,
            certificate: fs::read(&files.own.certificate)?,
            key: fs::read(&files.own.key)?,
        }))
    }

    pub(crate) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(Identity::from_pem(&self.certificate, &self.key))
            .client_ca_root(Certificate::from_pem(&self.root))
            .client_auth_optional(true)
    }

    /// `host` is the name the master's certificate must have.
    pub(crate) fn client(&self, host: &str) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .domain_name(host)
            .ca_certificate(Certificate::from_pem(&self.root))
            .identity(Identity::from_pem(&self.certificate, &self.key))
    }
}
