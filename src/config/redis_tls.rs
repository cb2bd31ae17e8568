//! `DB_TLS*`: certificates on the way to Redis.

use std::path::PathBuf;

use super::check::{Checker, variable};
use super::summary::Lines;
use super::variables::Database;
use super::{TlsFiles, pem};

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
        if let Err(reason) = pem::certificates(&path)
            && checker.mistakes.len() == before
        {
            let fix = format!("path of the certificate of the authority (PEM): {reason}");
            checker.mistake(name, shown, fix);
        }
        path
    });
    let own = (certificate.1.is_some() || key.1.is_some()).then(|| checker.tls(key, certificate));
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
