//! Takes messages from the queue: stores each one as a job, then acknowledges
//! it (spec/messaging-and-crypto.md 2). Runs on the master.
//!
//! A message is acknowledged only when it is safely stored, and a repeated one
//! is acknowledged again, because its sender repeats itself for as long as it
//! has no acknowledgement. What cannot be stored now is not acknowledged: the
//! sender's next transmission brings it back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::FutureExt;
use openssl::sha::sha256;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};

use crate::delivery::{callback, reconnect_backoff};
use crate::error::{Refusal, codes};
use crate::job::{Job, Kind, Millis, NewJob};
use crate::mq::client::MqClient;
use crate::mq::inbound::RawMessage;
use crate::node::{QueueLimit, Role};
use crate::proto::wire::{InboundMessage, MqError};
use crate::store::{Accept, Accepted, Epoch, SharedStore, StoreError};

/// Messages stored in one step, at most, and their bytes together.
const BATCH_MESSAGES: usize = 64;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How long one acknowledgement may take. A lost one costs a repetition only.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest sender or message id, in bytes. Honest ones have some tens.
const MAX_ID: usize = 512;

/// Where the inbox stands, for readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxState {
    /// Not connected (again), with the reason of the last failure.
    Connecting {
        /// Why the last try ended; empty at first.
        reason: String,
    },
    /// The service belongs to another node; nothing is received.
    NodeIdMismatch {
        /// The service's node id.
        found: String,
    },
    /// Messages are received.
    Ready,
    /// Stopped, or ended by a defect.
    Stopped,
    /// Stopped because there is a later master.
    Deposed,
}

/// Hands accepted jobs to the dispatcher.
pub type OnAccepted = Arc<dyn Fn(Vec<Job>) + Send + Sync>;

/// What the inbox works with.
#[derive(Clone)]
pub struct Options {
    /// This node's id.
    pub node_id: String,
    /// This node's role, whose `error_url` hears of errors of the queue.
    pub role: Role,
    /// `MQ_BINDING_PORT`, compared with the service's; `None` where this process
    /// is not told it.
    pub binding_port: Option<u16>,
    /// Where jobs go.
    pub store: SharedStore,
    /// Proof of mastership.
    pub epoch: Epoch,
    /// The message queue service.
    pub client: MqClient,
    /// Messages wait with their senders while it has no room.
    pub queue: Arc<QueueLimit>,
    /// Who hears of accepted jobs.
    pub on_accepted: OnAccepted,
}

/// The actor: starts the loop, and stops it.
pub struct MqInbox {
    options: Options,
    state: watch::Sender<InboxState>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl MqInbox {
    /// Starts it in the current arbiter; the receiver tells its state.
    pub fn launch(options: Options) -> (Addr<Self>, watch::Receiver<InboxState>) {
        let (state, receiver) = watch::channel(InboxState::Connecting {
            reason: String::new(),
        });
        let inbox = Self {
            options,
            state,
            stop: watch::Sender::new(false),
            task: None,
        };
        (inbox.start(), receiver)
    }
}

impl Actor for MqInbox {
    type Context = actix::Context<Self>;

    fn started(&mut self, _context: &mut Self::Context) {
        let receiving = Receiving {
            options: self.options.clone(),
            state: self.state.clone(),
            stop: self.stop.subscribe(),
        };
        self.task = Some(tokio::spawn(receiving.run()));
    }

    fn stopping(&mut self, _context: &mut Self::Context) -> Running {
        self.stop.send_replace(true);
        Running::Stop
    }
}

/// Stops receiving. Answered when what was being stored is stored and
/// acknowledged.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for MqInbox {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _stop: Stop, _context: &mut Self::Context) -> Self::Result {
        self.stop.send_replace(true);
        let task = self.task.take();
        let ended = async move {
            if let Some(Err(error)) = futures_util::future::OptionFuture::from(task).await {
                tracing::error!(%error, "the message queue inbox ended unexpectedly");
            }
        };
        Box::pin(ended.into_actor(self).map(|(), _, context| context.stop()))
    }
}

/// Why a subscription ended.
enum End {
    /// Try again.
    Lost(String),
    /// The service is another node's; try again, it may be repaired.
    Mismatch(String),
    /// A later master exists.
    Deposed,
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        End::Lost(format!("{:?}: {}", status.code(), status.message()))
    }
}

struct Receiving {
    options: Options,
    state: watch::Sender<InboxState>,
    stop: watch::Receiver<bool>,
}

/// However it ends, by a panic as well, whoever watches is told.
impl Drop for Receiving {
    fn drop(&mut self) {
        self.state.send_modify(|state| {
            if *state != InboxState::Deposed {
                *state = InboxState::Stopped;
            }
        });
    }
}

impl Receiving {
    async fn run(mut self) {
        let mut failures = 0;
        while !*self.stop.borrow() {
            let end = self.subscription(&mut failures).await;
            match end {
                None => break,
                Some(End::Deposed) => {
                    tracing::warn!("a later master exists: no more messages are taken");
                    self.state.send_replace(InboxState::Deposed);
                    break;
                }
                Some(End::Mismatch(found)) => {
                    tracing::error!(
                        expected = self.options.node_id,
                        found,
                        "the message queue service belongs to another node"
                    );
                    self.state
                        .send_replace(InboxState::NodeIdMismatch { found });
                }
                Some(End::Lost(reason)) => {
                    tracing::warn!(reason, "subscription to the message queue service ended");
                    self.state.send_replace(InboxState::Connecting { reason });
                }
            }
            let pause = tokio::time::sleep(reconnect_backoff(failures));
            failures += 1;
            tokio::select! {
                () = pause => {}
                () = stopped(&mut self.stop) => {}
            }
        }
    }

    /// From the check of the service to the end of the stream; `None` when
    /// asked to stop.
    async fn subscription(&mut self, failures: &mut u32) -> Option<End> {
        let mut stop = self.stop.clone();
        let mut stream = tokio::select! {
            () = stopped(&mut stop) => return None,
            result = self.subscribe() => match result {
                Ok(stream) => stream,
                Err(end) => return Some(end),
            },
        };
        *failures = 0;
        self.state.send_replace(InboxState::Ready);
        loop {
            let next = async {
                self.options.queue.room_for_messages().await;
                next_batch(&mut stream).await
            };
            let batch = tokio::select! {
                () = stopped(&mut stop) => return None,
                batch = next => batch,
            };
            // Not cancelled by a stop: what is stored is acknowledged.
            if let Err(end) = self.take(batch.messages).await {
                return Some(end);
            }
            if let Some(end) = batch.end {
                return Some(end);
            }
        }
    }

    async fn subscribe(&self) -> Result<Streaming<InboundMessage>, End> {
        let info = self.options.client.get_info().await?;
        if info.node_id != self.options.node_id {
            return Err(End::Mismatch(info.node_id));
        }
        if let Some(registered) = self.options.binding_port
            && info.mq_binding_port != i32::from(registered)
        {
            tracing::warn!(
                service = info.mq_binding_port,
                registered,
                "the message queue service listens on another port than MQ_BINDING_PORT"
            );
        }
        Ok(self.options.client.subscribe().await?)
    }

    /// Stores a batch, tells the dispatcher, acknowledges.
    async fn take(&self, batch: Vec<InboundMessage>) -> Result<(), End> {
        let mut jobs = Vec::new();
        let mut acknowledge = Vec::new();
        let mut sources = HashSet::new();
        let mut reported = HashSet::new();
        let received_at = Millis::now();
        for message in batch {
            if let Some(error) = &message.error {
                if reported.insert(error.code) {
                    jobs.push(error_job(self.options.role, error));
                }
                continue;
            }
            if message.sender_id.len() > MAX_ID || message.message_id.len() > MAX_ID {
                tracing::warn!("a message with an overlong id is dropped");
                continue;
            }
            acknowledge.push(message.message_id.clone());
            let job = receive_job(message, received_at);
            if sources.insert(job.source.clone()) {
                jobs.push(job);
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        self.options.queue.note(&jobs);
        self.accept(jobs).await?;
        self.acknowledge(acknowledge).await;
        Ok(())
    }

    /// Stores jobs. While the store is unavailable they are kept and tried
    /// again: their senders would repeat them only after a minute.
    async fn accept(&self, jobs: Vec<NewJob>) -> Result<(), End> {
        let accept = Accept {
            jobs,
            epoch: Some(self.options.epoch),
            ..Accept::default()
        };
        let mut stop = self.stop.clone();
        let mut failures = 0;
        loop {
            let reason = match self.options.store.accept(accept.clone()).await {
                Ok(Accepted::Stored { jobs, .. }) => {
                    if failures > 0 {
                        self.state.send_replace(InboxState::Ready);
                    }
                    if !jobs.is_empty() {
                        (self.options.on_accepted)(jobs);
                    }
                    return Ok(());
                }
                // There are no guards.
                Ok(Accepted::Refused { guard }) => format!("store refused guard {guard}"),
                Err(StoreError::Deposed { .. }) => return Err(End::Deposed),
                Err(error) => error.to_string(),
            };
            tracing::warn!(reason, "messages cannot be stored and are not acknowledged");
            self.state.send_replace(InboxState::Connecting { reason });
            tokio::select! {
                () = tokio::time::sleep(reconnect_backoff(failures)) => failures += 1,
                () = stopped(&mut stop) => {
                    return Err(End::Lost("stopped while the store was unavailable".to_owned()));
                }
            }
        }
    }

    async fn acknowledge(&self, message_ids: Vec<String>) {
        let acks = message_ids.iter().map(|message_id| async move {
            let ack = self.options.client.acknowledge(message_id);
            match tokio::time::timeout(ACK_TIMEOUT, ack).await {
                Ok(Ok(())) => {}
                Ok(Err(status)) => tracing::warn!(
                    message_id,
                    reason = status.message(),
                    "acknowledgement failed; the sender will repeat the message"
                ),
                Err(_) => tracing::warn!(message_id, "acknowledgement timed out"),
            }
        });
        futures_util::future::join_all(acks).await;
    }
}

/// Completes when asked to stop, or when the actor is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

struct Batch {
    messages: Vec<InboundMessage>,
    /// Set when the stream has ended after these messages.
    end: Option<End>,
}

/// Waits for a message and takes with it what has come meanwhile.
async fn next_batch(stream: &mut Streaming<InboundMessage>) -> Batch {
    let mut batch = Batch {
        messages: Vec::new(),
        end: None,
    };
    let mut bytes = 0;
    let mut next = Some(stream.message().await);
    while let Some(result) = next {
        match result {
            Ok(Some(message)) => {
                bytes += message.message.len();
                batch.messages.push(message);
            }
            Ok(None) => batch.end = Some(End::Lost("the service ended the stream".to_owned())),
            Err(status) => batch.end = Some(status.into()),
        }
        let is_full = batch.messages.len() >= BATCH_MESSAGES || bytes >= BATCH_BYTES;
        next = match batch.end {
            None if !is_full => stream.message().now_or_never(),
            _ => None,
        };
    }
    batch
}

fn receive_job(message: InboundMessage, received_at: Millis) -> NewJob {
    let raw = RawMessage {
        sender_id: message.sender_id,
        message_id: message.message_id,
        bytes: message.message.into(),
        received_at,
    };
    let id = raw.id();
    // With a digest: whoever guesses an id cannot suppress the message that has it.
    let digest = hex::encode(&sha256(&raw.bytes)[..8]);
    NewJob::new(Kind::MqReceive, format!("receive:{id}"), &raw).source(format!("mq:{id}:{digest}"))
}

fn error_job(role: Role, error: &MqError) -> NewJob {
    let number = u32::try_from(error.code).unwrap_or_default();
    let code = codes::ALL.iter().find(|code| code.number == number);
    let error = match code {
        Some(code) => Refusal::from(*code),
        None => Refusal::with_message(codes::UNKNOWN_ERROR, error.message.clone()),
    };
    callback::error_job(role.as_str(), None, "onMessage", None, &error)
}
