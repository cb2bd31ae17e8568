//! Contracts: documents that a request's text refers to by URL and SHA-256
//! (spec/flows.md 3.1, step 4).

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use openssl::sha::Sha256;
use url::Url;

use crate::config::Config;
use crate::delivery::callback::{destination, with_causes};
use crate::mq::message::ConsentRequest;

/// What the node answers the RP when a document cannot be verified.
pub const ERROR_CODE: i64 = 31000;

/// Documents downloaded at the same time.
const DOWNLOADS_AT_ONCE: usize = 8;

/// Most bytes read of one document. They are hashed as they come, not kept.
const LARGEST_DOCUMENT: u64 = 100 * 1024 * 1024;

/// Why a contract is not accepted. It goes into the log, so it names host and
/// port only: the URL is somebody else's, and may let whoever reads it fetch the
/// document.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No line of the text is a URL.
    #[error("the text has no URL")]
    NoUrl,
    /// A line that begins like a URL but is not one.
    #[error("a line of the text is no URL: {0}")]
    NotAUrl(url::ParseError),
    /// Not answered, or the answer broke off.
    #[error("{host}: {reason}")]
    Unreachable {
        /// Of the document, with port.
        host: String,
        /// What failed.
        reason: String,
    },
    /// Answered with another status than 200.
    #[error("{host} answered {status}")]
    Status {
        /// Of the document, with port.
        host: String,
        /// Of the answer.
        status: u16,
    },
    /// The document is not the one that was agreed.
    #[error("the document of {host} has SHA-256 {found}")]
    Hash {
        /// Of the document, with port.
        host: String,
        /// Hex.
        found: String,
    },
    /// Too large.
    #[error("the document of {0} is larger than {LARGEST_DOCUMENT} bytes")]
    TooLarge(String),
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
        .map(|line| Url::parse(line).map_err(Refusal::NotAUrl))
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
    let host = destination(&url);
    let unreachable = |error: reqwest::Error| Refusal::Unreachable {
        host: host.clone(),
        reason: with_causes(&error.without_url()),
    };
    let answer = client.get(url.clone()).send().await;
    let mut answer = answer.map_err(unreachable)?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(Refusal::Status { host, status });
    }
    let mut hasher = Sha256::new();
    let mut length = 0;
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        length += chunk.len() as u64;
        if length > LARGEST_DOCUMENT {
            return Err(Refusal::TooLarge(host));
        }
        hasher.update(&chunk);
    }
    let found = hex::encode(hasher.finish());
    let expected = url
        .path_segments()
        .and_then(|mut segments| segments.next_back());
    if expected.map(str::to_lowercase).as_deref() != Some(found.as_str()) {
        return Err(Refusal::Hash { host, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// The port of a server that gives everybody this answer.
    async fn answering(answer: String) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // Whatever was asked; who asks may have gone.
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn a_refusal_names_the_host_and_nothing_else_of_the_url() {
        let config = Config::for_test("idp1");
        let end = "\r\nConnection: close\r\nContent-Length: ";
        let missing = format!("HTTP/1.1 404 Not Found{end}0\r\n\r\n");
        let another = format!("HTTP/1.1 200 OK{end}1\r\n\r\na");
        let broken = format!("HTTP/1.1 200 OK{end}9\r\n\r\na");
        let silent = String::new();
        for answer in [missing, another, broken, silent] {
            let host = format!("127.0.0.1:{}", answering(answer).await);
            let url = format!("http://user:secret@{host}/secret?token=secret");
            let refusal = check(&config, &url).await.unwrap_err();
            let shown = format!("{refusal} {refusal:?}");
            assert!(shown.contains(&host), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
        let refusal = check(&config, "http://[secret/secret").await.unwrap_err();
        let shown = format!("{refusal} {refusal:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
