//! What all calls to foreign HTTP servers have in common: those of client
//! applications, crypto services and contracts. Their servers were made for the
//! client of the replaced system and rely on its defaults: it follows up to 20
//! redirects as browsers do, names itself, accepts compressed answers, and
//! reads text in any charset.

mod guard;

use std::borrow::Cow;
use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;

use encoding_rs::{Encoding, UTF_8};
use openssl::x509::X509;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Url};

use crate::config::{Config, Denied, Networks};

const USER_AGENT: &str = concat!("erawan/", env!("CARGO_PKG_VERSION"));

/// A client with these defaults. It calls no network that `OUTBOUND_*` denies.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client,
    networks: Arc<Networks>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    #[error("NODE_EXTRA_CA_CERTS={path}: {reason}")]
    Authorities { path: PathBuf, reason: String },
    #[error("{}", with_causes(.0))]
    Tls(reqwest::Error),
}

impl HttpClient {
    /// With the settings of this node and the time limits of its owner.
    /// # Errors
    /// The certificates of authorities cannot be used.
    pub fn new(
        config: &Config,
        limits: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, HttpClientError> {
        let networks = config.outbound.networks.clone();
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(guard::redirects(networks.clone()))
            .dns_resolver(guard::Resolver::new(networks.clone()))
            .referer(false)
            .no_proxy()
            .gzip(true)
            .deflate(true)
            .brotli(true)
            .tls_certs_merge(further_authorities(config)?)
            .tls_danger_accept_invalid_certs(!config.environment.verifies_certificates());
        let client = limits(builder).build().map_err(HttpClientError::Tls)?;
        Ok(Self { client, networks })
    }

    /// Begins a GET.
    /// # Errors
    /// The URL names an address that is denied. A name is resolved later.
    pub fn get(&self, url: Url) -> Result<RequestBuilder, Denied> {
        guard::check(&self.networks, &url)?;
        Ok(self.client.get(url))
    }

    /// Begins a POST.
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post(&self, url: Url) -> Result<RequestBuilder, Denied> {
        guard::check(&self.networks, &url)?;
        Ok(self.client.post(url))
    }
}

/// The certificates of `NODE_EXTRA_CA_CERTS`, which count beside those of the
/// system.
fn further_authorities(config: &Config) -> Result<Vec<Certificate>, HttpClientError> {
    let Some(path) = &config.outbound.extra_authorities else {
        return Ok(Vec::new());
    };
    let wrong = |reason: String| HttpClientError::Authorities {
        path: path.clone(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let read = X509::stack_from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
    if read.is_empty() {
        return Err(wrong("no certificate (PEM)".to_owned()));
    }
    let certificates = read.iter().map(|certificate| {
        let der = certificate
            .to_der()
            .map_err(|error| wrong(error.to_string()))?;
        Certificate::from_der(&der).map_err(HttpClientError::Tls)
    });
    certificates.collect()
}

/// Whether a body arrived completely but does not match its `Content-Encoding`.
pub fn cannot_be_unpacked(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        // The connection broke.
        if error.is::<hyper::Error>() {
            return false;
        }
        cause = error.source();
    }
    error.is_decode()
}

/// A body as UTF-8, from the charset that its headers name. Without one it
/// counts as UTF-8; wrong bytes are replaced, as in the replaced system.
pub fn text(headers: &HeaderMap, body: Vec<u8>) -> Vec<u8> {
    let encoding = charset(headers).unwrap_or(UTF_8);
    match encoding.decode(&body) {
        // Nothing to change, as for most bodies and the large ones.
        (Cow::Borrowed(text), _, _) if text.len() == body.len() => body,
        (text, _, _) => text.into_owned().into_bytes(),
    }
}

fn charset(headers: &HeaderMap) -> Option<&'static Encoding> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let mut members = content_type.split(';').skip(1);
    let label = members.find_map(|member| {
        let (name, value) = member.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"'))
    })?;
    Encoding::for_label(label.as_bytes())
}

/// Host and port of a URL.
pub fn destination(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// An error and its causes; reqwest's own text leaves the causes out.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, body: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        String::from_utf8(text(&headers, body.to_vec())).unwrap()
    }

    #[test]
    fn text_is_read_in_the_charset_it_names() {
        let thai = [0xCA, 0xC7, 0xD1, 0xCA, 0xB4, 0xD5];
        assert_eq!(read("application/json; charset=tis-620", &thai), "สวัสดี");
        assert_eq!(read("text/json;charset=\"Windows-874\"", &thai), "สวัสดี");
        let utf_16 = [b'{', 0, b'}', 0];
        assert_eq!(read("application/json; charset=utf-16le", &utf_16), "{}");
        assert_eq!(read("application/json; CHARSET = latin1", b"\xe9"), "é");
    }

    #[test]
    fn text_without_a_charset_is_utf_8_and_what_is_wrong_in_it_is_replaced() {
        for content_type in ["application/json", "application/json; charset=unheard-of"] {
            assert_eq!(read(content_type, "ชื่อ".as_bytes()), "ชื่อ");
            assert_eq!(read(content_type, b"a\xffb"), "a\u{fffd}b");
        }
        assert_eq!(read("application/json", b"\xef\xbb\xbf{}"), "{}");
        assert_eq!(read("application/json", b""), "");
    }
}
