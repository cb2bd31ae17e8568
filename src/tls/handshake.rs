//! Handshakes that say what was wrong: which certificate, and why.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{self, Ssl, SslContext, SslRef, SslVerifyMode};
use openssl::x509::{X509StoreContextRef, X509VerifyResult};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use super::identity::{NodeNames, title};

/// Why nothing was agreed on with somebody who only looked whether the port is
/// open.
pub const GONE: &str = "the other side closed the connection while TLS was agreed on";

/// How the other side is checked, beyond what the context says.
#[derive(Clone)]
pub(super) enum Check {
    /// A client that needs no certificate.
    Nothing,
    /// The secret of the context proves it; no certificate does.
    Secret,
    /// A server of others: its certificate has its name.
    Host(String),
    /// A process of the node.
    Node(NodeCheck),
}

/// What a process of the node has to prove.
#[derive(Clone)]
pub(super) struct NodeCheck {
    pub node_id: Arc<str>,
    /// Names of certificates that name no node.
    pub accepted: Arc<BTreeSet<String>>,
    /// Of a server. A certificate that names the node needs no host name.
    pub host: Option<String>,
}

/// What was wrong first while a certificate was verified.
#[derive(Clone, Default)]
struct Objection(Arc<Mutex<Option<String>>>);

impl Objection {
    fn raise(&self, reason: String) {
        self.0.lock().get_or_insert(reason);
    }
}

/// Agrees on TLS as a client.
///
/// # Errors
/// Why not, in words.
pub(super) async fn connect<S>(
    context: &SslContext,
    check: Check,
    stream: S,
) -> Result<SslStream<S>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let objection = Objection::default();
    let made = Ssl::new(context).and_then(|mut ssl| {
        prepare(&mut ssl, &check, SslVerifyMode::PEER, &objection)?;
        SslStream::new(ssl, stream)
    });
    let mut stream = made.map_err(|error| reasons(&error))?;
    let agreed = Pin::new(&mut stream).connect().await;
    finish(agreed, stream, &objection)
}

/// Agrees on TLS as a server.
///
/// # Errors
/// Why not, in words.
pub(super) async fn accept<S>(
    context: &SslContext,
    check: Check,
    stream: S,
) -> Result<SslStream<S>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let objection = Objection::default();
    let mode = match check {
        Check::Nothing | Check::Secret => SslVerifyMode::NONE,
        Check::Host(_) | Check::Node(_) => {
            SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT
        }
    };
    let made = Ssl::new(context).and_then(|mut ssl| {
        prepare(&mut ssl, &check, mode, &objection)?;
        SslStream::new(ssl, stream)
    });
    let mut stream = made.map_err(|error| reasons(&error))?;
    let agreed = Pin::new(&mut stream).accept().await;
    finish(agreed, stream, &objection)
}

fn finish<S>(
    agreed: Result<(), ssl::Error>,
    stream: SslStream<S>,
    objection: &Objection,
) -> Result<SslStream<S>, String> {
    let Err(error) = agreed else {
        return Ok(stream);
    };
    let raised = objection.0.lock().take();
    Err(
        raised.unwrap_or_else(|| match (error.ssl_error(), error.io_error()) {
            (Some(stack), _) => reasons(stack),
            (None, Some(error)) => format!("the connection broke while TLS was agreed on: {error}"),
            (None, None) => GONE.to_owned(),
        }),
    )
}

fn prepare(
    ssl: &mut SslRef,
    check: &Check,
    mode: SslVerifyMode,
    objection: &Objection,
) -> Result<(), ErrorStack> {
    let host = match check {
        Check::Nothing | Check::Secret => None,
        Check::Host(host) => Some(host),
        Check::Node(node) => node.host.as_ref(),
    };
    if let Some(host) = host {
        expect_host(ssl, host)?;
    }
    let node = match check {
        Check::Node(node) => Some(node.clone()),
        _ => None,
    };
    let objection = objection.clone();
    ssl.set_verify_callback(mode, move |is_valid, verified| {
        let allowed = judge(is_valid, verified, node.as_ref());
        if let Err(reason) = &allowed {
            objection.raise(reason.clone());
        }
        allowed.is_ok()
    });
    Ok(())
}

fn expect_host(ssl: &mut SslRef, host: &str) -> Result<(), ErrorStack> {
    match host.parse() {
        Ok(address) => ssl.param_mut().set_ip(address),
        Err(_) => {
            ssl.set_hostname(host)?;
            ssl.param_mut().set_host(host)
        }
    }
}

/// Decides about one certificate of the other side's chain.
fn judge(
    is_valid: bool,
    verified: &mut X509StoreContextRef,
    node: Option<&NodeCheck>,
) -> Result<(), String> {
    let names = match (node, verified.error_depth(), verified.current_cert()) {
        (Some(_), 0, Some(certificate)) => Some(NodeNames::of(certificate)),
        _ => None,
    };
    if !is_valid {
        let names_node = node.zip(names.as_ref()).is_some_and(|(node, names)| {
            names.nodes.contains(&*node.node_id) && is_about_host(verified.error())
        });
        if names_node {
            verified.set_error(X509VerifyResult::OK);
            return Ok(());
        }
        return Err(objection(verified, verified.error().error_string()));
    }
    let Some((node, names)) = node.zip(names) else {
        return Ok(());
    };
    // The name of a server was compared already.
    let checked = match node.host.is_some() && names.nodes.is_empty() {
        true => Ok(()),
        false => names.check(&node.node_id, &node.accepted),
    };
    checked.map_err(|reason| {
        verified.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
        objection(verified, &reason)
    })
}

fn is_about_host(error: X509VerifyResult) -> bool {
    // Those of OpenSSL's x509_vfy.h; the crate names the first only.
    const HOSTNAME_MISMATCH: i32 = 62;
    const IP_ADDRESS_MISMATCH: i32 = 64;
    matches!(error.as_raw(), HOSTNAME_MISMATCH | IP_ADDRESS_MISMATCH)
}

fn objection(verified: &X509StoreContextRef, reason: &str) -> String {
    let Some(certificate) = verified.current_cert() else {
        return format!("certificate refused: {reason}");
    };
    let names = certificate.subject_alt_names();
    let hosts: Vec<String> = names
        .into_iter()
        .flatten()
        .filter_map(|name| name.dnsname().map(str::to_owned))
        .collect();
    let hosts = match hosts.is_empty() {
        true => String::new(),
        false => format!(" for {}", hosts.join(", ")),
    };
    format!(
        "certificate {}{hosts} (issuer {}, until {}) refused: {reason}",
        title(certificate),
        super::identity::shown(certificate.issuer_name()),
        certificate.not_after()
    )
}

/// The reasons of OpenSSL, with what they mean where they say too little.
pub(super) fn reasons(stack: &ErrorStack) -> String {
    let reasons = stack.errors().iter().filter_map(|error| error.reason());
    let mut reasons: Vec<&str> = reasons.collect();
    reasons.dedup();
    explain(&match reasons.is_empty() {
        true => stack.to_string(),
        false => reasons.join(": "),
    })
}

/// Adds to an error of TLS what an operator can do.
pub fn explain(error: &str) -> String {
    const MEANINGS: [(&str, &str); 10] = [
        ("wrong version number", "the other side does not speak TLS"),
        (
            "packet length too long",
            "the other side does not speak TLS",
        ),
        ("http request", "the other side does not speak TLS"),
        (
            "alert unknown ca",
            "the other side does not know the authority of our certificate",
        ),
        (
            "alert certificate expired",
            "the other side finds our certificate expired",
        ),
        (
            "certificate required",
            "the other side wants a certificate of ours",
        ),
        (
            "did not return a certificate",
            "the other side showed no certificate",
        ),
        (
            "alert bad certificate",
            "the other side refuses our certificate",
        ),
        (
            "no suitable signature algorithm",
            "the other side showed no token that is in our CLUSTER_TOKEN_FILE",
        ),
        (
            "alert handshake failure",
            "the other side refuses our certificate (is it of this node?) or our token \
             (CLUSTER_TOKEN_FILE); its log says why",
        ),
    ];
    let known = MEANINGS.iter().find(|(words, _)| error.contains(words));
    match known {
        Some((_, meaning)) => format!("{meaning} ({error})"),
        None => error.to_owned(),
    }
}
