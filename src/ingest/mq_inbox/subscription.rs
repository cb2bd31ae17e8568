//! Keeps the subscription open and puts messages into
//! [`KeptMessages`](super::kept).
//!
//! An open subscription may be silent for ever, so no deadline ends it: the
//! keepalive of its connection notices when the service is gone. That it works
//! is known once the service has answered a second call behind it on the same
//! connection.

use std::sync::Arc;
use std::time::Duration;

use openssl::sha::sha256;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::kept::KeptMessage;
use super::{InboxState, Shared, stopped};
use crate::actors::mastership::monotonic_now;
use crate::job::Millis;
use crate::mq::client::MqClient;
use crate::proto::wire::{InboundMessage, ServiceServerInfo};

/// Longest sender id or message id, in bytes. Honest ones have some tens.
const MAX_ID: usize = 512;

/// Pause between test calls to the service.
const ASK: Duration = Duration::from_secs(10);
/// Time for its answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Pause after it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// First and longest pause between tries to subscribe; it doubles. The service
/// drops messages that come in a pause, so even the longest is short.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Pause while the service belongs to another node.
const MISMATCH_PAUSE: Duration = Duration::from_secs(5);

enum SubscriptionEnd {
    /// Try again.
    Lost(String),
    /// The service belongs to another node. Try again, because that may be
    /// repaired.
    Mismatch(String),
}

impl From<Status> for SubscriptionEnd {
    fn from(status: Status) -> Self {
        SubscriptionEnd::Lost(reason(&status))
    }
}

fn reason(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    // "transport error" alone says nothing.
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

pub(super) struct Reader {
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    is_port_told: bool,
}

impl Reader {
    pub fn new(shared: Arc<Shared>, stop: watch::Receiver<bool>) -> Self {
        Self {
            shared,
            stop,
            is_port_told: false,
        }
    }

    /// Receives until asked to stop.
    pub async fn run(mut self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = stopped(&mut stop) => {}
            () = self.receive() => {}
        }
    }

    async fn receive(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.subscription(&mut pause).await {
                SubscriptionEnd::Lost(reason) => {
                    self.tell(InboxState::Connecting { reason });
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                SubscriptionEnd::Mismatch(found) => {
                    self.tell(InboxState::NodeIdMismatch { found });
                    sleep(MISMATCH_PAUSE).await;
                }
            }
        }
    }

    /// Runs from the check of the service to the end of the subscription.
    async fn subscription(&mut self, pause: &mut Duration) -> SubscriptionEnd {
        let client = self.shared.options.client.clone();
        match ask(&client, Duration::ZERO).await {
            Ok(info) => {
                if let Err(end) = self.check(info) {
                    return end;
                }
            }
            Err(status) => return status.into(),
        }
        let mut subscription = client.subscribe();
        let mut answer = Box::pin(ask(&client, Duration::ZERO));
        loop {
            let next = async {
                self.room().await;
                subscription.message().await
            };
            // The message is awaited first, so that the service has the
            // subscription before it answers the call behind it.
            tokio::select! {
                biased;
                message = next => match message {
                    Ok(Some(message)) => {
                        *pause = FIRST_PAUSE;
                        self.tell(InboxState::Ready);
                        self.keep(message);
                    }
                    Ok(None) => return SubscriptionEnd::Lost("the service ended the stream".to_owned()),
                    Err(status) => return status.into(),
                },
                answered = &mut answer => match answered {
                    Ok(info) => {
                        if let Err(end) = self.check(info) {
                            return end;
                        }
                        *pause = FIRST_PAUSE;
                        self.tell(InboxState::Ready);
                        answer = Box::pin(ask(&client, ASK));
                    }
                    // The subscription stays: if the connection is lost, it
                    // ends by itself; if the service only stands still, it
                    // continues later.
                    Err(status) => {
                        self.tell(InboxState::Connecting { reason: reason(&status) });
                        answer = Box::pin(ask(&client, ASK_AGAIN));
                    }
                },
            }
        }
    }

    /// Checks that it is this node's service.
    fn check(&mut self, info: ServiceServerInfo) -> Result<(), SubscriptionEnd> {
        let options = &self.shared.options;
        if info.node_id != options.node_id {
            return Err(SubscriptionEnd::Mismatch(info.node_id));
        }
        if let Some(registered) = options.binding_port
            && info.mq_binding_port != i32::from(registered)
            && !std::mem::replace(&mut self.is_port_told, true)
        {
            tracing::warn!(
                service = info.mq_binding_port,
                registered,
                "the message queue service listens on another port than MQ_BINDING_PORT"
            );
        }
        Ok(())
    }

    /// Reports a change, once.
    fn tell(&self, state: InboxState) {
        if *self.shared.state.borrow() == state {
            return;
        }
        let before = self.shared.state.send_replace(state.clone());
        match (before, state) {
            (InboxState::NodeIdMismatch { .. }, InboxState::NodeIdMismatch { .. }) => {}
            (InboxState::Connecting { reason: before }, InboxState::Connecting { reason })
                if !before.is_empty() =>
            {
                tracing::trace!(reason, "messages are still not received");
            }
            (_, InboxState::Connecting { reason }) => {
                tracing::warn!(
                    reason,
                    "messages are not received from the message queue service: start it, or \
                     correct MQ_SERVICE_SERVER_IP, MQ_SERVICE_SERVER_PORT and GRPC_SSL"
                );
            }
            (_, InboxState::NodeIdMismatch { found }) => tracing::error!(
                expected = self.shared.options.node_id,
                found,
                "the message queue service belongs to another node"
            ),
            (_, InboxState::Ready) => tracing::info!("messages are received"),
            (_, InboxState::Stopped) => {}
        }
    }

    /// Waits until a message may be received. The master leaves with the
    /// service what it cannot keep. The other processes drop their oldest,
    /// because it must not fill the service's memory.
    async fn room(&self) {
        let mut standing = self.shared.standing.clone();
        while self.shared.is_first() {
            let left = self.shared.left.notified();
            if !self.shared.kept.lock().is_full() {
                return;
            }
            let changed = async {
                if standing.changed().await.is_err() {
                    // Nobody gives it another duty.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = left => {}
                () = changed => {}
            }
        }
    }

    fn keep(&self, message: InboundMessage) {
        if let Some(error) = message.error {
            // Every process hears of it; one reports it.
            if self.shared.is_first() {
                self.shared.kept.lock().add_error(error);
                self.shared.came.notify_one();
            }
            return;
        }
        if message.sender_id.len() > MAX_ID || message.message_id.len() > MAX_ID {
            tracing::warn!("a message with an overlong id is dropped");
            return;
        }
        let received = received(message);
        let gone = {
            let mut kept = self.shared.kept.lock();
            kept.add(received);
            kept.let_go_beyond()
        };
        self.shared.let_go(gone, "there are too many");
        self.shared.came.notify_one();
    }
}

/// Asks the service for its node, after a pause.
async fn ask(client: &MqClient, pause: Duration) -> Result<ServiceServerInfo, Status> {
    if !pause.is_zero() {
        sleep(pause).await;
    }
    let late = |_| Status::deadline_exceeded("no answer in time");
    timeout(ANSWER, client.get_info()).await.map_err(late)?
}

fn received(message: InboundMessage) -> KeptMessage {
    let (sender_id, message_id) = (message.sender_id, message.message_id);
    // With a digest, so that nobody who guesses an id can suppress its message.
    let digest = hex::encode(&sha256(&message.message)[..8]);
    KeptMessage {
        source: format!("mq:{sender_id}:{message_id}:{digest}"),
        sender_id,
        message_id,
        bytes: message.message,
        received_at: Millis::now(),
        at: monotonic_now(),
    }
}
