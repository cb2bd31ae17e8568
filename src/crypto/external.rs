//! Private keys in an external crypto service (KMS) behind callback URLs
//! (spec/messaging-and-crypto.md 6).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metrics::{Gauge, gauge, histogram};
use openssl::hash::hash;
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::Url;

use super::signature::SigningAlgorithm;
use super::{Crypto, KeyUse, NO_VERSION, encryption, signature};
use crate::config::{ApiVersion, Config, Runtime};
use crate::error::{Code, Error, codes};
use crate::http_client::{self, HttpClient, HttpClientError, with_causes};
use crate::job::Table;
use crate::labelled::Labelled;
use crate::ledger::types::NodeKey;
use crate::ledger::{Ledger, query};
use crate::store::{State, StoreError};

/// Row of table `CallbackUrl` with the URLs (UTF-8 text in columns `sign_url`,
/// `master_sign_url`, `decrypt_url`).
const ROW: &str = "node";

/// Time for one call.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Most concurrent calls, unless the owner sets another number.
const MOST_CALLS: usize = 32;

/// How long a call waits for its place before its job is tried later.
const PLACE_PATIENCE: Duration = Duration::from_secs(1);

/// Largest answer read, in bytes; a signature needs about 700.
const MAX_ANSWER: usize = 64 * 1024;

/// The text that tests a new URL.
const TEST_TEXT: &[u8] = b"test";

/// The client for calls of a crypto service.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(config: &Config) -> Result<HttpClient, HttpClientError> {
    HttpClient::new(config, |client| client.timeout(REQUEST_TIMEOUT))
}

/// Signs and decrypts through the service's URLs, which it reads at every call.
pub struct ExternalCrypto {
    state: Arc<dyn State>,
    runtime: Arc<Runtime>,
    client: HttpClient,
    under_way: UnderWay,
    /// Limits concurrent calls. A caller occupies a place of the node's own
    /// work, and a hanging service must not occupy all of those.
    places: Semaphore,
    /// Why the last call failed, if it did.
    trouble: RwLock<Option<String>>,
    /// By operation (`sign`, `decrypt`) and status of the answer.
    durations: Labelled<(&'static str, u16)>,
}

/// Calls that have no answer yet.
struct UnderWay {
    count: AtomicU64,
    /// The master adds the jobs that wait for their next call.
    pending: Gauge,
}

impl UnderWay {
    fn begin(&self) -> CallGuard<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.pending.increment(1.0);
        CallGuard(self)
    }
}

/// Counts a call until it is dropped.
struct CallGuard<'a>(&'a UnderWay);

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.pending.decrement(1.0);
    }
}

impl ExternalCrypto {
    /// Calls through `client`, with bodies of the current version in `runtime`.
    pub fn new(state: Arc<dyn State>, runtime: Arc<Runtime>, client: HttpClient) -> Self {
        let pending = gauge!("pending_external_crypto_callbacks_total");
        Self {
            state,
            runtime,
            client,
            under_way: UnderWay {
                count: AtomicU64::new(0),
                pending,
            },
            places: Semaphore::new(MOST_CALLS),
            trouble: RwLock::default(),
            durations: Labelled::new(|(asked, status)| {
                histogram!(
                    "external_crypto_callback_duration_ms",
                    "type" => *asked,
                    "code" => status.to_string(),
                )
            }),
        }
    }

    /// Sets the number of concurrent calls.
    pub fn with_places(self, places: usize) -> Self {
        let places = Semaphore::new(places.max(1));
        Self { places, ..self }
    }

    async fn call(
        &self,
        asked: &'static str,
        url: &str,
        body: &Value,
    ) -> Result<ServiceResponse, Error> {
        let waiting = tokio::time::timeout(PLACE_PATIENCE, self.places.acquire());
        // The semaphore is never closed, so the time has run out.
        let Ok(Ok(_place)) = waiting.await else {
            return Err(Unreachable("too many calls wait for it".to_owned()).into());
        };
        let _call = self.under_way.begin();
        let started = Instant::now();
        let answer = post(&self.client, url, body).await;
        *self.trouble.write() = match &answer {
            Ok(answer) if answer.status == 200 => None,
            Ok(answer) => Some(format!("HTTP status {}", answer.status)),
            Err(Unreachable(reason)) => Some(reason.clone()),
        };
        let answer = answer?;
        let duration = started.elapsed().as_secs_f64() * 1000.0;
        self.durations.record(&(asked, answer.status), duration);
        Ok(answer)
    }

    /// A missing URL will be set; until then jobs wait
    /// (spec/process-model-and-config.md 2, step 15). Messages that come
    /// meanwhile are not rejected for it.
    async fn url(&self, column: &str, unset: Code) -> Result<String, Error> {
        let url = self.state.get(Table::CallbackUrl, ROW, column).await?;
        let url = url.ok_or_else(|| Error::from(unset).temporary())?;
        String::from_utf8(url).map_err(|error| {
            let table = Table::CallbackUrl.name();
            StoreError::Corrupt(format!("{table} {ROW}, column {column}: {error}")).into()
        })
    }
}

#[async_trait]
impl Crypto for ExternalCrypto {
    fn is_local(&self) -> bool {
        false
    }

    fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.read();
        let reason = trouble.as_ref()?;
        Some(format!("the external crypto service failed last: {reason}"))
    }

    fn calls_under_way(&self) -> u64 {
        self.under_way.count.load(Ordering::Relaxed)
    }

    async fn sign(
        &self,
        node_id: &str,
        key_use: KeyUse,
        key: &NodeKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let url = match key_use {
            KeyUse::Signing => {
                self.url("sign_url", codes::EXTERNAL_SIGN_URL_NOT_SET)
                    .await?
            }
            KeyUse::SigningMaster => {
                self.url("master_sign_url", codes::EXTERNAL_SIGN_MASTER_URL_NOT_SET)
                    .await?
            }
        };
        let version = self.runtime.external_crypto_version();
        let body = sign_body(version, node_id, key, message)?;
        self.call("sign", &url, &body).await?.bytes("signature")
    }

    async fn decrypt(
        &self,
        node_id: &str,
        key: &NodeKey,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let url = self
            .url("decrypt_url", codes::EXTERNAL_DECRYPT_URL_NOT_SET)
            .await?;
        let version = self.runtime.external_crypto_version();
        let body = decrypt_body(version, node_id, key, encrypted);
        let answer = self.call("decrypt", &url, &body).await?;
        answer.bytes("decrypted_message")
    }
}

fn sign_body(
    version: ApiVersion,
    node_id: &str,
    key: &NodeKey,
    message: &[u8],
) -> Result<Value, Error> {
    let algorithm_name = key.algorithm.as_str();
    let algorithm =
        SigningAlgorithm::parse(algorithm_name).ok_or(codes::UNSUPPORTED_SIGNING_ALGORITHM)?;
    let digest = match algorithm.hash() {
        Some(algorithm) => hash(algorithm.digest(), message)
            .map(|digest| Some(STANDARD.encode(digest)))
            .map_err(|error| Error::with_message(codes::UNKNOWN_ERROR, error.to_string()))?,
        None => None,
    };
    let hash_name = algorithm.hash().map(signature::HashFunction::as_str);
    let message = STANDARD.encode(message);
    Ok(match version {
        ApiVersion::V6 => json!({
            "node_id": node_id,
            "request_message": message,
            "request_message_hash": digest,
            "hash_algorithm": hash_name,
            "key_algorithm": algorithm.key_type(),
            "signing_algorithm": algorithm_name,
            "key_version": (key.version != NO_VERSION).then_some(key.version),
        }),
        ApiVersion::V4 | ApiVersion::V5 => json!({
            "node_id": node_id,
            "request_message": message,
            "request_message_hash": digest,
            "hash_method": hash_name,
            "key_type": algorithm.key_type(),
            "sign_method": algorithm_name,
        }),
    })
}

fn decrypt_body(version: ApiVersion, node_id: &str, key: &NodeKey, encrypted: &[u8]) -> Value {
    let encrypted = STANDARD.encode(encrypted);
    match version {
        ApiVersion::V6 => json!({
            "node_id": node_id,
            "encrypted_message": encrypted,
            "key_algorithm": "RSA",
            "encryption_algorithm": key.algorithm,
            "key_version": key.version,
        }),
        ApiVersion::V4 | ApiVersion::V5 => json!({
            "node_id": node_id,
            "encrypted_message": encrypted,
            "key_type": "RSA",
        }),
    }
}

/// The service did not answer.
struct Unreachable(String);

impl From<Unreachable> for Error {
    fn from(unreachable: Unreachable) -> Self {
        let text = format!("external crypto service: {}", unreachable.0);
        let error = Error::with_message(codes::UNKNOWN_ERROR, text);
        error.temporary().of_crypto_service()
    }
}

struct ServiceResponse {
    status: u16,
    body: Vec<u8>,
}

impl ServiceResponse {
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Member `name` of a 200 answer, which must be canonical base64.
    fn bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        if self.status != 200 {
            return Err(refused(format!("HTTP status {}", self.status)));
        }
        let body = self
            .json()
            .ok_or_else(|| refused("answer is not JSON".to_owned()))?;
        let text = body[name]
            .as_str()
            .ok_or_else(|| refused(format!("no text in member {name}")))?;
        STANDARD
            .decode(text)
            .map_err(|_| refused(format!("{name} is not base64")))
    }
}

fn refused(reason: String) -> Error {
    Error::with_message(
        codes::UNKNOWN_ERROR,
        format!("external crypto service: {reason}"),
    )
}

async fn post(
    client: &HttpClient,
    url: &str,
    body: &Value,
) -> Result<ServiceResponse, Unreachable> {
    // The URL stays out of the text: it may contain credentials.
    let unreachable = |error: reqwest::Error| Unreachable(with_causes(&error.without_url()));
    let url = Url::parse(url).map_err(|error| Unreachable(format!("its URL: {error}")))?;
    let request = client.post(url);
    let request = request.map_err(|denied| Unreachable(denied.to_string()))?;
    let mut response = request
        .timeout(REQUEST_TIMEOUT)
        .header("accept", "application/json")
        .json(body)
        .send()
        .await
        .map_err(unreachable)?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            // Not JSON of ours, and not worth more memory.
            body.truncate(MAX_ANSWER);
            break;
        }
    }
    let body = http_client::text(&headers, body);
    Ok(ServiceResponse { status, body })
}

/// Tries a `sign_url` or `master_sign_url` before it is stored, with one call
/// whose HTTP status does not matter.
/// # Errors
/// 20008 / 20009 no key on the ledger; 20050 / 20053 unreachable; 20051 / 20054
/// not JSON; 20049 / 20052 wrong signature; temporary when the ledger cannot be
/// reached.
pub async fn test_sign_url(
    client: &HttpClient,
    ledger: &dyn Ledger,
    version: ApiVersion,
    node_id: &str,
    key_use: KeyUse,
    url: &str,
) -> Result<(), Error> {
    let (key, no_key, unreachable, not_json, invalid) = match key_use {
        KeyUse::Signing => (
            query::signing_key(ledger, node_id).await?,
            codes::EXTERNAL_SIGN_TEST_FAILED_NO_PUB_KEY,
            codes::EXTERNAL_SIGN_TEST_FAILED_CONNECTIVITY_ERROR,
            codes::EXTERNAL_SIGN_TEST_FAILED_JSON_PARSING_ERROR,
            codes::EXTERNAL_SIGN_TEST_FAILED_INVALID_SIGNATURE,
        ),
        KeyUse::SigningMaster => (
            query::signing_master_key(ledger, node_id).await?,
            codes::EXTERNAL_MASTER_SIGN_TEST_FAILED_NO_PUB_KEY,
            codes::EXTERNAL_MASTER_SIGN_TEST_FAILED_CONNECTIVITY_ERROR,
            codes::EXTERNAL_MASTER_SIGN_TEST_FAILED_JSON_PARSING_ERROR,
            codes::EXTERNAL_MASTER_SIGN_TEST_FAILED_INVALID_SIGNATURE,
        ),
    };
    let key = key.ok_or(no_key)?;
    let body = sign_body(version, node_id, &key, TEST_TEXT)?;
    let answer = post(client, url, &body).await.map_err(|_| unreachable)?;
    let answer = answer.json().ok_or(not_json)?;
    let signature = answer["signature"]
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or(invalid)?;
    if !signature::verify(&key.public_key, &key.algorithm, TEST_TEXT, &signature) {
        return Err(invalid.into());
    }
    Ok(())
}

/// Tries a `decrypt_url` before it is stored, with one call whose HTTP status
/// does not matter.
/// # Errors
/// 20010 no key on the ledger; 20047 unreachable; 20048 not JSON; 20046 wrong
/// text; temporary when the ledger cannot be reached.
pub async fn test_decrypt_url(
    client: &HttpClient,
    ledger: &dyn Ledger,
    version: ApiVersion,
    node_id: &str,
    url: &str,
) -> Result<(), Error> {
    let key = query::encryption_key(ledger, node_id)
        .await?
        .ok_or(codes::EXTERNAL_DECRYPT_TEST_FAILED_NO_PUB_KEY)?;
    let encrypted = encryption::encrypt(&key.public_key, &key.algorithm, TEST_TEXT)?;
    let body = decrypt_body(version, node_id, &key, &encrypted);
    let answer = post(client, url, &body)
        .await
        .map_err(|_| codes::EXTERNAL_DECRYPT_TEST_FAILED_CONNECTIVITY_ERROR)?;
    let answer = answer
        .json()
        .ok_or(codes::EXTERNAL_DECRYPT_TEST_FAILED_JSON_PARSING_ERROR)?;
    if answer["decrypted_message"].as_str() != Some(STANDARD.encode(TEST_TEXT).as_str()) {
        return Err(codes::EXTERNAL_DECRYPT_TEST_FAILED_MESSAGE_MISMATCH.into());
    }
    Ok(())
}
