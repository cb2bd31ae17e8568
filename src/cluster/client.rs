//! The gRPC client of a worker.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, warn};

use crate::proto::cluster as proto;
use crate::proto::cluster::cluster_client::ClusterClient;

use super::local::{self, WorkerEnd};
use super::message::FromMaster;
use super::{MESSAGE_LIMIT, SILENCE, Tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a master listens.
#[derive(Debug, Clone)]
pub struct Target {
    /// `MASTER_SERVER_IP`: names or addresses, tried in order; a name may stand
    /// for several addresses.
    pub hosts: Vec<String>,
    /// `MASTER_SERVER_PORT`.
    pub port: u16,
    /// Plaintext without.
    pub tls: Option<Tls>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A host has no address.
    #[error("cannot resolve {host}: {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        reason: String,
    },
    /// An address does not answer, or does not speak our protocol.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Which.
        address: String,
        /// Why.
        reason: String,
    },
    /// There is no host.
    #[error("no host configured")]
    NoHost,
}

impl Target {
    /// Connects to the first address that answers.
    pub async fn dial(&self) -> Result<Channel, ConnectError> {
        let mut last = ConnectError::NoHost;
        for host in &self.hosts {
            let addresses = match tokio::net::lookup_host((host.as_str(), self.port)).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    last = ConnectError::Resolve {
                        host: host.clone(),
                        reason: error.to_string(),
                    };
                    continue;
                }
            };
            for address in addresses {
                match self.dial_address(host, address).await {
                    Ok(channel) => return Ok(channel),
                    Err(error) => {
                        last = ConnectError::Connect {
                            address: address.to_string(),
                            reason: with_sources(&error),
                        };
                    }
                }
            }
        }
        Err(last)
    }

    async fn dial_address(
        &self,
        host: &str,
        address: SocketAddr,
    ) -> Result<Channel, tonic::transport::Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(SILENCE)
            .keep_alive_timeout(SILENCE)
            .keep_alive_while_idle(true);
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.client(host))?;
        }
        endpoint.connect().await
    }

    /// Opens a session; nothing has been said yet.
    pub(super) async fn open(&self) -> Result<WorkerEnd, ConnectError> {
        let channel = self.dial().await?;
        let (master, worker) = local::join();
        let outbound = ReceiverStream::new(master.receiver).map(proto::FromWorker::from);
        let response = ClusterClient::new(channel)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT)
            .session(outbound)
            .await
            .map_err(|status| ConnectError::Connect {
                address: self.hosts.join(","),
                reason: status.to_string(),
            })?;
        tokio::spawn(receive(response.into_inner(), master.sender));
        Ok(worker)
    }
}

/// Passes the master's messages on until the stream or the session ends.
async fn receive(mut stream: Streaming<proto::FromMaster>, sender: mpsc::Sender<FromMaster>) {
    loop {
        let message = tokio::select! {
            message = stream.message() => message,
            () = sender.closed() => return,
        };
        match message {
            Ok(Some(message)) => match FromMaster::try_from(message) {
                Ok(message) => {
                    if sender.send(message).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    warn!(%error, "master sent something unreadable; closing the session");
                    return;
                }
            },
            Ok(None) => return,
            Err(status) => {
                debug!(%status, "master's stream ended");
                return;
            }
        }
    }
}

/// The whole chain of causes; the outermost says nothing but "transport error".
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
