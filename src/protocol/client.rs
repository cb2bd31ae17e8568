//! The gRPC client of a worker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, warn};

use crate::proto::cluster as proto;
use crate::proto::cluster::cluster_client::ClusterClient;

use crate::config::MasterAddress;

use crate::protocol::local::WorkerEnd;
use crate::protocol::message::FromMaster;
use crate::protocol::{MESSAGE_LIMIT, SILENCE, local};
use crate::tls::{Dialer, LinkSecurity, explain};

/// A live process answers at once. A process that is suspended, or whose
/// machine is gone, must not keep a worker from trying again.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// From the connection to the start of the master's stream, TLS included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// An answer to an operator may need a walk through the whole store.
const OPERATE_TIMEOUT: Duration = Duration::from_secs(60);

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub struct MasterTarget {
    /// `MASTER_SERVER_IP`; one of them is the master at a time.
    pub masters: Vec<MasterAddress>,
    pub security: LinkSecurity,
}

/// The address of a master that has accepted this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingMaster {
    /// As `MASTER_SERVER_IP` names it.
    pub host: String,
    pub address: SocketAddr,
}

/// The master that this process's link has found; `None` while there is none.
/// Everything else that needs the master follows this and does not search.
pub type FoundMaster = Arc<watch::Sender<Option<ServingMaster>>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot resolve {host}: {reason}")]
    Resolve { host: String, reason: String },
    /// An address does not answer, or does not speak our protocol.
    #[error("cannot connect to {address}: {reason}")]
    Connect { address: SocketAddr, reason: String },
}

impl MasterTarget {
    /// All addresses of a host.
    pub(crate) async fn resolve(master: &MasterAddress) -> Result<Vec<SocketAddr>, ConnectError> {
        let found = tokio::net::lookup_host((master.host.as_str(), master.port));
        let reason = match timeout(RESOLVE_TIMEOUT, found).await {
            Ok(Ok(addresses)) => return Ok(addresses.collect()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        Err(ConnectError::Resolve {
            host: master.host.clone(),
            reason,
        })
    }

    /// Sends an operator's question to the process at one address of `host`.
    pub(crate) async fn operate(
        &self,
        host: &str,
        address: SocketAddr,
        question: proto::OperatorQuestion,
    ) -> Result<bytes::Bytes, ConnectError> {
        let asking = async {
            let channel = self.dial(host, address).await;
            let channel = channel.map_err(|error| with_sources(&error))?;
            let answer = ClusterClient::new(channel)
                .max_decoding_message_size(MESSAGE_LIMIT)
                .max_encoding_message_size(MESSAGE_LIMIT)
                .operate(question)
                .await;
            let answer = answer.map_err(|status| explain(&with_sources(&status)))?;
            Ok(answer.into_inner().answer)
        };
        let asked = timeout(OPERATE_TIMEOUT, asking).await;
        let reason = match asked {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(reason)) => reason,
            Err(_) => "no answer in time".to_owned(),
        };
        Err(ConnectError::Connect { address, reason })
    }

    /// Opens a session with the process at one address of `host`, before any
    /// message.
    pub(crate) async fn open(
        &self,
        host: &str,
        address: SocketAddr,
    ) -> Result<WorkerEnd, ConnectError> {
        let opened = timeout(OPEN_TIMEOUT, self.open_session(host, address)).await;
        let reason = match opened {
            Ok(Ok(end)) => return Ok(end),
            Ok(Err(reason)) => reason,
            Err(_) => "no answer in time".to_owned(),
        };
        Err(ConnectError::Connect { address, reason })
    }

    async fn open_session(&self, host: &str, address: SocketAddr) -> Result<WorkerEnd, String> {
        let channel = self.dial(host, address).await;
        let channel = channel.map_err(|error| with_sources(&error))?;
        let (master, worker) = local::join();
        let outbound = ReceiverStream::new(master.receiver).map(proto::FromWorker::from);
        let response = ClusterClient::new(channel)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT)
            .session(outbound)
            .await
            .map_err(|status| explain(&with_sources(&status)))?;
        tokio::spawn(receive(response.into_inner(), master.sender));
        Ok(worker)
    }

    /// Opens another connection to the master that the link has found.
    pub(crate) async fn connect(&self, found: &ServingMaster) -> Result<Channel, String> {
        let channel = self.dial(&found.host, found.address).await;
        channel.map_err(|error| with_sources(&error))
    }

    async fn dial(
        &self,
        host: &str,
        address: SocketAddr,
    ) -> Result<Channel, tonic::transport::Error> {
        // The dialer secures what it opens; tonic is not told.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(SILENCE)
            .keep_alive_timeout(SILENCE)
            .keep_alive_while_idle(true);
        let dialer = Dialer::to_master(host, self.security.clone());
        endpoint.connect_with_connector(dialer).await
    }
}

/// Passes on the master's messages until the stream or the session ends.
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
                    warn!(%error, "the master sent something unreadable; closing the session");
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

/// The whole chain of causes. The outermost says nothing but "transport error".
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
