//! Fetches the documents of contracts and compares them with the agreed hashes. One
//! job fetches what is on one host, as a delivery to it: the maker of a request
//! chooses the hosts, and a host that never answers must not block the node's own
//! work.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use openssl::sha::Sha256;
use std::time::Duration;
use url::Url;

use crate::config::Config;
use crate::context::Context;
use crate::delivery::dcontract::{Contract, DocumentServer};
use crate::error::{Error, codes};
use crate::http_client::{HttpClient, with_causes};
use crate::job::{Commit, Job, Kind, Run, Spec};

/// Downloads the documents of a contract from one of their hosts.
pub const FETCH: Kind = Kind::new(&Spec::delivery(34, "fetch.contract"));

/// Documents of one host that are fetched at the same time.
const AT_ONCE: usize = 8;

/// Most bytes of one document, after decompression. They are hashed as they
/// arrive, not kept.
const LARGEST_DOCUMENT: u64 = 100 * 1024 * 1024;

/// Why a contract is refused. It is logged, so it names the host only: the
/// foreign URL may let its readers fetch the document.
#[derive(Debug, thiserror::Error)]
enum DocumentError {
    /// No answer, or the answer broke off.
    #[error("{0}")]
    Unreachable(String),
    /// The answer has another status than 200.
    #[error("status {0}")]
    Status(u16),
    /// The document differs from the agreed one.
    #[error("a document has SHA-256 {0}")]
    Hash(String),
    #[error("a document is larger than {LARGEST_DOCUMENT} bytes")]
    TooLarge,
    /// All documents of a host together took longer than `DCONTRACT_FETCH_TIMEOUT`.
    #[error("not read in time")]
    TimedOut,
}

impl DocumentError {
    /// Whether the host itself failed. Its other deliveries then have less
    /// credit until one succeeds.
    fn is_of_host(&self) -> bool {
        matches!(
            self,
            DocumentError::Unreachable(_) | DocumentError::TimedOut
        )
    }
}

/// Shared by all jobs of a process.
#[derive(Debug)]
pub struct ContractClient {
    http: HttpClient,
    /// Time for all documents of one host.
    limit: Duration,
}

impl ContractClient {
    /// Uses the settings of this node.
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let http = HttpClient::new(config, |client| client).map_err(|error| {
            let message = format!("HTTP client for contracts: {error}");
            Error::with_message(codes::UNKNOWN_ERROR, message)
        })?;
        Ok(Self {
            http,
            limit: config.dcontract.fetch_timeout,
        })
    }

    async fn verify(&self, place: &DocumentServer) -> Result<(), DocumentError> {
        let documents = stream::iter(place.urls.clone())
            .map(|url| self.verify_document(url))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>();
        let verified = tokio::time::timeout(self.limit, documents).await;
        verified.unwrap_or(Err(DocumentError::TimedOut))
    }

    async fn verify_document(&self, url: Url) -> Result<(), DocumentError> {
        let unreachable =
            |error: reqwest::Error| DocumentError::Unreachable(with_causes(&error.without_url()));
        let request = self.http.get(url.clone());
        let request = request.map_err(|denied| DocumentError::Unreachable(denied.to_string()))?;
        let answer = request.send().await;
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(DocumentError::Status(status));
        }
        let mut hasher = Sha256::new();
        let mut length = 0;
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            length += chunk.len() as u64;
            if length > LARGEST_DOCUMENT {
                return Err(DocumentError::TooLarge);
            }
            hasher.update(&chunk);
        }
        let found = hex::encode(hasher.finish());
        let mut segments = url.path_segments().into_iter().flatten();
        let agreed = segments.next_back().map(str::to_lowercase);
        match agreed.as_deref() == Some(found.as_str()) {
            true => Ok(()),
            false => Err(DocumentError::Hash(found)),
        }
    }
}

/// Handler of `fetch.contract`. A document is fetched once: the node itself
/// answers a failure, as the replaced system does.
/// # Errors
/// Those of the store, which holds the request, and those of the payload.
pub async fn run_fetch(
    context: &Context,
    client: &ContractClient,
    job: &Job,
) -> Result<Run, Error> {
    let contract: Contract = job.payload()?;
    let Some(places) = contract.places(context).await? else {
        return Ok(Run::Commit(Commit::nothing()));
    };
    let refusal = match places.get(contract.verified) {
        Some(place) => client.verify(place).await.err().map(|why| (place, why)),
        None => None,
    };
    let Some((place, why)) = refusal else {
        let contract = Contract {
            verified: contract.verified + 1,
            ..contract
        };
        let next = match places.get(contract.verified) {
            Some(place) => contract.fetch(place),
            None => contract.checked(None),
        };
        let mut commit = Commit::nothing();
        commit.job(next);
        return Ok(Run::Commit(commit));
    };
    let reason = format!("{}: {why}", place.host);
    let mut commit = match why.is_of_host() {
        true => Commit::failed(reason.clone()),
        false => Commit::nothing(),
    };
    commit.job(contract.checked(Some(reason)));
    Ok(Run::Commit(commit))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::delivery::dcontract::places;

    /// The port of a server that sends everybody this answer.
    async fn answering(answer: String) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // The request does not matter, and its sender may have gone.
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    async fn refusal(client: &ContractClient, url: &str) -> DocumentError {
        let places = places(url).unwrap();
        client.verify(&places[0]).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_refusal_names_nothing_of_the_url() {
        let client = ContractClient::new(&Config::for_test("idp1")).unwrap();
        let end = "\r\nConnection: close\r\nContent-Length: ";
        let missing = format!("HTTP/1.1 404 Not Found{end}0\r\n\r\n");
        let another = format!("HTTP/1.1 200 OK{end}1\r\n\r\na");
        let broken = format!("HTTP/1.1 200 OK{end}9\r\n\r\na");
        let silent = String::new();
        for (answer, is_of_host) in [
            (missing, false),
            (another, false),
            (broken, true),
            (silent, true),
        ] {
            let port = answering(answer).await;
            let url = format!("http://user:secret@127.0.0.1:{port}/secret?token=secret");
            let refusal = refusal(&client, &url).await;
            let shown = format!("{refusal} {refusal:?}");
            assert!(!shown.contains("secret"), "{shown}");
            assert_eq!(refusal.is_of_host(), is_of_host, "{shown}");
        }
    }

    #[tokio::test]
    async fn a_document_that_does_not_come_in_time_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hash", listener.local_addr().unwrap());
        let mut config = Config::for_test("idp1");
        config.dcontract.fetch_timeout = Duration::from_millis(50);
        let client = ContractClient::new(&config).unwrap();
        assert!(matches!(
            refusal(&client, &url).await,
            DocumentError::TimedOut
        ));
    }
}
