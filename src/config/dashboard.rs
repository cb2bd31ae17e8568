//! The dashboard and the API for scripts beside it.

use std::path::PathBuf;

use super::TlsFiles;
use super::check::{Checker, variable};
use super::variables::Board;

/// `DASHBOARD_*`.
#[derive(Debug, Clone)]
pub struct DashboardConfig {
    /// `DASHBOARD_PORT`
    pub port: u16,
    /// `DASHBOARD_TOKENS_FILE`: who may see and decide. Without it the port
    /// listens on loopback only, for viewers.
    pub tokens: Option<PathBuf>,
    /// `DASHBOARD_LOOPBACK_OPERATOR`: without tokens, everybody on this machine
    /// may decide, under this name.
    pub loopback_operator: Option<String>,
    /// `DASHBOARD_HTTPS`
    pub https: Option<TlsFiles>,
}

/// `None` unless there is a port.
pub(super) fn dashboard(board: &Board, checker: &mut Checker) -> Option<DashboardConfig> {
    let (name, port) = variable!("DASHBOARD_PORT", board.dashboard_port);
    let port = port?;
    let port = checker.port((name, Some(port)), 0);
    let tokens = variable!("DASHBOARD_TOKENS_FILE", board.dashboard_tokens_file);
    let tokens = tokens
        .1
        .is_some()
        .then(|| checker.file(tokens, "the tokens (lines of name:role:token)"));
    let (_, loopback_operator) = variable!(
        "DASHBOARD_LOOPBACK_OPERATOR",
        board.dashboard_loopback_operator
    );
    if tokens.is_some() && loopback_operator.is_some() {
        checker.warn("DASHBOARD_LOOPBACK_OPERATOR has no effect with DASHBOARD_TOKENS_FILE");
    }
    let https = checker.flag(variable!("DASHBOARD_HTTPS", board.dashboard_https), false);
    let https = https.then(|| {
        checker.tls(
            variable!("DASHBOARD_HTTPS_KEY_PATH", board.dashboard_https_key_path),
            variable!("DASHBOARD_HTTPS_CERT_PATH", board.dashboard_https_cert_path),
        )
    });
    if tokens.is_some() && https.is_none() {
        checker.warn(
            "DASHBOARD_TOKENS_FILE without DASHBOARD_HTTPS: tokens travel unencrypted, so keep \
             the port inside a network that you trust or behind a proxy with TLS",
        );
    }
    Some(DashboardConfig {
        port,
        tokens,
        loopback_operator,
        https,
    })
}
