//! The encrypted envelope of a message and the second one around it for nodes
//! behind a proxy (spec/messaging-and-crypto.md 2.3, 2.8, 3.5).

use bytes::Bytes;
use openssl::sha::sha256;
use prost::Message as _;
use serde_json::json;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::crypto::{KeyUse, encryption, envelope, signature};
use crate::error::{Error, codes};
use crate::ledger::query;
use crate::ledger::types::NodeKey;
use crate::mq::outbound::Receiver;
use crate::node::{Context, Role};
use crate::proto::wire::{EncryptedMqMessage, MqMessage};

/// Version of [`MqMessage`].
pub const VERSION: i32 = 2;

/// An opened message whose sender has yet to be verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The innermost layer.
    pub message: MqMessage,
    /// Node the message is for (behind a proxy: that node).
    pub receiver_node_id: String,
    /// Signature of the outer layer, on a proxy.
    pub proxy_signature: Option<Bytes>,
}

/// Signs bytes with a node's signing key under its registered algorithm.
///
/// # Errors
/// 10034 when the ledger has no key for it; those of the ledger and of signing.
pub async fn sign(context: &Context, node_id: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let key = query::signing_key(context.ledger.as_ref(), node_id)
        .await?
        .ok_or(codes::NODE_KEY_NOT_FOUND)?;
    context
        .crypto
        .sign(node_id, KeyUse::Signing, &key.algorithm, key.version, bytes)
        .await
}

/// Encrypts a signed message for one receiver, twice if it lives behind a
/// proxy. Gives the bytes of the outermost [`EncryptedMqMessage`].
///
/// # Errors
/// Those of [`encryption::encrypt`] and [`sign`].
pub async fn seal(
    context: &Context,
    message: &MqMessage,
    receiver: &Receiver,
) -> Result<Vec<u8>, Error> {
    let inner = encrypt(message, &receiver.encryption_key)?;
    let Some(proxy) = &receiver.proxy else {
        return Ok(inner);
    };
    let sender = context.node_id();
    let signed = outer_signed_text(&inner, &receiver.node_id, sender);
    let outer = MqMessage {
        version: VERSION,
        signature: Bytes::from(sign(context, sender, signed.as_bytes()).await?),
        message: Bytes::from(inner),
        receiver_node_id: receiver.node_id.clone(),
        sender_node_id: sender.to_owned(),
        ..Default::default()
    };
    encrypt(&outer, &proxy.encryption_key)
}

/// What the signature of the outer layer covers.
fn outer_signed_text(inner: &[u8], receiver_node_id: &str, sender_node_id: &str) -> String {
    let hash = STANDARD.encode(sha256(inner));
    format!("{hash}|{receiver_node_id}|{sender_node_id}")
}

fn encrypt(message: &MqMessage, key: &NodeKey) -> Result<Vec<u8>, Error> {
    let symmetric_key = envelope::generate_key();
    let wrapped = encryption::encrypt(&key.public_key, &key.algorithm, &symmetric_key)?;
    let encrypted =
        envelope::encrypt(&symmetric_key, &message.encode_to_vec()).map_err(|error| {
            Error::with_message(codes::UNKNOWN_ERROR, format!("cannot encrypt: {error}"))
        })?;
    let sealed = EncryptedMqMessage {
        encrypted_symmetric_key: Bytes::from(wrapped),
        encrypted_mq_message: Bytes::from(encrypted),
    };
    Ok(sealed.encode_to_vec())
}

/// Opens the bytes another node sent to this one.
///
/// # Errors
/// 10022 cannot be decrypted; 10052 another version; on a proxy 10023 without
/// receiver or sender, 10020 unknown sender, 10021 wrong outer signature.
/// Temporary when ledger or crypto service cannot be reached.
pub async fn open(context: &Context, bytes: &[u8]) -> Result<Opened, Error> {
    let message = decrypt(context, context.node_id(), bytes).await?;
    if context.role != Role::Proxy {
        return Ok(Opened {
            message,
            receiver_node_id: context.node_id().to_owned(),
            proxy_signature: None,
        });
    }
    let outer = message;
    verify_outer(context, &outer).await?;
    let message = decrypt(context, &outer.receiver_node_id, &outer.message).await?;
    Ok(Opened {
        message,
        receiver_node_id: outer.receiver_node_id,
        proxy_signature: Some(outer.signature),
    })
}

async fn verify_outer(context: &Context, outer: &MqMessage) -> Result<(), Error> {
    if outer.receiver_node_id.is_empty() || outer.sender_node_id.is_empty() {
        return Err(codes::MALFORMED_MESSAGE_FORMAT.into());
    }
    let key = query::signing_key(context.ledger.as_ref(), &outer.sender_node_id)
        .await?
        .ok_or(codes::MESSAGE_FROM_UNKNOWN_NODE)?;
    let signed = outer_signed_text(
        &outer.message,
        &outer.receiver_node_id,
        &outer.sender_node_id,
    );
    let is_valid = signature::verify(
        &key.public_key,
        &key.algorithm,
        signed.as_bytes(),
        &outer.signature,
    );
    if !is_valid {
        return Err(codes::INVALID_MESSAGE_SIGNATURE.into());
    }
    Ok(())
}

async fn decrypt(context: &Context, node_id: &str, bytes: &[u8]) -> Result<MqMessage, Error> {
    let sealed = EncryptedMqMessage::decode(bytes).map_err(|_| codes::DECRYPT_MESSAGE_ERROR)?;
    let key = query::encryption_key(context.ledger.as_ref(), node_id)
        .await?
        .ok_or(codes::NODE_KEY_NOT_FOUND)?;
    let symmetric_key = context
        .crypto
        .decrypt(
            node_id,
            &key.algorithm,
            key.version,
            &sealed.encrypted_symmetric_key,
        )
        .await?;
    let plaintext = envelope::decrypt(&symmetric_key, &sealed.encrypted_mq_message)
        .ok_or(codes::DECRYPT_MESSAGE_ERROR)?;
    let message =
        MqMessage::decode(plaintext.as_slice()).map_err(|_| codes::MALFORMED_MESSAGE_FORMAT)?;
    if message.version != VERSION {
        let details = json!({"expected": VERSION, "got": message.version});
        return Err(Error::from(codes::MQ_MESSAGE_VERSION_MISMATCH).with_details(details));
    }
    Ok(message)
}
