//! From the raw bytes of a message to the job of its role
//! (spec/messaging-and-crypto.md 2).
//!
//! Most messages are opened before they are stored ([`opener`](super::opener)),
//! in one go. The others are stored and acknowledged as they came, and opened,
//! verified, checked and recorded here. When the ledger or the crypto service
//! cannot be reached, the job is tried again. Everything else that is wrong
//! with a message is final and reported to the role's `error_url`.
//!
//! Anybody can send a message, so its cost is bounded until its signature is
//! verified. A small message is parsed first, because its sender's name is
//! inside. For a large one, the signature is tried first with the key of the
//! node that the queue names. If that key does not fit, the message joins the
//! strangers' line: it is worked on beside other strangers' messages and never
//! beside those of known nodes. Its text is searched for the sender's name
//! without being kept, and parsed once its signature is verified.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use openssl::sha::sha256;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::to_role;
use crate::context::{Context, Role, row};
use crate::delivery::callback;
use crate::delivery::crypto_service::CRYPTO;
use crate::error::{Error, Refusal, codes};
use crate::heavy::{self, Whose};
use crate::job::{
    Commit, Gauge, Job, JobOutcome, Kind, Millis, NewJob, Run, Spec, Table, Write, codec,
    message_key, request_key,
};
use crate::ledger::query;
use crate::ledger::types::NodeInfo;
use crate::messaging::envelope::{NotServed, Opened};
use crate::messaging::outbound::record_column;
use crate::messaging::{Received, envelope, far, sender, unconfirmed};
use crate::mq::message::Message;
use crate::mq::{body, gzip, schema};
use crate::proto::wire::MqMessage;

crate::job::stored! {
    "mq_raw": RawMessage = 1,
}

/// Decrypts, verifies and records a raw message, and hands it to its role.
pub const RECEIVE: Kind = Kind::new(
    &Spec::transactional(0, "mq.receive")
        .is_shared_by_senders()
        .counts_in(INBOUND_MESSAGES)
        .counts_retries_in(CRYPTO),
);

/// Messages of other nodes that have not reached a role yet.
pub const INBOUND_MESSAGES: Gauge = Gauge::new(1, "processing_inbound_mq_messages_total");

/// Largest message once decompressed, in bytes.
pub(super) const MAX_DECOMPRESSED: usize = 26_214_400;

/// The line of messages whose sender is not the one that the queue names. No
/// node has this name.
const STRANGERS: &str = "?";
const STRANGERS_LINE: &str = "receive:?";

/// Payload of `mq.receive`: a message as it came from the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawMessage {
    /// What the other message queue service calls itself; not authenticated.
    pub sender_id: String,
    pub message_id: String,
    /// Encoded `EncryptedMqMessage`.
    #[serde(with = "codec::bytes")]
    pub bytes: Vec<u8>,
    pub received_at: Millis,
}

impl RawMessage {
    /// `<sender id>:<message id>`.
    pub fn id(&self) -> String {
        format!("{}:{}", self.sender_id, self.message_id)
    }

    /// The same however often the message comes, and in every process.
    fn digest(&self) -> String {
        let of_bytes = sha256(&self.bytes);
        let all = sha256(&[self.id().as_bytes(), &of_bytes].concat());
        hex::encode(&all[..16])
    }
}

/// The consequences of a message that a role accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The role's job. The process that stores it sets its source.
    pub job: NewJob,
    pub record: Write,
}

/// The consequences of a correct message that can be opened at once with little
/// work; `None`: leave it to `mq.receive`.
pub(super) async fn open_at_once(context: &Context, raw: &RawMessage) -> Option<Taken> {
    if raw.bytes.len() > heavy::SMALL {
        return None;
    }
    let bytes = Bytes::copy_from_slice(&raw.bytes);
    let opened = envelope::open(context, bytes, Whose::Nodes)
        .await
        .ok()?
        .ok()?;
    if !is_small(&opened.message) {
        return None;
    }
    let verified = verify(context, opened).await.ok()?;
    let receiver = &verified.receiver_node_id;
    let role = receiver_role(context, receiver).await.ok()?.ok()?;
    let kind = to_role::kind(role, &verified.message).ok()?;
    let place = place(context, &verified.message).await.ok()?;
    if let Some(LedgerPosition { height, .. }) = place {
        let known = context.ledger.height();
        let waits_compressed =
            height >= known && !verified.signed.message_compression_algorithm.is_empty();
        if height > known.saturating_add(MOST_AHEAD) || waits_compressed {
            return None;
        }
    }
    Some(Taken {
        job: role_job(kind, &verified, raw, place),
        record: record(&verified, raw),
    })
}

/// How many blocks a message may be ahead of the ledger as this node sees it.
/// The sender's ledger node may be some blocks faster than ours.
const MOST_AHEAD: u64 = 10;

/// How long a message that is further ahead waits for our ledger node to catch
/// up before it is refused. Its sender does not repeat it, because it was
/// acknowledged.
const AHEAD_PATIENCE: Duration = Duration::from_secs(11 * 60);

/// A message whose sender is verified.
struct Verified {
    message: Message,
    /// As sent, with its unknown members.
    object: Value,
    signed: MqMessage,
    sender: NodeInfo,
    receiver_node_id: String,
    proxy_signature: Option<String>,
}

/// Why a message is refused.
struct Rejected {
    /// The addressee; `None` while nothing in the message can be believed.
    addressed: Option<Addressed>,
    error: Error,
}

/// The addressee of a message.
struct Addressed {
    /// The node it is for, perhaps behind this proxy.
    node_id: String,
    role: Role,
    request_id: String,
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Self {
            addressed: None,
            error,
        }
    }
}

/// Handler of `mq.receive`.
/// # Errors
/// Those that are not final.
pub async fn run_receive(context: &Context, job: &Job) -> Result<Run, Error> {
    let raw: RawMessage = job.payload()?;
    let mut commit = match receive(context, job, &raw).await {
        Ok(commit) => commit,
        Err(Rejected { addressed, error }) => {
            let error = error.settle()?;
            match unconfirmed::wait(context, job, &raw, &error) {
                Some(waits) => waits,
                None => reject(context, &raw, addressed, &error),
            }
        }
    };
    far::has_waited(context, job, &mut commit);
    Ok(Run::Commit(commit))
}

fn reject(
    context: &Context,
    raw: &RawMessage,
    addressed: Option<Addressed>,
    error: &Refusal,
) -> Commit {
    tracing::warn!(message_id = raw.id(), %error, "message rejected");
    let (reason, report) = refusal(context, raw, addressed, error);
    let mut commit = Commit::failed(reason);
    commit.job(report);
    commit
}

/// The reason of a refusal in words, and the callback that tells the client.
fn refusal(
    context: &Context,
    raw: &RawMessage,
    addressed: Option<Addressed>,
    error: &Refusal,
) -> (String, NewJob) {
    let reason = format!("message {} rejected: {error}", raw.id());
    let report = match addressed {
        None => callback::error_job(context.role.as_str(), None, "onMessage", None, error),
        Some(Addressed {
            node_id,
            role,
            request_id,
        }) => {
            let role = role.as_str();
            let action = format!("{role}.handleMessageFromQueue");
            callback::error_job(role, Some(&node_id), &action, Some(&request_id), error)
        }
    };
    (reason, report)
}

async fn receive(context: &Context, job: &Job, raw: &RawMessage) -> Result<Commit, Rejected> {
    let is_strangers = job.new.sender() == Some(STRANGERS_LINE);
    let whose = match is_strangers {
        true => Whose::Strangers,
        false => Whose::Nodes,
    };
    let opened = envelope::open(context, Bytes::copy_from_slice(&raw.bytes), whose).await?;
    let opened = match opened {
        Ok(opened) => opened,
        Err(stranger) => return Ok(not_served(&stranger)),
    };
    if is_small(&opened.message) {
        return receive_opened(context, job, raw, opened).await;
    }
    if is_strangers {
        sender::check(context, &opened.message).await?;
    } else if !sender::is_as_named(context, raw, &opened).await? {
        return Ok(among_strangers(job, raw));
    }
    let text = match opened.message.message_compression_algorithm.is_empty() {
        true => opened.message.message.len(),
        false => MAX_DECOMPRESSED,
    };
    // The text, its values, and the record and job made of them.
    let memory = 3 * text;
    let (context, job, raw) = (context.clone(), job.clone(), raw.clone());
    heavy::run(Whose::Nodes, memory, async move {
        receive_opened(&context, &job, &raw, opened).await
    })
    .await
}

/// Whether the message is small enough to be processed at once.
fn is_small(message: &MqMessage) -> bool {
    let size = message.message.len();
    size <= heavy::SMALL
        && match message.message_compression_algorithm.as_str() {
            gzip::NAME => gzip::decompress(&message.message, heavy::SMALL).is_ok(),
            _ => true,
        }
}

/// The same message, to be opened in the strangers' line.
fn among_strangers(job: &Job, raw: &RawMessage) -> Commit {
    let key = message_key(STRANGERS, &raw.id());
    let mut again = NewJob::new(job.kind(), key, &());
    again.payload.clone_from(&job.new.payload);
    let mut commit = Commit::nothing();
    commit.job(again);
    commit
}

async fn receive_opened(
    context: &Context,
    job: &Job,
    raw: &RawMessage,
    opened: Opened,
) -> Result<Commit, Rejected> {
    let verified = verify(context, opened).await?;
    let mut commit = Commit::nothing();
    let role = match receiver_role(context, &verified.receiver_node_id).await? {
        Ok(role) => role,
        Err(stranger) => return Ok(not_served(&stranger)),
    };
    let kind = match to_role::kind(role, &verified.message) {
        Ok(kind) => kind,
        Err(reason) => {
            commit.outcome = JobOutcome::Failed { reason };
            return Ok(commit);
        }
    };
    let addressed = || Addressed {
        node_id: verified.receiver_node_id.clone(),
        role,
        request_id: verified.message.request_id().to_owned(),
    };
    let rejected = |error: Error| Rejected {
        addressed: Some(addressed()),
        error,
    };
    let place = place(context, &verified.message).await.map_err(rejected)?;
    let known = context.ledger.height();
    if let Some(LedgerPosition { height, era }) = place
        && height > known.saturating_add(MOST_AHEAD)
    {
        let error = too_far(height, known);
        let until = raw.received_at.after(AHEAD_PATIENCE);
        let refused = || refusal(context, raw, Some(addressed()), &error);
        let sender = verified.message.sender();
        let waits = far::wait(context, (job, raw), (height, era), sender, until, refused);
        return waits.ok_or_else(|| rejected(error.into()));
    }
    if let Some(LedgerPosition { height, era }) = place
        && height >= known
        && !verified.signed.message_compression_algorithm.is_empty()
        && job.new.after_height.is_none()
    {
        // A compressed message waits for its block as it came and is opened
        // again then, so that it takes no more room than its sender has sent.
        commit.job(far::waiting_job(job, height, era));
        return Ok(commit);
    }
    // Clients must delete records, so only messages that the node can use get
    // one.
    commit.write(record(&verified, raw));
    commit.job(role_job(kind, &verified, raw, place));
    Ok(commit)
}

/// Only operators hear of a message for a node that is not served here.
fn not_served(NotServed { node_id }: &NotServed) -> Commit {
    Commit::failed(format!("node {node_id} is not served by this proxy"))
}

/// Verifies who sent the message, and that it is unchanged.
///
/// Everything before the signature works on bytes of a stranger: sizes are
/// bounded, and nothing is believed.
async fn verify(context: &Context, opened: Opened) -> Result<Verified, Error> {
    let signed = opened.message;
    if signed.message.is_empty() || signed.signature.is_empty() {
        return Err(codes::MALFORMED_MESSAGE_FORMAT.into());
    }
    let bytes = decompress(&signed)?;
    let object = body::decode(&signed.message_type, &bytes)?;
    let claimed = claimed_sender(&object)
        .ok_or(codes::MESSAGE_FROM_UNKNOWN_NODE)?
        .to_owned();
    let sender = query::node_info(context.ledger.as_ref(), &claimed)
        .await?
        .ok_or(codes::MESSAGE_FROM_UNKNOWN_NODE)?;
    let height = object.get("height").and_then(Value::as_u64);
    let current_key = &sender.signing_public_key;
    if !sender::is_signed_with(current_key, &signed)
        && !sender::is_signed_before_rotation(context, &claimed, current_key, &signed, height)
            .await?
    {
        return Err(codes::INVALID_MESSAGE_SIGNATURE.into());
    }
    let object = Value::Object(object);
    let message = schema::validate(&object)?;
    if message.type_name() != signed.message_type {
        return Err(codes::INVALID_MESSAGE_TYPE.into());
    }
    // Each type has its sender's name in another member. A node must not pass
    // for another by adding a member that is read first.
    if message.sender() != claimed {
        return Err(codes::INVALID_MESSAGE_SIGNATURE.into());
    }
    Ok(Verified {
        message,
        object,
        signed,
        sender,
        receiver_node_id: opened.receiver_node_id,
        proxy_signature: opened
            .proxy_signature
            .map(|signature| STANDARD.encode(signature)),
    })
}

fn decompress(message: &MqMessage) -> Result<Cow<'_, [u8]>, Error> {
    match message.message_compression_algorithm.as_str() {
        "" => Ok(Cow::Borrowed(&message.message)),
        gzip::NAME => gzip::decompress(&message.message, MAX_DECOMPRESSED)
            .map(Cow::Owned)
            .map_err(|reason| Error::with_message(codes::MALFORMED_MESSAGE_FORMAT, reason)),
        other => Err(Error::with_message(
            codes::MALFORMED_MESSAGE_FORMAT,
            format!("unknown compression: {other}"),
        )),
    }
}

/// The first of the members in which senders name themselves.
fn claimed_sender(object: &Map<String, Value>) -> Option<&str> {
    ["idp_id", "rp_id", "as_id"]
        .iter()
        .filter_map(|member| object.get(*member)?.as_str())
        .find(|node_id| !node_id.is_empty())
}

/// The role of the node that the message is for.
async fn receiver_role(
    context: &Context,
    receiver_node_id: &str,
) -> Result<Result<Role, NotServed>, Error> {
    if context.role != Role::Proxy {
        return Ok(Ok(context.role));
    }
    let info = query::node_info(context.ledger.as_ref(), receiver_node_id).await?;
    let served = info.filter(|info| {
        info.proxy.as_ref().is_some_and(|proxy| {
            proxy.node_id == context.node_id() && proxy.config == "KEY_ON_PROXY"
        })
    });
    let role = served.and_then(|info| Role::parse(&info.role));
    Ok(role.ok_or_else(|| NotServed {
        node_id: receiver_node_id.to_owned(),
    }))
}

/// Whether the message belongs to the current chain; false for an earlier one.
/// # Errors
/// 10047 for any other chain.
async fn is_current_chain(context: &Context, message: &Message) -> Result<bool, Error> {
    let (chain_id, _) = message.position();
    if chain_id == context.ledger.chain_id()? {
        return Ok(true);
    }
    let history = query::chain_history(context.ledger.as_ref()).await?;
    if history.iter().any(|known| known == chain_id) {
        return Ok(false);
    }
    Err(codes::UNRECOGNIZED_MESSAGE_CHAIN_ID.into())
}

/// The block after which the role may act.
#[derive(Debug, Clone, Copy)]
struct LedgerPosition {
    height: u64,
    era: u64,
}

/// The block that the message belongs to; `None` for messages of an earlier
/// chain, whose heights say nothing about this one.
/// # Errors
/// As [`is_current_chain`].
async fn place(context: &Context, message: &Message) -> Result<Option<LedgerPosition>, Error> {
    if !is_current_chain(context, message).await? {
        return Ok(None);
    }
    let era = context.ledger.era()?;
    let (_, height) = message.position();
    Ok(Some(LedgerPosition { height, era }))
}

/// The refusal of a message whose block may never come.
fn too_far(height: u64, known: u64) -> Refusal {
    let text = format!("The message belongs to block {height}, the ledger is at block {known}");
    Refusal::with_message(codes::MALFORMED_MESSAGE_FORMAT, text)
}

/// The job of the role. It waits for a block above the message's height.
fn role_job(
    kind: Kind,
    verified: &Verified,
    raw: &RawMessage,
    place: Option<LedgerPosition>,
) -> NewJob {
    let message = &verified.message;
    let received = Received {
        receiver_node_id: verified.receiver_node_id.clone(),
        message_id: raw.id(),
        message: verified.object.to_string(),
    };
    // Names the signed text and its signer, so that neither a copy under
    // another id nor another message under this id can pass for it.
    let digest = hex::encode(&sha256(&verified.signed.message)[..16]);
    let source = format!(
        "message:{}:{}:{digest}",
        verified.receiver_node_id,
        message.sender()
    );
    let job = NewJob::new(kind, request_key(message.request_id()), &received).source(source);
    match place {
        Some(LedgerPosition { height, era }) => job.after_height(height).of_era(era),
        None => job,
    }
}

/// The long-term record (spec/messaging-and-crypto.md 2.9), filed under the
/// receiving node.
fn record(verified: &Verified, raw: &RawMessage) -> Write {
    let message = &verified.message;
    let mut source = json!({"node_id": message.sender()});
    if let Some(proxy) = &verified.sender.proxy {
        source["proxy_node_id"] = proxy.node_id.clone().into();
        source["proxy_config"] = proxy.config.clone().into();
    }
    let mut record = json!({
        "message": verified.object,
        "direction": "inbound",
        "source": source,
        "signature": STANDARD.encode(&verified.signed.signature),
    });
    if let Some(signature) = &verified.proxy_signature {
        record["signature_for_proxy"] = signature.clone().into();
    }
    record["timestamp"] = raw.received_at.0.into();
    Write::put_column(
        Table::PrivateMessage,
        row(&verified.receiver_node_id, message.request_id()),
        // One record, also if the message comes and is opened again.
        record_column(message.type_name(), "inbound", &raw.digest()),
        record.to_string().into_bytes(),
    )
}
