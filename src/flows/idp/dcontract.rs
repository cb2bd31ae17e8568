//! Contracts: documents that a request's text refers to by URL and SHA-256
//! (spec/flows.md 3.1, step 4).

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use openssl::sha::Sha256;
use url::Url;

use crate::config::Config;
use crate::mq::message::ConsentRequest;

/// What the node answers the RP when a document cannot be verified.
pub const ERROR_CODE: i64 = 31000;

/// Documents downloaded at the same time.
const DOWNLOADS_AT_ONCE: usize = 8;

/// Most bytes read of one document. They are hashed as they come, not kept.
const LARGEST_DOCUMENT: u64 = 100 * 1024 * 1024;

/// Why a contract is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No line of the text is a URL.
    #[error("the text has no URL")]
    NoUrl,
    /// A line that begins like a URL but is not one.
    #[error("{0} is not a URL")]
    NotAUrl(String),
    /// Not answered, or the answer broke off.
    #[error("{url}: {error}")]
    Unreachable {
        /// Of the document.
        url: Url,
        /// What failed.
        error: reqwest::Error,
    },
    /// Answered with another status than 200.
    #[error("{url} answered {status}")]
    Status {
        /// Of the document.
        url: Url,
        /// Of the answer.
        status: u16,
    },
    /// The document is not the one that was agreed.
    #[error("{url} has SHA-256 {found}")]
    Hash {
        /// Of the document.
        url: Url,
        /// Hex.
        found: String,
    },
    /// Too large.
    #[error("{0} is larger than {LARGEST_DOCUMENT} bytes")]
    TooLarge(Url),
    /// All documents together took longer than `DCONTRACT_FETCH_TIMEOUT`.
    #[error("not read in time")]
    TimedOut,
    /// The HTTP client could not be made.
    #[error("no HTTP client: {0}")]
    Client(reqwest::Error),
}

/// Whether the text of this request is to be checked.
pub fn applies(config: &Config, request: &ConsentRequest) -> bool {
    let settings = &config.dcontract;
    settings.validate && request.request_type.as_deref() == Some(settings.request_type.as_str())
}

/// Downloads every document the text refers to and compares its hash with the
/// last segment of its URL.
///
/// # Errors
/// Whatever keeps one of them from being verified.
pub async fn check(config: &Config, request_message: &str) -> Result<(), Refusal> {
    let urls = document_urls(request_message)?;
    let client = client(config).map_err(Refusal::Client)?;
    let checks = stream::iter(urls)
        .map(|url| check_document(&client, url))
        .buffer_unordered(DOWNLOADS_AT_ONCE)
        .try_collect::<()>();
    tokio::time::timeout(config.dcontract.fetch_timeout, checks)
        .await
        .unwrap_or(Err(Refusal::TimedOut))
}

fn document_urls(text: &str) -> Result<Vec<Url>, Refusal> {
    let lines = text.lines();
    let urls = lines.filter(|line| line.starts_with("http://") || line.starts_with("https://"));
    let urls = urls
        .map(|line| Url::parse(line).map_err(|_| Refusal::NotAUrl(line.to_owned())))
        .collect::<Result<Vec<Url>, Refusal>>()?;
    if urls.is_empty() {
        return Err(Refusal::NoUrl);
    }
    Ok(urls)
}

fn client(config: &Config) -> Result<reqwest::Client, reqwest::Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only when another thread has just installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    reqwest::Client::builder()
        .timeout(config.dcontract.fetch_timeout)
        .no_proxy()
        .tls_danger_accept_invalid_certs(!config.environment.verifies_certificates())
        .build()
}

async fn check_document(client: &reqwest::Client, url: Url) -> Result<(), Refusal> {
    let unreachable = |error| Refusal::Unreachable {
        url: url.clone(),
        error,
    };
    let answer = client.get(url.clone()).send().await;
    let mut answer = answer.map_err(unreachable)?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(Refusal::Status { url, status });
    }
    let mut hasher = Sha256::new();
    let mut length = 0;
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        length += chunk.len() as u64;
        if length > LARGEST_DOCUMENT {
            return Err(Refusal::TooLarge(url));
        }
        hasher.update(&chunk);
    }
    let found = hex::encode(hasher.finish());
    let expected = url
        .path_segments()
        .and_then(|mut segments| segments.next_back());
    if expected.map(str::to_lowercase).as_deref() != Some(found.as_str()) {
        return Err(Refusal::Hash { url, found });
    }
    Ok(())
}
