//! TLS on the way to Redis, by OpenSSL: it takes the certificates that
//! `redis-cli` takes. The files are read for each new connection, so that new
//! certificates are used without a restart.

use std::io;
use std::path::Path;
use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use openssl::x509::X509VerifyResult;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use crate::config::{RedisTls, TlsFiles};

/// Shows our certificate, if we have one, and checks the server's.
pub(super) async fn encrypt<S>(stream: S, host: &str, tls: &RedisTls) -> io::Result<SslStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = tls.server_name.as_deref().unwrap_or(host);
    let ssl = connector(tls)?.configure()?.into_ssl(name)?;
    let mut stream = SslStream::new(ssl, stream)?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => {
            let verified = stream.ssl().verify_result();
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                trouble(name, verified, &error),
            ))
        }
    }
}

fn trouble(name: &str, verified: X509VerifyResult, error: &openssl::ssl::Error) -> String {
    if verified == X509VerifyResult::OK {
        return format!("no TLS with {name} (DB_TLS): {error}");
    }
    let why = verified.error_string();
    match why.contains("mismatch") {
        true => format!("its certificate is not that of {name} (DB_TLS_SERVER_NAME): {why}"),
        false => format!("its certificate is not trusted (DB_TLS_CA_FILE): {why}"),
    }
}

fn connector(tls: &RedisTls) -> io::Result<SslConnector> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    match &tls.authority {
        Some(file) => builder
            .set_ca_file(file)
            .map_err(|error| unreadable(file, "DB_TLS_CA_FILE", &error))?,
        None => {
            let known = openssl_probe::probe();
            let folder = known.cert_dir.first().map(|folder| &**folder);
            builder.load_verify_locations(known.cert_file.as_deref(), folder)?;
        }
    }
    if let Some(TlsFiles { key, certificate }) = &tls.own {
        builder
            .set_certificate_chain_file(certificate)
            .map_err(|error| unreadable(certificate, "DB_TLS_CERT_FILE", &error))?;
        let pem = std::fs::read(key)?;
        // Without an answer here, OpenSSL would ask at the terminal.
        let key_of_pem = PKey::private_key_from_pem_callback(&pem, |_| Ok(0));
        key_of_pem
            .and_then(|found| builder.set_private_key(&found))
            .map_err(|error| unreadable(key, "DB_TLS_KEY_FILE", &error))?;
    }
    Ok(builder.build())
}

fn unreadable(file: &Path, variable: &str, error: &ErrorStack) -> io::Error {
    io::Error::other(format!("{} ({variable}): {error}", file.display()))
}
