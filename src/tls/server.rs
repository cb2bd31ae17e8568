//! TLS of an HTTPS listener.

use std::io;

use openssl::ssl::SslContext;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use super::certificates::Certificates;
use super::context;
use super::handshake::{self, Check};
use crate::config::TlsFiles;
use crate::reread::Reread;

/// The certificate of a listener, read again when its files change.
pub struct ServerTls {
    context: Reread<SslContext>,
}

impl ServerTls {
    /// With the certificate chain and key in these files.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should.
    pub fn read(files: &TlsFiles) -> io::Result<Self> {
        let watched = vec![files.certificate.clone(), files.key.clone()];
        let files = files.clone();
        let read = move || {
            let own = Certificates::of_server(&files)?;
            context::of_listener(&own).map_err(|error| {
                let reason = handshake::reasons(&error);
                io::Error::other(format!("{}: {reason}", files.certificate.display()))
            })
        };
        Ok(Self {
            context: Reread::open(watched, read)?,
        })
    }

    /// Agrees on TLS with a client.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn accept<S>(&self, stream: S) -> Result<SslStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        handshake::accept(&self.context.now(), Check::Nothing, stream).await
    }
}
