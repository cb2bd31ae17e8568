//! JSON-RPC over WebSocket to one Tendermint or CometBFT node (spec/ledger.md
//! 1): a pool of sockets for calls, and one socket for the subscription to new
//! blocks. Nothing that the other side sends can cause a panic or fill memory:
//! it becomes an [`RpcError`].

pub mod answers;
#[cfg(test)]
#[path = "tests.rs"]
mod client_tests;
mod connection;
mod envelope;
#[cfg(test)]
pub(crate) mod fake;
mod pool;
mod socket;
mod subscription;

pub use pool::{SocketHandle, SocketPool};
pub use subscription::{BlockSubscription, Sighting};

use std::time::Duration;

use crate::error::{Error, codes};

const INTERNAL_ERROR: i64 = -32603;

/// The ledger's address, and the time limits.
#[derive(Debug, Clone)]
pub struct RpcOptions {
    /// `TENDERMINT_IP`
    pub host: String,
    /// `TENDERMINT_PORT`
    pub port: u16,
    /// `TENDERMINT_WS_CONNECTIONS`: sockets in the pool.
    pub connections: usize,
    /// Limit of one call, and of opening a socket.
    pub call_timeout: Duration,
    /// After this silence a subscription is given up (CometBFT pings every 27
    /// s; spec/ledger.md 1.1).
    pub silence_limit: Duration,
    /// Delay before the first reconnect; it doubles.
    pub first_reconnect: Duration,
    /// Longest delay between reconnects.
    pub longest_reconnect: Duration,
}

impl RpcOptions {
    /// The limits of spec/ledger.md 1.1, but faster reconnects.
    pub fn new(host: impl Into<String>, port: u16, connections: usize) -> Self {
        Self {
            host: host.into(),
            port,
            connections,
            call_timeout: Duration::from_secs(10),
            silence_limit: Duration::from_secs(60),
            first_reconnect: Duration::from_millis(100),
            longest_reconnect: Duration::from_secs(15),
        }
    }

    /// Delay before reconnecting after `failures` failures in a row.
    pub fn reconnect_delay(&self, failures: u32) -> Duration {
        self.first_reconnect
            .saturating_mul(1 << failures.min(16))
            .min(self.longest_reconnect)
    }

    /// `ws://host:port/websocket`
    pub fn address(&self) -> String {
        let host = if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("ws://{host}:{}/websocket", self.port)
    }
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RpcError {
    /// No socket is open; nothing was sent.
    #[error("not connected to the ledger")]
    NotConnected,
    /// The socket closed during the call, which may have taken effect.
    #[error("connection to the ledger closed: {0}")]
    Closed(String),
    /// No answer in time. The call may have taken effect.
    #[error("no answer from the ledger within {0:?}")]
    Timeout(Duration),
    /// The ledger answered with an error.
    #[error("{method}: {message} ({code}): {data}")]
    Remote {
        method: String,
        /// JSON-RPC code.
        code: i64,
        /// JSON-RPC message.
        message: String,
        /// Free text; here CometBFT says most.
        data: String,
    },
    /// The answer is not what the method promises.
    #[error("unexpected answer to {method}: {problem}")]
    Malformed { method: String, problem: String },
    /// The ledger's version is too old.
    #[error("ledger version {0} is not supported: 0.33 or later is needed")]
    UnsupportedVersion(String),
}

impl RpcError {
    /// An answer that is not what `method` promises.
    pub fn malformed(method: &str, problem: impl Into<String>) -> Self {
        Self::Malformed {
            method: method.to_owned(),
            problem: problem.into(),
        }
    }

    /// Text of a JSON-RPC error in lower case, because CometBFT has changed the
    /// case of its texts between versions (spec/ledger.md 9.1).
    pub fn remote_text(&self) -> Option<String> {
        match self {
            Self::Remote { data, message, .. } if data.is_empty() => {
                Some(message.to_ascii_lowercase())
            }
            Self::Remote { data, .. } => Some(data.to_ascii_lowercase()),
            _ => None,
        }
    }
}

impl From<RpcError> for Error {
    fn from(error: RpcError) -> Self {
        let text = error.to_string();
        match error {
            RpcError::NotConnected | RpcError::Closed(_) | RpcError::Timeout(_) => {
                Error::with_message(codes::TENDERMINT_NOT_CONNECTED, text).temporary()
            }
            // CometBFT uses this one code for every internal failure, and
            // nearly all of those pass.
            RpcError::Remote {
                code: INTERNAL_ERROR,
                ref data,
                ..
            } if !lasts(data) => {
                Error::with_message(codes::TENDERMINT_TRANSACT_JSON_RPC_ERROR, text).temporary()
            }
            RpcError::Malformed { .. } => {
                Error::with_message(codes::TENDERMINT_TRANSACT_JSON_RPC_ERROR, text).temporary()
            }
            RpcError::Remote { .. } | RpcError::UnsupportedVersion(_) => {
                Error::with_message(codes::TENDERMINT_TRANSACT_JSON_RPC_ERROR, text)
            }
        }
    }
}

/// Whether the same call would fail again.
fn lasts(data: &str) -> bool {
    let data = data.to_ascii_lowercase();
    data.contains("too large") || data.contains("indexing is disabled")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(code: i64, data: &str) -> Error {
        RpcError::Remote {
            method: "broadcast_tx_sync".to_owned(),
            code,
            message: "Internal error".to_owned(),
            data: data.to_owned(),
        }
        .into()
    }

    #[test]
    fn delays_start_at_a_tenth_of_a_second_and_double_to_fifteen() {
        let options = RpcOptions::new("localhost", 45000, 1);
        let delays: Vec<u128> = (0..10)
            .map(|failures| options.reconnect_delay(failures).as_millis())
            .collect();
        assert_eq!(
            delays,
            [100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000]
        );
    }

    #[test]
    fn an_ipv6_address_is_put_in_brackets() {
        let options = RpcOptions::new("::1", 45000, 1);
        assert_eq!(options.address(), "ws://[::1]:45000/websocket");
    }

    #[test]
    fn only_failures_that_can_pass_are_temporary() {
        assert!(Error::from(RpcError::NotConnected).is_temporary());
        assert!(Error::from(RpcError::Timeout(Duration::ZERO)).is_temporary());
        assert!(remote(INTERNAL_ERROR, "broadcast confirmation not received").is_temporary());
        assert!(!remote(INTERNAL_ERROR, "Tx too large. Max size is 1").is_temporary());
        assert!(!remote(-32602, "invalid params").is_temporary());
        assert_eq!(remote(-32602, "").code().number, 10005);
    }
}
