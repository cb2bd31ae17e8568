//! From a message to the jobs that send it (spec/messaging-and-crypto.md 3).

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::context::{Context, Role, row};
use crate::delivery::callback::error_job;
use crate::delivery::crypto_service::{CRYPTO, given_up_in_time};
use crate::delivery::message;
use crate::delivery::message::{OUTBOUND_MESSAGES, SEND_TIMEOUT};
use crate::error::{Error, Refusal, codes, settled};
use crate::job::{Commit, Job, JobId, Kind, Millis, NewJob, Run, Spec, Table, Write, delivery_key};
use crate::ledger::query;
use crate::ledger::types::{MqAddress, NodeKey};
use crate::messaging::envelope;
use crate::mq::message::Message;
use crate::mq::{OutboundMessage, body, gzip};
use crate::proto::wire::MqMessage;

crate::job::stored! {
    "mq_send": Send = 1,
}

/// Signs and encrypts a message with an external crypto service, then hands it
/// to [`message::DELIVER`].
pub const SEND: Kind = Kind::new(
    &Spec::transactional(21, "mq.send")
        .counts_in(OUTBOUND_MESSAGES)
        .counts_retries_in(CRYPTO),
);

/// Largest message, in bytes after compression. A larger one would disappear at
/// the receiver without an error (spec/messaging-and-crypto.md 3.6).
pub const MAX_MESSAGE: usize = 3_200_000;

/// The proxy of a receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceiverProxy {
    pub node_id: String,
    /// Key of the outer layer.
    pub encryption_key: NodeKey,
    /// `KEY_ON_PROXY` or `KEY_ON_NODE`.
    pub config: String,
}

/// The receiver of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receiver {
    pub node_id: String,
    pub encryption_key: NodeKey,
    /// The address of its message queue, or of its proxy's.
    pub address: MqAddress,
    /// Set for nodes behind a proxy.
    pub proxy: Option<ReceiverProxy>,
}

/// Payload of `mq.send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Send {
    sender_node_id: String,
    receivers: Vec<Receiver>,
    /// The message as JSON text.
    message: String,
}

/// Signs, encrypts and records a message. Returns one `deliver.message` job per
/// receiver and the private-message record, to be merged into a commit or an
/// accept. With an external crypto service: one `mq.send` job. Without
/// receivers: nothing.
/// # Errors
/// 10000 `message size larger than max length limit`; those of the ledger and
/// of signing.
pub async fn send(
    context: &Context,
    sender_node_id: &str,
    receivers: &[Receiver],
    message: &Message,
) -> Result<Commit, Error> {
    if receivers.is_empty() {
        return Ok(Commit::nothing());
    }
    check_size(context, message)?;
    if context.crypto.is_local() {
        match seal(context, sender_node_id, receivers, message).await {
            // The key is on its way to this process.
            Err(error) if error.is_of_crypto_service() => {}
            sealed => return sealed,
        }
    }
    let payload = Send {
        sender_node_id: sender_node_id.to_owned(),
        receivers: receivers.to_vec(),
        message: Value::Object(body::to_object(message)).to_string(),
    };
    let key = format!("send:{}", message.request_id());
    let mut commit = Commit::nothing();
    commit.job(NewJob::new(SEND, key, &payload));
    Ok(commit)
}

/// Handler of `mq.send`. A message that can never be signed or encrypted ends
/// as failed, and an `error` callback tells the sending role.
/// # Errors
/// Those that are not final.
pub async fn run_send(context: &Context, job: &Job) -> Result<Run, Error> {
    let Send {
        sender_node_id,
        receivers,
        message,
    } = job.payload()?;
    let message: Message = serde_json::from_str(&message).map_err(|error| {
        Error::with_message(codes::UNKNOWN_ERROR, format!("stored message: {error}")).unreadable()
    })?;
    let sealed = seal(context, &sender_node_id, &receivers, &message).await;
    let sealed = sealed.map_err(|error| given_up_in_time(context, job, error));
    Ok(Run::Commit(match settled(sealed)? {
        Ok(commit) => commit,
        Err(refusal) => unsendable(context, &sender_node_id, &message, &refusal),
    }))
}

fn unsendable(
    context: &Context,
    sender_node_id: &str,
    message: &Message,
    error: &Refusal,
) -> Commit {
    let request_id = message.request_id();
    let mut commit = Commit::failed(format!(
        "cannot send {} of request {request_id}: {error}",
        message.type_name()
    ));
    let role = sender_role(context, message).as_str();
    commit.job(error_job(
        role,
        Some(sender_node_id),
        &format!("{role}.processMessage"),
        Some(request_id),
        error,
    ));
    commit
}

/// The role of the sending node, perhaps behind this proxy.
fn sender_role(context: &Context, message: &Message) -> Role {
    if context.role != Role::Proxy {
        return context.role;
    }
    match message {
        Message::ConsentRequest(_) | Message::DataRequest(_) => Role::Rp,
        Message::IdpResponse(_) => Role::Idp,
        Message::AsResponse(_) => Role::As,
    }
}

/// Checks the size of a message before anything is put on the ledger
/// (spec/http-api.md Q19).
/// # Errors
/// 10000 `message size larger than max length limit`.
pub fn check_size(context: &Context, message: &Message) -> Result<(), Error> {
    let (bytes, _) = compress(context, body::encode(message));
    if bytes.len() > MAX_MESSAGE {
        return Err(Error::with_message(
            codes::UNKNOWN_ERROR,
            "message size larger than max length limit",
        ));
    }
    Ok(())
}

/// The bytes and the name of their compression, which is empty without any.
fn compress(context: &Context, bytes: Vec<u8>) -> (Vec<u8>, &'static str) {
    match context.config.mq.compress_from {
        Some(from) if bytes.len() >= from => (gzip::compress(&bytes), gzip::NAME),
        _ => (bytes, ""),
    }
}

async fn seal(
    context: &Context,
    sender_node_id: &str,
    receivers: &[Receiver],
    message: &Message,
) -> Result<Commit, Error> {
    let (bytes, compression) = compress(context, body::encode(message));
    let signature = envelope::sign(context, sender_node_id, &bytes).await?;
    let signed = MqMessage {
        version: envelope::VERSION,
        message_type: message.type_name().to_owned(),
        message: Bytes::from(bytes),
        signature: Bytes::from(signature),
        message_compression_algorithm: compression.to_owned(),
        ..Default::default()
    };
    let now = Millis::now();
    let mut commit = Commit::nothing();
    commit.write(record(context, receivers, message, now));
    for receiver in receivers {
        let payload = match settled(envelope::seal(context, &signed, receiver).await)? {
            Ok(payload) => payload,
            Err(error) if receivers.len() == 1 => return Err(error.into()),
            // One receiver's unusable key must not keep the message from the
            // others.
            Err(error) => {
                tracing::error!(
                    receiver = receiver.node_id,
                    request_id = message.request_id(),
                    %error,
                    "message cannot be encrypted for this receiver and is not sent to it"
                );
                continue;
            }
        };
        let outbound = OutboundMessage {
            message_id: next_message_id(),
            sender_node_id: sender_node_id.to_owned(),
            destination_node_id: receiver.node_id.clone(),
            ip: receiver.address.ip.clone(),
            port: receiver.address.port,
            payload,
            request_id: message.request_id().to_owned(),
        };
        // By address, because several nodes may be behind one proxy.
        let address = format!("{}:{}", receiver.address.ip, receiver.address.port);
        let order = format!("{} {}", receiver.node_id, message.request_id());
        let key = delivery_key("message", &address, &order);
        let job = NewJob::new(message::DELIVER, key, &outbound);
        commit.job(job.deadline(now.after(SEND_TIMEOUT)));
    }
    Ok(commit)
}

/// Unique per process and, by its random part, per node.
fn next_message_id() -> String {
    static PREFIX: LazyLock<String> = LazyLock::new(|| {
        let mut bytes = [0; 8];
        rand::rng().fill_bytes(&mut bytes);
        STANDARD.encode(bytes)
    });
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}_{number}", *PREFIX)
}

/// The column of a message in table `PrivateMessage`. `name` is unique for each
/// type and direction.
pub fn record_column(type_name: &str, direction: &str, name: &str) -> String {
    format!("{type_name}:{direction}:{name}")
}

/// The long-term record (spec/messaging-and-crypto.md 2.9), filed under this
/// process's node.
fn record(context: &Context, receivers: &[Receiver], message: &Message, now: Millis) -> Write {
    let record = json!({
        "message": body::to_object(message),
        "direction": "outbound",
        "destinations": receivers.iter().map(destination).collect::<Vec<_>>(),
        "timestamp": now.0,
    });
    Write::put_column(
        Table::PrivateMessage,
        row(context.node_id(), message.request_id()),
        record_column(
            message.type_name(),
            "outbound",
            &JobId::generate().to_string(),
        ),
        record.to_string().into_bytes(),
    )
}

fn destination(receiver: &Receiver) -> Map<String, Value> {
    let mut destination = Map::new();
    destination.insert("node_id".into(), receiver.node_id.clone().into());
    destination.insert(
        "encryption_public_key".into(),
        json!(receiver.encryption_key),
    );
    destination.insert("ip".into(), receiver.address.ip.clone().into());
    destination.insert("port".into(), receiver.address.port.into());
    if let Some(proxy) = &receiver.proxy {
        destination.insert("proxy_node_id".into(), proxy.node_id.clone().into());
        destination.insert(
            "proxy_encryption_public_key".into(),
            json!(proxy.encryption_key),
        );
        destination.insert("proxy_config".into(), proxy.config.clone().into());
    }
    destination
}

/// Looks up `node_id` as the receiver of an answer.
/// # Errors
/// 10032 unknown node; 10018 without message queue address.
pub async fn receiver(context: &Context, node_id: &str) -> Result<Receiver, Error> {
    let info = query::node_info(context.ledger.as_ref(), node_id)
        .await?
        .ok_or(codes::NODE_INFO_NOT_FOUND)?;
    let (addresses, proxy) = match info.proxy {
        None => (info.mq, None),
        Some(proxy) => (
            proxy.mq,
            Some(ReceiverProxy {
                node_id: proxy.node_id,
                encryption_key: proxy.encryption_public_key,
                config: proxy.config,
            }),
        ),
    };
    let address = addresses
        .into_iter()
        .next()
        .ok_or(codes::MESSAGE_QUEUE_ADDRESS_NOT_FOUND)?;
    Ok(Receiver {
        node_id: node_id.to_owned(),
        encryption_key: info.encryption_public_key,
        address,
        proxy,
    })
}
