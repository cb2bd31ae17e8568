//! Calls a node's API: spreads calls over its processes as a proxy would, and
//! repeats them where that is safe.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const RETRY_DELAY: Duration = Duration::from_millis(100);
const RETRY_PATIENCE: Duration = Duration::from_secs(60);
const DUPLICATE_REFERENCE: u64 = 20045;
const NO_IDP: u64 = 20005;

/// Counts of failed calls. Each was tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// The connection was refused.
    pub refused: u64,
    /// Answered 503.
    pub later: u64,
    /// Answered 500, or not at all.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counting {
    refused: AtomicU64,
    later: AtomicU64,
    failed: AtomicU64,
}

impl Counting {
    fn note(&self, call: &Result<Response, reqwest::Error>) {
        let counter = match call {
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => &self.later,
            Ok(answer) if is_trouble(answer) => &self.failed,
            Ok(_) => return,
            Err(error) if error.is_connect() => &self.refused,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client of one node.
#[derive(Debug, Clone)]
pub struct ApiClient {
    http: Client,
    urls: Arc<Vec<String>>,
    /// Sent with every call, for proxies; other nodes ignore it.
    node_id: Option<String>,
    next: Arc<AtomicUsize>,
    counting: Arc<Counting>,
}

impl ApiClient {
    /// A client of the node whose API processes listen on these base URLs.
    ///
    /// # Errors
    /// Without a URL, or when the HTTP client cannot be made.
    pub fn new(urls: Vec<String>) -> io::Result<Self> {
        if urls.is_empty() {
            return Err(io::Error::other("a node without API processes"));
        }
        let http = Client::builder()
            .timeout(CALL_TIMEOUT)
            .pool_max_idle_per_host(256)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            http,
            urls: Arc::new(urls),
            node_id: None,
            next: Arc::new(AtomicUsize::new(0)),
            counting: Arc::default(),
        })
    }

    /// For this node, which may be behind a proxy.
    pub fn acting(self, node_id: Option<String>) -> Self {
        Self { node_id, ..self }
    }

    fn body(&self, body: &Value) -> Value {
        let mut body = body.clone();
        if let Some(node_id) = &self.node_id {
            body["node_id"] = node_id.as_str().into();
        }
        body
    }

    pub fn counts(&self) -> CallCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CallCounts {
            refused: read(&self.counting.refused),
            later: read(&self.counting.later),
            failed: read(&self.counting.failed),
        }
    }

    fn url(&self, path: &str) -> String {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.urls.len();
        format!("{}{path}", self.urls[index])
    }

    /// Waits until every process answers `/info` with a role and takes POSTs.
    ///
    /// # Errors
    /// When one is not ready in time.
    pub async fn wait_until_ready(&self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        for base in self.urls.iter() {
            while !self.is_ready(base).await {
                if Instant::now() > deadline {
                    return Err(io::Error::other(format!("{base} did not become ready")));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Whether the readiness gate is open, by a POST that changes nothing.
    async fn is_ready(&self, base: &str) -> bool {
        let probe = self
            .http
            .post(format!("{base}/v6/node/update"))
            .json(&serde_json::json!({}));
        match probe.send().await {
            Ok(response) => response.status() != StatusCode::SERVICE_UNAVAILABLE,
            Err(_) => false,
        }
    }

    /// POSTs until the node accepts the call. Refused connections, 503 and 500
    /// are tried again at the next process, as a proxy would.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Response, String> {
        self.post_telling(path, body, || {}).await
    }

    /// As [`post`](Self::post). Calls `on_lost_answer` before it repeats a call
    /// that may have been accepted, because the repetition can be refused for
    /// that.
    pub async fn post_telling(
        &self,
        path: &str,
        body: &Value,
        on_lost_answer: impl Fn(),
    ) -> Result<Response, String> {
        let deadline = Instant::now() + RETRY_PATIENCE;
        let body = self.body(body);
        loop {
            let attempt = self.http.post(self.url(path)).json(&body).send().await;
            self.counting.note(&attempt);
            let problem = match attempt {
                Ok(answer) if !is_trouble(&answer) => return Ok(answer),
                // A store that answers too late may have accepted the call.
                Ok(answer) => {
                    on_lost_answer();
                    answer.text().await.unwrap_or_default()
                }
                Err(error) => {
                    if !error.is_connect() {
                        on_lost_answer();
                    }
                    error.to_string()
                }
            };
            if Instant::now() > deadline {
                return Err(format!("POST {path}: {problem}"));
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Creates a request. After a lost answer the reference id tells whether
    /// the node had accepted the call. `None`: it had, but the request has
    /// ended since, so the node has forgotten the reference id.
    ///
    /// A node whose ledger is behind does not know an identity yet that another
    /// node was told of: it is asked again.
    pub async fn create_request(
        &self,
        path: &str,
        reference_id: &str,
        body: &Value,
    ) -> Result<Option<String>, String> {
        let request_id = |content: &Value| content["request_id"].as_str().map(str::to_owned);
        let deadline = Instant::now() + RETRY_PATIENCE;
        let (status, content) = loop {
            let answer = self.post(path, body).await?;
            let status = answer.status();
            let content: Value = answer.json().await.map_err(|error| error.to_string())?;
            if content["error"]["code"] != NO_IDP || Instant::now() > deadline {
                break (status, content);
            }
            tokio::time::sleep(RETRY_DELAY).await;
        };
        if status == StatusCode::ACCEPTED {
            return Ok(request_id(&content));
        }
        if content["error"]["code"] == DUPLICATE_REFERENCE {
            let reference = format!("/v6/rp/request_references/{reference_id}");
            let found = self.find_json(&reference).await?;
            return Ok(found.as_ref().and_then(request_id));
        }
        Err(format!("refused with {status}: {content}"))
    }

    /// Creates a request with one call; `None`: told to try later.
    /// # Errors
    /// Anything but 202 and 503.
    pub async fn create_request_once(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Option<String>, String> {
        let body = self.body(body);
        let call = self.http.post(self.url(path)).json(&body).send().await;
        let answer = call.map_err(|error| error.to_string())?;
        match answer.status() {
            StatusCode::SERVICE_UNAVAILABLE => return Ok(None),
            StatusCode::ACCEPTED => {}
            status => return Err(format!("POST {path} answered {status}")),
        }
        let content: Value = answer.json().await.map_err(|error| error.to_string())?;
        Ok(content["request_id"].as_str().map(str::to_owned))
    }

    /// POSTs and demands this status.
    /// # Errors
    /// With the answer, when it is another.
    pub async fn expect(&self, path: &str, body: &Value, status: u16) -> io::Result<()> {
        let answer = self.post(path, body).await.map_err(io::Error::other)?;
        if answer.status().as_u16() == status {
            return Ok(());
        }
        let got = answer.status();
        let text = answer.text().await.unwrap_or_default();
        Err(io::Error::other(format!(
            "POST {path} answered {got}: {text}"
        )))
    }

    /// GETs JSON; refused connections, 503 and 500 are tried again.
    pub async fn get_json(&self, path: &str) -> Result<Value, String> {
        let found = self.find_json(path).await?;
        found.ok_or_else(|| format!("GET {path} answered {}", StatusCode::NOT_FOUND))
    }

    /// The same; `None`: 404.
    async fn find_json(&self, path: &str) -> Result<Option<Value>, String> {
        let deadline = Instant::now() + RETRY_PATIENCE;
        let query: Vec<(&str, &String)> = self.node_id.iter().map(|id| ("node_id", id)).collect();
        loop {
            let call = self.http.get(self.url(path)).query(&query);
            let attempt = call.send().await;
            self.counting.note(&attempt);
            let problem = match attempt {
                Ok(answer) if answer.status().is_success() => {
                    return answer
                        .json()
                        .await
                        .map(Some)
                        .map_err(|error| format!("GET {path}: {error}"));
                }
                Ok(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(None),
                Ok(answer) if !is_trouble(&answer) => {
                    return Err(format!("GET {path} answered {}", answer.status()));
                }
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                return Err(format!("GET {path}: {problem}"));
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}

/// Whether a node reports trouble that may pass.
fn is_trouble(answer: &Response) -> bool {
    matches!(
        answer.status(),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR
    )
}
