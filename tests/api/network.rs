//! Clients and sockets.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that does not keep connections.
pub fn client() -> Client {
    Client::builder()
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE)
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap()
}

/// An answer with what is compared of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedResponse {
    pub status: u16,
    pub content_type: Option<String>,
    pub content_length: Option<String>,
    pub retry_after: Option<String>,
    pub connection: Option<String>,
    pub allow: Option<String>,
    pub text: String,
}

impl ReceivedResponse {
    /// The body as JSON; null if it is empty.
    pub fn json(&self) -> Value {
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).unwrap_or_else(|_| Value::String(self.text.clone()))
    }

    /// The code of an error answer.
    pub fn error_code(&self) -> Option<u64> {
        self.json()["error"]["code"].as_u64()
    }
}

/// Sends a request and reads the answer.
pub async fn send(request: RequestBuilder) -> ReceivedResponse {
    let response = request.send().await.unwrap();
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    ReceivedResponse {
        status: response.status().as_u16(),
        content_type: header("content-type"),
        content_length: header("content-length"),
        retry_after: header("retry-after"),
        connection: header("connection"),
        allow: header("allow"),
        text: response.text().await.unwrap(),
    }
}

/// Writes bytes to a new connection and reads until the server closes it,
/// orderly or not.
pub async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has seen enough may close before everything is written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // What was read before a reset is kept.
    let _ = tokio::time::timeout(PATIENCE, reading).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits for a condition.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
