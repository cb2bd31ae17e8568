//! Verifies who signed a message (spec/messaging-and-crypto.md 2.3). The
//! signature covers the bytes as they were sent, compressed or not. So it can
//! be checked before anything is inflated, but only with the sender's name,
//! which is inside.

use serde_json::Value;

use crate::context::Context;
use crate::crypto::signature;
use crate::error::{Error, codes};
use crate::heavy::{self, Whose};
use crate::ledger::query;
use crate::ledger::types::NodeKey;
use crate::messaging::envelope::Opened;
use crate::messaging::inbound::{MAX_DECOMPRESSED, RawMessage};
use crate::mq::scan;
use crate::proto::wire::MqMessage;

/// For how many blocks after a rotation the previous key verifies messages that
/// were sent before it. Senders repeat a message for 11 minutes.
const OLD_KEY_BLOCKS: u64 = 1000;

/// How many blocks later than the ledger a process of the sender may hear of the
/// new key.
const LATE_BLOCKS: u64 = 10;

/// Whether a message is signed with the key of the node that the queue names,
/// or came through a proxy that signed it. A registered node is then
/// responsible for its cost. Which node it is remains to be verified.
pub(super) async fn is_as_named(
    context: &Context,
    raw: &RawMessage,
    opened: &Opened,
) -> Result<bool, Error> {
    if opened.proxy_signature.is_some() {
        return Ok(true);
    }
    let named = query::node_info(context.ledger.as_ref(), &raw.sender_id).await?;
    let Some(named) = named else {
        return Ok(false);
    };
    let message = opened.message.clone();
    let size = message.message.len();
    let verified = heavy::compute_if_large(Whose::Nodes, size, move || {
        is_signed_with(&named.signing_public_key, &message)
    });
    Ok(verified.await)
}

/// Checks the signature of a message of unknown sender, in the strangers' line.
/// # Errors
/// 10043 unknown type; 10020 no or an unknown sender; 10021 wrong signature.
pub(super) async fn check(context: &Context, message: &MqMessage) -> Result<(), Error> {
    let member = match message.message_type.as_str() {
        "consent_request" | "data_request" => "rp_id",
        "idp_response" => "idp_id",
        "as_response" => "as_id",
        _ => return Err(codes::INVALID_MESSAGE_TYPE.into()),
    };
    let claimed = search(message, member).await;
    let claimed = claimed.as_ref().and_then(Value::as_str);
    let claimed = claimed.ok_or(codes::MESSAGE_FROM_UNKNOWN_NODE)?;
    let info = query::node_info(context.ledger.as_ref(), claimed).await?;
    let info = info.ok_or(codes::MESSAGE_FROM_UNKNOWN_NODE)?;
    let key = info.signing_public_key;
    let (tried, with) = (message.clone(), key.clone());
    let is_signed = heavy::compute(Whose::Strangers, message.message.len(), move || {
        is_signed_with(&with, &tried)
    });
    if is_signed.await {
        return Ok(());
    }
    if is_recent(context, &key) {
        let height = search(message, "height").await;
        let height = height.as_ref().and_then(Value::as_u64);
        if is_signed_before_rotation(context, claimed, &key, message, height).await? {
            return Ok(());
        }
    }
    Err(codes::INVALID_MESSAGE_SIGNATURE.into())
}

async fn search(message: &MqMessage, member: &'static str) -> Option<Value> {
    let message = message.clone();
    let memory = message.message.len() + heavy::SMALL;
    heavy::compute(Whose::Strangers, memory, move || {
        scan::member(&message, member, MAX_DECOMPRESSED as u64)
    })
    .await
}

pub(super) fn is_signed_with(key: &NodeKey, message: &MqMessage) -> bool {
    signature::verify(
        &key.public_key,
        &key.algorithm,
        &message.message,
        &message.signature,
    )
}

/// Whether a key recently replaced another one.
pub(super) fn is_recent(context: &Context, key: &NodeKey) -> bool {
    let age = context.ledger.height().saturating_sub(rotated_at(key));
    key.version >= 2 && age <= OLD_KEY_BLOCKS
}

fn rotated_at(key: &NodeKey) -> u64 {
    u64::try_from(key.creation_block_height).unwrap_or_default()
}

/// Whether the message was sent before its sender's recent rotation and is
/// signed with the key of that time.
pub(super) async fn is_signed_before_rotation(
    context: &Context,
    sender_id: &str,
    current: &NodeKey,
    message: &MqMessage,
    height: Option<u64>,
) -> Result<bool, Error> {
    let until = rotated_at(current).saturating_add(LATE_BLOCKS);
    let is_older = height.is_some_and(|height| height < until);
    if !is_recent(context, current) || !is_older {
        return Ok(false);
    }
    let earlier = query::earlier_signing_keys(context.ledger.as_ref(), sender_id, current).await?;
    let Some(key) = earlier.into_iter().next() else {
        return Ok(false);
    };
    let message = message.clone();
    let size = message.message.len();
    let signed =
        heavy::compute_if_large(Whose::Nodes, size, move || is_signed_with(&key, &message));
    Ok(signed.await)
}
