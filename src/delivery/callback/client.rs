//! POSTs to client applications. Calls are counted per destination, so that a
//! slow or dead receiver occupies its own places only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Response, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::delivery::failing::Failing;
use crate::error::{Error, codes};
use crate::http_client::{self, HttpClient, destination, with_causes};
use crate::job::trace;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Largest answer that is read: 25 MiB (spec/http-api.md 4.1).
const ANSWER_LIMIT: usize = 25 * 1024 * 1024;
/// Memory for all answers that are being read and kept.
const ANSWER_MEMORY: usize = 8 * ANSWER_LIMIT;
/// Shorter than the 5 s after which common servers close an idle connection, so
/// that a call seldom meets a closing one.
const IDLE_TIME: Duration = Duration::from_secs(4);
/// Most remembered destinations before idle ones are forgotten.
const MANY_DESTINATIONS: usize = 1024;

/// Limits of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackLimits {
    /// Time for one try, from connecting to the end of the answer. The replaced
    /// system waits for ever (spec/process-model-and-config.md 7.1, F36).
    pub try_time: Duration,
    /// Most concurrent calls to one host and port.
    pub concurrent: usize,
    /// How long a call waits for a place before it is tried later.
    pub waiting_time: Duration,
}

impl Default for CallbackLimits {
    fn default() -> Self {
        Self {
            try_time: Duration::from_secs(60),
            concurrent: 64,
            waiting_time: Duration::from_secs(2),
        }
    }
}

/// A receiver's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallbackResponse {
    pub status: u16,
    /// Empty if it was not asked for.
    pub body: ResponseBody,
}

/// The body of a [`CallbackResponse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResponseBody {
    /// Read to its end.
    Whole(Vec<u8>),
    /// Above 25 MiB.
    TooLarge,
}

/// Why there is no [`CallbackResponse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallFailure {
    /// All places of this destination (host and port) are taken and nothing was
    /// sent, or there is no memory for the answer.
    Busy(String),
    /// The URL can never be called.
    Unusable(String),
    /// No answer. The receiver may have got the callback or not.
    Transport(String),
}

/// Shared by all deliveries of a process, which keeps connections open for the
/// next call.
#[derive(Debug)]
pub struct CallbackClient {
    http: HttpClient,
    limits: CallbackLimits,
    places: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Memory for answers.
    memory: Semaphore,
    /// By receiver, as the dispatcher names it.
    pub(super) failing: Failing,
}

impl CallbackClient {
    /// Uses the default limits.
    /// # Errors
    /// TLS cannot be set up, for example without root certificates.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::with_limits(config, CallbackLimits::default())
    }

    /// Uses other limits.
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_limits(config: &Config, limits: CallbackLimits) -> Result<Self, Error> {
        let kept = |client: reqwest::ClientBuilder| {
            client
                .pool_idle_timeout(IDLE_TIME)
                .pool_max_idle_per_host(limits.concurrent)
        };
        let http = HttpClient::new(config, kept).map_err(|error| {
            let message = format!("HTTP client for callbacks: {error}");
            Error::with_message(codes::UNKNOWN_ERROR, message)
        })?;
        Ok(Self {
            http,
            limits,
            places: Mutex::default(),
            memory: Semaphore::new(ANSWER_MEMORY),
            failing: Failing::default(),
        })
    }

    /// POSTs a JSON body. `keep_body`: whether the answer's body is wanted.
    /// Failures name host and port only: a URL may contain credentials, and a
    /// failure is stored, logged and shown to operators.
    pub(super) async fn post(
        &self,
        url: &str,
        id: &str,
        body: String,
        keep_body: bool,
    ) -> Result<CallbackResponse, CallFailure> {
        let url = Url::parse(url)
            .map_err(|error| CallFailure::Unusable(format!("callback URL: {error}")))?;
        let receiver = destination(&url);
        let unusable = |reason: String| CallFailure::Unusable(format!("{receiver}: {reason}"));
        let transport = |error: reqwest::Error| {
            let reason = with_causes(&error.without_url());
            CallFailure::Transport(format!("{receiver}: {reason}"))
        };
        let id = HeaderValue::from_str(id).map_err(|error| unusable(error.to_string()))?;
        let _place = self.place(&receiver).await?;
        let request = self
            .http
            .post(url)
            .map_err(|denied| CallFailure::Transport(format!("{receiver}: {denied}")))?
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(IDEMPOTENCY_KEY, id)
            .body(body);
        let request = match trace::current() {
            Some(trace) => request.header(TRACEPARENT, trace.header()),
            None => request,
        };
        let deadline = tokio::time::Instant::now() + self.limits.try_time;
        let silent = || CallFailure::Transport(format!("{receiver}: no answer in time"));
        let response = tokio::time::timeout_at(deadline, request.send()).await;
        let response = response.map_err(|_| silent())?.map_err(|error| {
            if error.is_builder() {
                unusable(with_causes(&error.without_url()))
            } else {
                transport(error)
            }
        })?;
        let status = response.status().as_u16();
        let reading =
            tokio::time::timeout_at(deadline, read(response, keep_body, &self.memory)).await;
        let body = match reading {
            Ok(Ok(Some(body))) => body,
            // Tried later under the same id.
            Ok(Ok(None)) => return Err(CallFailure::Busy(receiver)),
            // The receiver has answered, so it has the callback.
            _ if !keep_body => ResponseBody::Whole(Vec::new()),
            Ok(Err(error)) => return Err(transport(error)),
            Err(_) => return Err(silent()),
        };
        Ok(CallbackResponse { status, body })
    }

    async fn place(&self, receiver: &str) -> Result<OwnedSemaphorePermit, CallFailure> {
        let places = self.places_of(receiver.to_owned());
        let waiting = tokio::time::timeout(self.limits.waiting_time, places.acquire_owned());
        match waiting.await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed. In any case the call can be tried
            // later.
            Ok(Err(_)) | Err(_) => Err(CallFailure::Busy(receiver.to_owned())),
        }
    }

    fn places_of(&self, destination: String) -> Arc<Semaphore> {
        let mut places = self.places.lock();
        if places.len() >= MANY_DESTINATIONS {
            // A place in use, or a waiting call, holds its semaphore too.
            places.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let new = || Arc::new(Semaphore::new(self.limits.concurrent));
        places.entry(destination).or_insert_with(new).clone()
    }
}

/// The body after decompression. The limit applies to that size, because a
/// small answer may unpack to a huge one. A body that cannot be unpacked counts
/// as one that is not JSON. `None` while other answers use up the memory.
async fn read(
    mut response: Response,
    keep_body: bool,
    memory: &Semaphore,
) -> Result<Option<ResponseBody>, reqwest::Error> {
    let mut taken = Vec::new();
    let mut kept = Vec::new();
    let mut length = 0;
    let headers = response.headers().clone();
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) if http_client::cannot_be_unpacked(&error) => {
                return Ok(Some(ResponseBody::Whole(Vec::new())));
            }
            Err(error) => return Err(error),
        };
        length += chunk.len();
        if length > ANSWER_LIMIT {
            return Ok(Some(ResponseBody::TooLarge));
        }
        if keep_body {
            let Ok(part) = memory.try_acquire_many(chunk.len() as u32) else {
                return Ok(None);
            };
            taken.push(part);
            kept.extend_from_slice(&chunk);
        }
    }
    Ok(Some(ResponseBody::Whole(http_client::text(&headers, kept))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_name_the_receiver_and_none_of_its_secrets() {
        let config = Config::for_test("rp1");
        let client = CallbackClient::new(&config).unwrap();
        let post = async |url: &str| {
            let called = client.post(url, "id", String::new(), false).await;
            match called.unwrap_err() {
                CallFailure::Busy(reason)
                | CallFailure::Unusable(reason)
                | CallFailure::Transport(reason) => reason,
            }
        };
        let refused = post("http://user:secret@127.0.0.1:1/secret?token=secret").await;
        assert!(refused.starts_with("127.0.0.1:1: "), "{refused}");
        for url in ["ftp://user:secret@host/secret", "http://user:secret@"] {
            let unusable = post(url).await;
            assert!(!unusable.contains("secret"), "{unusable}");
        }
        assert!(!refused.contains("secret"), "{refused}");
    }
}
