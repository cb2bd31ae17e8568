//! From the raw bytes of a message to the job of the role that handles it
//! (spec/messaging-and-crypto.md 2).
//!
//! The bytes were stored and acknowledged before; here they are opened,
//! verified and checked, and recorded if a role takes them. A ledger or crypto
//! service that cannot be reached keeps the job; everything else that is wrong
//! with a message is final and reported to the role's `error_url`.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::sha256;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::envelope::{NotServed, Opened};
use super::held::Waiting;
use super::message::Message;
use super::outbound::record_column;
use super::{body, envelope, gzip, schema};
use crate::actors::Run;
use crate::crypto::signature;
use crate::delivery::callback;
use crate::error::{Error, Refusal, codes};
use crate::flows::{self, Received};
use crate::job::{Commit, Job, Kind, Millis, NewJob, Outcome, Table, Write, codec};
use crate::ledger::query;
use crate::ledger::types::{NodeInfo, NodeKey};
use crate::node::{Context, Role};
use crate::proto::wire::MqMessage;

/// Largest message once decompressed, in bytes.
const MAX_DECOMPRESSED: usize = 26_214_400;

/// For how many blocks after a rotation the key before it still verifies
/// messages sent before it. Senders repeat themselves for 11 minutes.
const OLD_KEY_BLOCKS: u64 = 1000;

/// Payload of `mq.receive`: a message as it came from the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawMessage {
    /// What the other message queue service says of itself; not authenticated.
    pub sender_id: String,
    /// Unique per sender.
    pub message_id: String,
    /// Encoded `EncryptedMqMessage`.
    #[serde(with = "codec::bytes")]
    pub bytes: Vec<u8>,
    /// When it came.
    pub received_at: Millis,
}

impl RawMessage {
    /// `<sender id>:<message id>`.
    pub fn id(&self) -> String {
        format!("{}:{}", self.sender_id, self.message_id)
    }
}

/// How many blocks a message may be ahead of the ledger as this node sees it.
/// Its sender's node of the ledger may be faster than ours by some blocks.
const MOST_AHEAD: u64 = 10;

/// How long a message that is further ahead waits for our node of the ledger to
/// come nearer; then it is refused. Its sender will not repeat it: it was
/// acknowledged.
const AHEAD_PATIENCE: Duration = Duration::from_secs(11 * 60);

/// A message whose sender is known.
struct Verified {
    message: Message,
    /// As it was sent, unknown members included.
    object: Value,
    signed: MqMessage,
    sender: NodeInfo,
    receiver_node_id: String,
    proxy_signature: Option<String>,
}

/// Why a message is not handled.
struct Rejected {
    /// What is known of the message; `None` while nothing in it can be believed.
    addressed: Option<Addressed>,
    error: Error,
}

/// Whose message it is.
struct Addressed {
    /// Node the message is for (behind a proxy: that node).
    node_id: String,
    /// Role of that node.
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
///
/// # Errors
/// Those that are not final.
pub async fn run_receive(context: &Context, job: &Job) -> Result<Run, Error> {
    let raw: RawMessage = job.payload()?;
    match receive(context, job, &raw).await {
        Ok(commit) => Ok(Run::Commit(commit)),
        Err(Rejected { addressed, error }) => {
            let refusal = error.settle()?;
            Ok(Run::Commit(reject(context, &raw, addressed, &refusal)))
        }
    }
}

fn reject(
    context: &Context,
    raw: &RawMessage,
    addressed: Option<Addressed>,
    error: &Refusal,
) -> Commit {
    tracing::warn!(message_id = raw.id(), %error, "message rejected");
    let mut commit = Commit::failed(format!("message {} rejected: {error}", raw.id()));
    commit.job(match addressed {
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
    });
    commit
}

async fn receive(context: &Context, job: &Job, raw: &RawMessage) -> Result<Commit, Rejected> {
    let opened = match envelope::open(context, &raw.bytes).await? {
        Ok(opened) => opened,
        Err(stranger) => return Ok(not_served(&stranger)),
    };
    let verified = verify(context, opened).await?;
    let mut commit = Commit::nothing();
    let role = match receiver_role(context, &verified.receiver_node_id).await? {
        Ok(role) => role,
        Err(stranger) => return Ok(not_served(&stranger)),
    };
    let kind = match handler(role, &verified.message) {
        Ok(kind) => kind,
        Err(reason) => {
            commit.outcome = Outcome::Failed { reason };
            return Ok(commit);
        }
    };
    let place = place(context, job, raw, &verified.message).await;
    let place = place.map_err(|error| Rejected {
        addressed: Some(Addressed {
            node_id: verified.receiver_node_id.clone(),
            role,
            request_id: verified.message.request_id().to_owned(),
        }),
        error,
    })?;
    if let Some(place) = place
        && place.height >= context.ledger.height()
        && !verified.signed.message_compression_algorithm.is_empty()
        && job.new.after_height.is_none()
    {
        return Ok(as_it_came(job, raw, place));
    }
    // Kept until a client removes it: only what the node has a use for.
    commit.write(record(&verified, raw.received_at));
    commit.job(role_job(kind, &verified, raw, place));
    Ok(commit)
}

/// Nobody but operators hears of a message for a node of somebody else.
fn not_served(NotServed { node_id }: &NotServed) -> Commit {
    Commit::failed(format!("node {node_id} is not served by this proxy"))
}

/// A compressed message waits for its block as it came and is opened again
/// then: what waits takes no more room than its sender has sent.
fn as_it_came(job: &Job, raw: &RawMessage, place: Place) -> Commit {
    let waiting = NewJob::new(job.kind(), job.key(), raw)
        .after_height(place.height)
        .of_era(place.era);
    let mut commit = Commit::nothing();
    commit.job(waiting);
    commit
}

/// Establishes who sent the message and that it is what it says.
///
/// Everything up to the signature works on bytes of somebody unknown: sizes
/// are bounded, and nothing is believed.
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
    if !is_signed_with(current_key, &signed)
        && !is_signed_before_rotation(context, &claimed, current_key, &signed, height).await?
    {
        return Err(codes::INVALID_MESSAGE_SIGNATURE.into());
    }
    let object = Value::Object(object);
    let message = schema::validate(&object)?;
    if message.type_name() != signed.message_type {
        return Err(codes::INVALID_MESSAGE_TYPE.into());
    }
    // The sender's name stands in another member for each type; a node must
    // not pass for another one by adding a member that is looked at first.
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

fn is_signed_with(key: &NodeKey, message: &MqMessage) -> bool {
    signature::verify(
        &key.public_key,
        &key.algorithm,
        &message.message,
        &message.signature,
    )
}

/// Whether the message was sent before its sender changed keys, not long ago,
/// and is signed with the key of that time.
async fn is_signed_before_rotation(
    context: &Context,
    sender_id: &str,
    current: &NodeKey,
    message: &MqMessage,
    message_height: Option<u64>,
) -> Result<bool, Error> {
    let rotated_at = u64::try_from(current.creation_block_height).unwrap_or_default();
    let is_recent = context.ledger.height().saturating_sub(rotated_at) <= OLD_KEY_BLOCKS;
    let is_older = message_height.is_some_and(|height| height < rotated_at);
    if current.version < 2 || !is_recent || !is_older {
        return Ok(false);
    }
    let params = json!({"node_id": sender_id});
    let answer = context
        .ledger
        .query("GetNodePublicKeyList", params, None)
        .await?;
    let keys = answer.map(|answer| answer["signing_public_key_list"].clone());
    let keys = Option::<Vec<NodeKey>>::deserialize(keys.unwrap_or_default())
        .ok()
        .flatten()
        .unwrap_or_default();
    Ok(keys
        .iter()
        .find(|key| key.version + 1 == current.version)
        .is_some_and(|key| is_signed_with(key, message)))
}

/// Role of the node the message is for.
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

/// Which handler takes a message (spec/messaging-and-crypto.md 2.7).
fn handler(role: Role, message: &Message) -> Result<Kind, String> {
    match (role, message) {
        (Role::Rp, Message::IdpResponse(_)) => Ok(Kind::RpIdpResponse),
        (Role::Rp, Message::AsResponse(_)) => Ok(Kind::RpAsResponse),
        (Role::Idp, Message::ConsentRequest(_)) => Ok(Kind::IdpConsentRequest),
        (Role::As, Message::DataRequest(_)) => Ok(Kind::AsDataRequest),
        (Role::Idp, Message::IdpResponse(_)) => {
            Err("consent for identity operations is not part of this release".to_owned())
        }
        (role, message) => Err(format!(
            "a node of role {} does not take {}",
            role.as_str(),
            message.type_name()
        )),
    }
}

/// Whether the message belongs to the chain of today; false for one of its
/// predecessors.
///
/// # Errors
/// 10047 for any other.
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

/// The block that the role must have seen the successor of.
#[derive(Debug, Clone, Copy)]
struct Place {
    height: u64,
    era: u64,
}

/// Where in the ledger the message belongs; `None` for messages of an earlier
/// chain, whose heights say nothing about this one.
///
/// # Errors
/// As [`is_current_chain`]; for a height far above the ledger's temporary ones,
/// and 10023 when that has lasted too long, or when too much of its sender
/// waits already: nothing waits for a block that may never come.
async fn place(
    context: &Context,
    job: &Job,
    raw: &RawMessage,
    message: &Message,
) -> Result<Option<Place>, Error> {
    if !is_current_chain(context, message).await? {
        return Ok(None);
    }
    let era = context.ledger.era()?;
    let (_, height) = message.position();
    let known = context.ledger.height();
    if height <= known.saturating_add(MOST_AHEAD) {
        context.held.release(message.sender(), job.seq);
        return Ok(Some(Place { height, era }));
    }
    let text = format!("The message belongs to block {height}, the ledger is at block {known}");
    let error = Error::with_message(codes::MALFORMED_MESSAGE_FORMAT, text);
    let waiting = Waiting {
        job: job.seq,
        bytes: raw.bytes.len() as u64,
        until: raw.received_at.after(AHEAD_PATIENCE),
    };
    let is_in_time = waiting.until > Millis::now();
    let sender = message.sender();
    if is_in_time && context.held.admit(sender, waiting, context.config.queue) {
        return Err(error.temporary());
    }
    context.held.release(sender, job.seq);
    Err(error)
}

/// The job of the role. It waits for a block above the message's height.
fn role_job(kind: Kind, verified: &Verified, raw: &RawMessage, place: Option<Place>) -> NewJob {
    let message = &verified.message;
    let received = Received {
        receiver_node_id: verified.receiver_node_id.clone(),
        message_id: raw.id(),
        message: verified.object.to_string(),
    };
    // What was signed, and by whom: neither a copy under another id nor
    // another message under this id can pass for it.
    let digest = hex::encode(&sha256(&verified.signed.message)[..16]);
    let source = format!(
        "message:{}:{}:{digest}",
        verified.receiver_node_id,
        message.sender()
    );
    let job = NewJob::new(kind, flows::request_key(message.request_id()), &received).source(source);
    match place {
        Some(Place { height, era }) => job.after_height(height).of_era(era),
        None => job,
    }
}

/// The long-term record (spec/messaging-and-crypto.md 2.9), filed under the
/// node the message is for.
fn record(verified: &Verified, received_at: Millis) -> Write {
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
    record["timestamp"] = received_at.0.into();
    Write::put_column(
        Table::PrivateMessage,
        flows::row(&verified.receiver_node_id, message.request_id()),
        record_column(message.type_name(), "inbound"),
        record.to_string().into_bytes(),
    )
}
