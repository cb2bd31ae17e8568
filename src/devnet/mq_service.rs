//! A message queue service for development (spec/messaging-and-crypto.md 1.8).
//!
//! It speaks the real gRPC protocol to its node, except that error numbers
//! above 16 arrive as `UNKNOWN` with the real text. Between services it uses a
//! transport of our own (`mq_transport`), so all nodes of a development network
//! must use this service.
//!
//! It behaves like the real one, also where that is hard on a node: the headers
//! of a subscription's answer come only with the first message, so a quiet
//! subscription looks like a call without an answer; each message goes to every
//! subscriber; messages that come while there is none are dropped; and only the
//! sender's clock has them transmitted again.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::mq_record::{MqRecord, MqRecordEntry};
use super::mq_transport::{self, FrameSender, MAX_FRAME, VERSION};
use crate::error::codes;
use crate::listener::{Listener, Room, Rules, Sockets};
use crate::proto::wire::message_queue_server::{MessageQueue, MessageQueueServer};
use crate::proto::wire::{
    Empty, InboundMessage, InboundMessageAck, MqError, MqProtocolMessage, OutboundMessage,
    ServiceServerInfo,
};

/// Times; tests use other values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// How often a message that is not acknowledged is transmitted again.
    pub(super) retransmit: Duration,
    /// When a message is given up.
    pub(super) give_up: Duration,
}

/// When a message is given up.
const GIVE_UP: Duration = Duration::from_secs(600);

/// Messages waiting for a slow subscriber. Real services set no bound; beyond
/// this one they are dropped, and come again with the sender's next transmission.
const SUBSCRIBER_QUEUE: usize = 16_384;

/// The default of gRPC libraries, which real services leave as it is.
const MAX_GRPC_MESSAGE: usize = 4 * 1024 * 1024;
/// Nodes stay connected and say nothing for as long as they like.
const ROOM: Rules = Rules {
    name: "devnet-mq",
    most: 1024,
    patience: Duration::from_secs(24 * 60 * 60),
    bytes_count: true,
};

/// How long running calls may take at the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a service is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The node that it belongs to.
    pub node_id: String,
    /// Where its node connects (gRPC).
    pub listen: SocketAddr,
    /// Where other services connect, on the same interface.
    pub mq_port: u16,
    /// How often an unacknowledged message is transmitted again; real services
    /// do so every minute.
    pub retransmit: Duration,
    /// Where it records messages and their results, if anywhere.
    pub record: Option<PathBuf>,
}

/// Serves until `stop` completes.
///
/// # Errors
/// When a port cannot be bound.
pub async fn serve(options: Options, stop: impl Future<Output = ()>) -> io::Result<()> {
    let timing = Timing {
        retransmit: options.retransmit,
        give_up: GIVE_UP,
    };
    serve_with(options, timing, stop).await
}

pub(super) async fn serve_with(
    options: Options,
    timing: Timing,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let grpc = Listener::new(
        Sockets::bind(&[options.listen])?,
        Room::new(ROOM),
        ROOM.name,
    )?;
    let mq_address = SocketAddr::new(options.listen.ip(), options.mq_port);
    let mq = TcpListener::bind(mq_address).await?;
    let service = Service::new(options, timing)?;

    let mut accepting = JoinSet::new();
    accepting.spawn(accept_services(mq, service.clone()));

    let mut stopping = service.stopping.subscribe();
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(300)))
        .add_service(
            MessageQueueServer::new(service.clone()).max_decoding_message_size(MAX_GRPC_MESSAGE),
        )
        .serve_with_incoming_shutdown(
            grpc.guests().map(|(stream, _)| io::Result::Ok(stream)),
            async move { stopped(&mut stopping).await },
        );
    let mut server = std::pin::pin!(server);
    tokio::select! {
        result = &mut server => return result.map_err(io::Error::other),
        () = stop => {}
    }
    service.stopping.send_replace(true);
    service.subscribers.lock().clear();
    match tokio::time::timeout(STOP_TIMEOUT, server).await {
        Ok(result) => result.map_err(io::Error::other),
        Err(_) => Ok(()),
    }
}

async fn accept_services(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let service = service.clone();
                connections.spawn(async move {
                    let (answer, mut answers) = mpsc::channel(mq_transport::QUEUE);
                    let on_frame = |frame| service.received(frame, &answer);
                    let result = mq_transport::run_connection(stream, &mut answers, on_frame).await;
                    tracing::debug!(%from, ?result, "connection from message queue service ended");
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// The latest delivery of a message: where its acknowledgement goes.
struct AckRoute {
    answer: FrameSender,
    seq_id: i32,
    received_at: Instant,
}

/// A call of `sendMessage` that waits.
struct Pending {
    call: u64,
    acknowledged: oneshot::Sender<()>,
}

struct Service {
    options: Options,
    timing: Timing,
    subscribers: Mutex<Vec<mpsc::Sender<Result<InboundMessage, Status>>>>,
    ack_routes: Mutex<HashMap<String, AckRoute>>,
    pending: Mutex<HashMap<String, Pending>>,
    /// To the other services, by address.
    connections: Mutex<HashMap<String, FrameSender>>,
    /// Tasks that keep the connections; aborted with the service.
    connecting: Mutex<JoinSet<()>>,
    next_seq: AtomicI32,
    next_call: AtomicU64,
    record: Option<MqRecord>,
    /// Set once, to end the calls that wait.
    stopping: watch::Sender<bool>,
}

impl Service {
    fn new(options: Options, timing: Timing) -> io::Result<Arc<Self>> {
        let record = options.record.as_deref().map(MqRecord::open).transpose()?;
        Ok(Arc::new(Self {
            options,
            record,
            timing,
            subscribers: Mutex::default(),
            ack_routes: Mutex::default(),
            pending: Mutex::default(),
            connections: Mutex::default(),
            connecting: Mutex::new(JoinSet::new()),
            next_seq: AtomicI32::new(1),
            next_call: AtomicU64::new(0),
            stopping: watch::Sender::new(false),
        }))
    }

    fn note(&self, entry: MqRecordEntry<'_>) {
        if let Some(record) = &self.record {
            record.note(entry);
        }
    }

    /// A frame from another service.
    fn received(&self, frame: Bytes, answer: &FrameSender) {
        let Ok(message) = MqProtocolMessage::decode(frame) else {
            return self.push_error(codes::WRONG_MESSAGE_QUEUE_PROTOCOL);
        };
        if message.version != VERSION {
            return self.push_error(codes::MQ_PROTOCOL_MESSAGE_VERSION_MISMATCH);
        }
        let route = AckRoute {
            answer: answer.clone(),
            seq_id: message.seq_id,
            received_at: Instant::now(),
        };
        self.remember(&message.msg_id, route);
        let message = InboundMessage {
            message: message.message,
            message_id: message.msg_id,
            sender_id: message.sender_id,
            error: None,
        };
        let subscribers = self.push(&message);
        self.note(MqRecordEntry::Came {
            sender_id: &message.sender_id,
            message_id: &message.message_id,
            subscribers,
        });
    }

    fn remember(&self, message_id: &str, route: AckRoute) {
        let lifetime = self.timing.give_up + self.timing.retransmit;
        let mut routes = self.ack_routes.lock();
        routes.retain(|_, route| route.received_at.elapsed() < lifetime);
        routes.insert(message_id.to_owned(), route);
    }

    fn push_error(&self, code: crate::error::Code) {
        self.push(&InboundMessage {
            error: Some(MqError {
                code: code.number as i32,
                message: code.message.to_owned(),
            }),
            ..Default::default()
        });
    }

    /// Hands a message to every subscriber. Returns how many took it; without
    /// any it is lost.
    fn push(&self, message: &InboundMessage) -> usize {
        let mut taken = 0;
        self.subscribers.lock().retain(|subscriber| {
            let result = subscriber.try_send(Ok(message.clone()));
            taken += usize::from(result.is_ok());
            !matches!(result, Err(mpsc::error::TrySendError::Closed(_)))
        });
        taken
    }

    /// An acknowledgement from another service.
    fn acknowledged(&self, frame: Bytes) {
        let Ok(ack) = MqProtocolMessage::decode(frame) else {
            return;
        };
        if let Some(pending) = self.pending.lock().remove(&ack.msg_id) {
            // The call may have ended meanwhile.
            let _ = pending.acknowledged.send(());
        }
    }

    fn connection(self: &Arc<Self>, address: String) -> FrameSender {
        let mut connections = self.connections.lock();
        if let Some(connection) = connections.get(&address) {
            return connection.clone();
        }
        let (sender, queue) = mpsc::channel(mq_transport::QUEUE);
        // Weak, or the tasks would keep the service that aborts them.
        let service = Arc::downgrade(self);
        let on_ack = move |frame| {
            if let Some(service) = service.upgrade() {
                service.acknowledged(frame);
            }
        };
        let task = mq_transport::keep_connected(address.clone(), queue, on_ack);
        self.connecting.lock().spawn(task);
        connections.insert(address, sender.clone());
        sender
    }

    /// Waits while more frames than real sockets hold wait for a connection.
    async fn transmit(&self, connection: &FrameSender, message: &OutboundMessage) {
        let frame = mq_transport::encode(&MqProtocolMessage {
            version: VERSION,
            msg_id: message.message_id.clone(),
            seq_id: self.next_seq.fetch_add(1, Ordering::Relaxed),
            message: message.payload.clone(),
            sender_id: self.options.node_id.clone(),
        });
        // Fails only when the service ends.
        let _ = connection.send(frame).await;
    }

    /// Transmits until acknowledged: at once and every minute, whatever happens
    /// to the connection meanwhile.
    async fn send_until_acknowledged(
        &self,
        message: &OutboundMessage,
        connection: FrameSender,
        mut acknowledged: oneshot::Receiver<()>,
    ) -> Result<(), Status> {
        let give_up = tokio::time::sleep(self.timing.give_up);
        let mut give_up = std::pin::pin!(give_up);
        let mut stopping = self.stopping.subscribe();
        let mut next = Instant::now();
        loop {
            let transmission = async {
                tokio::time::sleep_until(next).await;
                self.transmit(&connection, message).await;
            };
            tokio::select! {
                result = &mut acknowledged => match result {
                    Ok(()) => return Ok(()),
                    // A later call with this id took over: this one never
                    // gets an answer and runs into its own deadline.
                    Err(_) => {
                        stopped(&mut stopping).await;
                        return Err(stops());
                    }
                },
                () = transmission => next += self.timing.retransmit,
                () = stopped(&mut stopping) => return Err(stops()),
                () = &mut give_up => {
                    return Err(Status::unknown(codes::MQ_SEND_TIMEOUT.message));
                }
            }
        }
    }
}

/// Completes when the service stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The service lives longer than its calls.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn stops() -> Status {
    Status::unavailable("the message queue service stops")
}

/// Forgets a call when it ends, also when its client has gone.
struct Forget<'a> {
    service: &'a Service,
    message_id: &'a str,
    call: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut pending = self.service.pending.lock();
        if pending
            .get(self.message_id)
            .is_some_and(|pending| pending.call == self.call)
        {
            pending.remove(self.message_id);
        }
    }
}

/// The handle tonic serves; calls need the `Arc` to start connections.
#[tonic::async_trait]
impl MessageQueue for Arc<Service> {
    type subscribeToRecvMessagesStream =
        Pin<Box<dyn Stream<Item = Result<InboundMessage, Status>> + Send>>;

    async fn subscribe_to_recv_messages(
        &self,
        _request: Request<Empty>,
    ) -> Result<Response<Self::subscribeToRecvMessagesStream>, Status> {
        let (sender, mut receiver) = mpsc::channel(SUBSCRIBER_QUEUE);
        self.subscribers.lock().push(sender);
        // Headers go out when this returns; `None`: the service stops.
        let first = receiver.recv().await;
        let rest = ReceiverStream::new(receiver);
        Ok(Response::new(stream::iter(first).chain(rest).boxed()))
    }

    async fn send_ack_for_recv_message(
        &self,
        request: Request<InboundMessageAck>,
    ) -> Result<Response<Empty>, Status> {
        let message_id = request.into_inner().message_id;
        let route = self.ack_routes.lock().remove(&message_id);
        let route =
            route.ok_or_else(|| Status::unknown(codes::MQ_SEND_ACK_UNKNOWN_MESSAGE_ID.message))?;
        self.note(MqRecordEntry::Acknowledged {
            message_id: &message_id,
        });
        let ack = mq_transport::encode(&MqProtocolMessage {
            version: VERSION,
            msg_id: message_id,
            seq_id: route.seq_id,
            message: Bytes::new(),
            sender_id: self.options.node_id.clone(),
        });
        // A peer that vanished transmits again over its next connection.
        let _ = route.answer.send(ack).await;
        Ok(Response::new(Empty {}))
    }

    async fn send_message(
        &self,
        request: Request<OutboundMessage>,
    ) -> Result<Response<Empty>, Status> {
        let message = request.into_inner();
        let address = match &message.mq_address {
            Some(address) if !message.message_id.is_empty() => {
                format!("{}:{}", address.ip, address.port)
            }
            _ => {
                return Err(Status::unknown(
                    "Server method handler threw error: incomplete message",
                ));
            }
        };
        if message.payload.len() + message.message_id.len() + self.options.node_id.len() + 64
            > MAX_FRAME
        {
            return Err(Status::resource_exhausted("message is too large"));
        }
        let connection = self.connection(address);
        let (acknowledge, acknowledged) = oneshot::channel();
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let _forget = Forget {
            service: self,
            message_id: &message.message_id,
            call,
        };
        self.pending.lock().insert(
            message.message_id.clone(),
            Pending {
                call,
                acknowledged: acknowledge,
            },
        );
        self.send_until_acknowledged(&message, connection, acknowledged)
            .await?;
        Ok(Response::new(Empty {}))
    }

    async fn get_info(
        &self,
        _request: Request<Empty>,
    ) -> Result<Response<ServiceServerInfo>, Status> {
        Ok(Response::new(ServiceServerInfo {
            node_id: self.options.node_id.clone(),
            mq_binding_port: i32::from(self.options.mq_port),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}
