//! Client of this node's own message queue service
//! (spec/messaging-and-crypto.md 1).

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Fuse};
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use crate::config::Config;
use crate::config::address::authority;
use crate::error::codes;
use crate::mq::OutboundMessage;
use crate::proto::wire;
use crate::proto::wire::message_queue_client::MessageQueueClient;
use crate::tls::Dialer;

/// Largest gRPC message read, in bytes; a message is 3.3 MB at most.
const MAX_RECEIVED: usize = 16 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `MQ_SERVICE_SERVER_IP` or the port is no address.
    #[error("message queue service: {0}")]
    Endpoint(#[from] tonic::transport::Error),
    #[error("message queue service: {0} is no address (MQ_SERVICE_SERVER_IP)")]
    Address(String),
    /// The certificates (`GRPC_SSL`) are unusable.
    #[error("{0}")]
    Certificates(#[from] std::io::Error),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// This node's own message queue service cannot be reached.
    #[error("message queue service unreachable: {0}")]
    Unreachable(String),
    /// No acknowledgement. Another try may get one.
    #[error("not acknowledged: {0}")]
    Retry(String),
    /// No try will succeed.
    #[error("refused: {0}")]
    GiveUp(String),
}

/// Sends messages to other nodes. Implemented by [`MqClient`], and by fakes.
#[async_trait]
pub trait MqSender: Send + Sync {
    /// Returns when the receiver has acknowledged the message. Dropping the
    /// future stops the service's retransmissions.
    /// # Errors
    /// See [`SendError`].
    async fn send(&self, message: &OutboundMessage) -> Result<(), SendError>;
}

/// A cheap handle on one channel, which connects when it is first used and
/// again after a loss.
#[derive(Debug, Clone)]
pub struct MqClient {
    inner: MessageQueueClient<Channel>,
    call_timeout: Duration,
}

impl MqClient {
    /// Uses the configured service. Must be called within a tokio runtime.
    /// # Errors
    /// Unusable address or certificates.
    pub fn new(config: &Config) -> Result<Self, ClientError> {
        let (host, tls) = (&config.mq.service_host, config.grpc.tls.as_ref());
        let authority = authority(host, config.mq.service_port);
        let scheme = match tls {
            Some(_) => "https",
            None => "http",
        };
        let origin = format!("{scheme}://{authority}").parse::<Uri>();
        // The dialer secures what it opens; tonic is not told.
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))?
            .origin(origin.map_err(|_| ClientError::Address(authority))?)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(config.grpc.ping_interval)
            .keep_alive_timeout(config.grpc.ping_timeout)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect_with_connector_lazy(Dialer::to_service(host, tls)?);
        Ok(Self {
            inner: MessageQueueClient::new(channel).max_decoding_message_size(MAX_RECEIVED),
            call_timeout: config.grpc.call_timeout,
        })
    }

    /// The node that the service belongs to.
    /// # Errors
    /// Unreachable, or no answer within `GRPC_CALL_TIMEOUT_MS`.
    pub async fn get_info(&self) -> Result<wire::ServiceServerInfo, Status> {
        let mut client = self.inner.clone();
        self.in_time(client.get_info(wire::Empty {})).await
    }

    /// Subscribes to everything that arrives. The call is made when the
    /// subscription is first asked for a message.
    pub fn subscribe(&self) -> Subscription {
        let mut client = self.inner.clone();
        let call = async move {
            let answer = client.subscribe_to_recv_messages(wire::Empty {}).await?;
            Ok(answer.into_inner())
        };
        Subscription(SubscriptionState::Awaited(call.boxed().fuse()))
    }

    /// Tells the sender of a message that it is stored.
    /// # Errors
    /// 10042 as text for an unknown id; unreachable.
    pub async fn acknowledge(&self, message_id: &str) -> Result<(), Status> {
        let mut client = self.inner.clone();
        let ack = wire::InboundMessageAck {
            message_id: message_id.to_owned(),
        };
        self.in_time(client.send_ack_for_recv_message(ack)).await?;
        Ok(())
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Status> {
        match tokio::time::timeout(self.call_timeout, call).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("no answer in time")),
        }
    }
}

/// A subscription. The service sends the headers of its answer only with the
/// first message, so a quiet subscription is silent and must have no deadline.
/// The keepalive of the connection notices when the service is gone.
pub struct Subscription(SubscriptionState);

enum SubscriptionState {
    Awaited(Fuse<BoxFuture<'static, Result<Streaming<wire::InboundMessage>, Status>>>),
    Begun(Box<Streaming<wire::InboundMessage>>),
}

impl Subscription {
    /// The next message; `None` when the service ends the subscription.
    /// Dropping the future before it resolves loses nothing.
    /// # Errors
    /// The connection is lost, or the service refuses. No more messages follow.
    pub async fn message(&mut self) -> Result<Option<wire::InboundMessage>, Status> {
        if let SubscriptionState::Awaited(call) = &mut self.0 {
            self.0 = SubscriptionState::Begun(Box::new(call.await?));
        }
        match &mut self.0 {
            SubscriptionState::Begun(stream) => stream.message().await,
            SubscriptionState::Awaited(_) => Ok(None),
        }
    }
}

#[async_trait]
impl MqSender for MqClient {
    async fn send(&self, message: &OutboundMessage) -> Result<(), SendError> {
        let mut client = self.inner.clone();
        let request = wire::OutboundMessage {
            mq_address: Some(wire::MqAddress {
                ip: message.ip.clone(),
                port: message.port,
            }),
            payload: Bytes::from(message.payload.clone()),
            message_id: message.message_id.clone(),
        };
        match client.send_message(request).await {
            Ok(_) => Ok(()),
            Err(status) => Err(send_error(&status)),
        }
    }
}

/// The service's own error numbers arrive as `Unknown` with their text.
fn send_error(status: &Status) -> SendError {
    let text = || format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Unavailable => SendError::Unreachable(text()),
        // Larger than the service accepts.
        Code::ResourceExhausted | Code::OutOfRange => SendError::GiveUp(text()),
        _ if status.message() == codes::MQ_SEND_TIMEOUT.message => {
            SendError::Retry(codes::MQ_SEND_TIMEOUT.message.to_owned())
        }
        _ => SendError::Retry(text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_service_at_an_ipv6_address_can_be_called() {
        let mut config = Config::for_test("rp1");
        config.mq.service_host = "::1".to_owned();
        // Nobody listens there: the address was understood and tried.
        config.mq.service_port = 1;
        let refused = MqClient::new(&config)
            .unwrap()
            .get_info()
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    }
}
