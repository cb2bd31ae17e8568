//! `DB_TLS*`: certificates on the way to Redis.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use super::TlsFiles;
use super::check::{Checker, Variable, variable};
use super::summary::Lines;
use super::variables::Database;

/// Files and names for TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// `DB_TLS_CA_FILE`: who signed the server's certificate; else whom the
    /// machine trusts.
    pub authority: Option<PathBuf>,
    /// `DB_TLS_CERT_FILE` and `DB_TLS_KEY_FILE`: shown to the server.
    pub own: Option<TlsFiles>,
    /// `DB_TLS_SERVER_NAME`: the name in the server's certificate, where it is
    /// not that of its address.
    pub server_name: Option<String>,
}

pub(super) fn tls(database: &Database, is_on: bool, checker: &mut Checker) -> Option<RedisTls> {
    let authority = variable!("DB_TLS_CA_FILE", database.db_tls_ca_file);
    let certificate = variable!("DB_TLS_CERT_FILE", database.db_tls_cert_file);
    let key = variable!("DB_TLS_KEY_FILE", database.db_tls_key_file);
    let server_name = variable!("DB_TLS_SERVER_NAME", database.db_tls_server_name);
    if !is_on {
        for (name, value) in [authority, certificate, key, server_name] {
            if value.is_some() {
                checker.warn(format!(
                    "{name} has no effect without DB_TLS=true or a DB_URL with rediss://"
                ));
            }
        }
        return None;
    }
    let authority = authority.1.is_some().then(|| {
        let (name, shown) = authority.clone();
        let before = checker.mistakes.len();
        let path = checker.file(authority, "the certificate of the authority (PEM)");
        if let Err(problem) = certificates(&path)
            && checker.mistakes.len() == before
        {
            checker.mistake(name, shown, problem);
        }
        path
    });
    let own = (certificate.1.is_some() || key.1.is_some()).then(|| {
        let (certificate_name, key_name) = (certificate.clone(), key.clone());
        let before = checker.mistakes.len();
        let files = checker.tls(key, certificate);
        if checker.mistakes.len() == before {
            pair(certificate_name, key_name, &files, checker);
        }
        files
    });
    let server_name = server_name
        .1
        .is_some()
        .then(|| checker.host(server_name, ""));
    Some(RedisTls {
        authority,
        own,
        server_name,
    })
}

/// Notes a file that holds something else, and a key of another certificate.
fn pair(certificate: Variable, key: Variable, files: &TlsFiles, checker: &mut Checker) {
    let chain = certificates(&files.certificate);
    let own = private_key(&files.key);
    match (chain, own) {
        (Ok(chain), Ok(own)) => {
            let public = chain.first().map(|first| first.public_key());
            if !public.is_some_and(|public| public.is_ok_and(|public| public.public_eq(&own))) {
                checker.mistake(key.0, key.1, "the private key of DB_TLS_CERT_FILE");
            }
        }
        (chain, own) => {
            if let Err(problem) = chain {
                checker.mistake(certificate.0, certificate.1, problem);
            }
            if let Err(problem) = own {
                checker.mistake(key.0, key.1, problem);
            }
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<X509>, String> {
    let wanted = "a file with a certificate (PEM)";
    let pem = fs::read(path).map_err(|error| format!("{wanted}: {error}"))?;
    match X509::stack_from_pem(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{wanted}, which it has not")),
        Err(error) => Err(format!("{wanted}: {error}")),
    }
}

fn private_key(path: &Path) -> Result<PKey<Private>, String> {
    let wanted = "a file with a private key (PEM) that is not encrypted";
    let pem = fs::read(path).map_err(|error| format!("{wanted}: {error}"))?;
    // Without an answer here, OpenSSL would ask at the terminal.
    let asked = PKey::private_key_from_pem_callback(&pem, |_| Ok(0));
    asked.map_err(|error| format!("{wanted}: {error}"))
}

impl RedisTls {
    pub(super) fn summarise(&self, lines: &mut Lines) {
        if let Some(authority) = &self.authority {
            lines.put("DB_TLS_CA_FILE", authority.display());
        }
        if let Some(own) = &self.own {
            lines.tls("DB_TLS_KEY_FILE", "DB_TLS_CERT_FILE", own);
        }
        if let Some(name) = &self.server_name {
            lines.put("DB_TLS_SERVER_NAME", name);
        }
    }
}
