//! The encrypted envelope of a message and the second one around it for nodes
//! behind a proxy (spec/messaging-and-crypto.md 2.3, 2.8, 3.5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use openssl::sha::sha256;
use prost::Message as _;
use serde_json::json;

use crate::context::{Context, Role};
use crate::crypto::{KeyUse, encryption, envelope, public_key, signature};
use crate::error::{Error, codes};
use crate::heavy::{self, Whose};
use crate::ledger::query;
use crate::ledger::types::NodeKey;
use crate::messaging::outbound::Receiver;
use crate::messaging::sender;
use crate::proto::wire::{EncryptedMqMessage, MqMessage};

/// How many keys before the current one a message may have been sealed for.
const EARLIER_KEYS: usize = 2;

/// Version of [`MqMessage`].
pub const VERSION: i32 = 2;

/// An opened message whose sender has yet to be verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    pub message: MqMessage,
    /// The node it is for, perhaps behind this proxy.
    pub receiver_node_id: String,
    /// On a proxy: the signature of the outer layer.
    pub proxy_signature: Option<Bytes>,
}

/// Signs bytes with a node's signing key under its registered algorithm.
/// # Errors
/// 10034 when the ledger has no key for it; those of the ledger and of signing.
pub async fn sign(context: &Context, node_id: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let key = query::signing_key(context.ledger.as_ref(), node_id)
        .await?
        .ok_or(codes::NODE_KEY_NOT_FOUND)?;
    context
        .crypto
        .sign(node_id, KeyUse::Signing, &key, bytes)
        .await
}

/// Encrypts a signed message for one receiver, twice if the receiver is behind
/// a proxy. Returns the bytes of the outermost [`EncryptedMqMessage`].
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

/// The text that the signature of the outer layer covers.
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

/// A message for a node that this proxy does not serve.
#[derive(Debug)]
pub struct NotServed {
    pub node_id: String,
}

/// Opens the bytes that another node sent to this one. A large message is
/// opened with the heavy work of `whose` line.
/// # Errors
/// 10022 cannot be decrypted; 10052 another version; on a proxy 10023 without
/// receiver or sender, 10020 unknown sender, 10021 wrong outer signature.
/// Temporary when the ledger or the crypto service cannot be reached.
pub async fn open(
    context: &Context,
    bytes: Bytes,
    whose: Whose,
) -> Result<Result<Opened, NotServed>, Error> {
    let message = decrypt(context, context.node_id(), bytes, whose).await?;
    if context.role != Role::Proxy {
        return Ok(Ok(Opened {
            message,
            receiver_node_id: context.node_id().to_owned(),
            proxy_signature: None,
        }));
    }
    let outer = message;
    verify_outer(context, &outer, whose).await?;
    let node_id = outer.receiver_node_id.clone();
    if !context.served_nodes().await?.contains(&node_id) {
        return Ok(Err(NotServed { node_id }));
    }
    let inner = outer.message.clone();
    let message = decrypt(context, &node_id, inner, whose).await?;
    Ok(Ok(Opened {
        message,
        receiver_node_id: node_id,
        proxy_signature: Some(outer.signature),
    }))
}

async fn verify_outer(context: &Context, outer: &MqMessage, whose: Whose) -> Result<(), Error> {
    if outer.receiver_node_id.is_empty() || outer.sender_node_id.is_empty() {
        return Err(codes::MALFORMED_MESSAGE_FORMAT.into());
    }
    let key = query::signing_key(context.ledger.as_ref(), &outer.sender_node_id)
        .await?
        .ok_or(codes::MESSAGE_FROM_UNKNOWN_NODE)?;
    let sender = outer.sender_node_id.as_str();
    let mut keys = vec![key];
    if sender::is_recent(context, &keys[0]) {
        let earlier = query::earlier_signing_keys(context.ledger.as_ref(), sender, &keys[0]);
        keys.extend(earlier.await?.into_iter().take(1));
    }
    let outer = outer.clone();
    let size = outer.message.len();
    let is_valid = heavy::compute_if_large(whose, size, move || {
        let (receiver, sender) = (&outer.receiver_node_id, &outer.sender_node_id);
        let signed = outer_signed_text(&outer.message, receiver, sender);
        let mut keys = keys.iter();
        keys.any(
            |NodeKey {
                 public_key,
                 algorithm,
                 ..
             }| {
                signature::verify(public_key, algorithm, signed.as_bytes(), &outer.signature)
            },
        )
    });
    if !is_valid.await {
        return Err(codes::INVALID_MESSAGE_SIGNATURE.into());
    }
    Ok(())
}

async fn decrypt(
    context: &Context,
    node_id: &str,
    bytes: Bytes,
    whose: Whose,
) -> Result<MqMessage, Error> {
    let size = bytes.len();
    let sealed = EncryptedMqMessage::decode(bytes).map_err(|_| codes::DECRYPT_MESSAGE_ERROR)?;
    let current = query::encryption_key(context.ledger.as_ref(), node_id)
        .await?
        .ok_or(codes::NODE_KEY_NOT_FOUND)?;
    let mut opened = unseal(context, node_id, &current, &sealed, (whose, size)).await;
    // A service that is away is not asked about other keys.
    let is_away = |error: &Error| error.is_temporary() && !context.crypto.is_local();
    if opened.as_ref().is_err_and(|error| !is_away(error)) {
        for key in other_keys(context, node_id, &current).await? {
            let again = unseal(context, node_id, &key, &sealed, (whose, size)).await;
            if again.is_ok() {
                opened = again;
                break;
            }
        }
    }
    let message = MqMessage::decode(Bytes::from(opened?));
    let message = message.map_err(|_| codes::MALFORMED_MESSAGE_FORMAT)?;
    if message.version != VERSION {
        let details = json!({"expected": VERSION, "got": message.version});
        return Err(Error::from(codes::MQ_MESSAGE_VERSION_MISMATCH).with_details(details));
    }
    Ok(message)
}

/// Opens a message that was sealed for this key of the node.
async fn unseal(
    context: &Context,
    node_id: &str,
    key: &NodeKey,
    sealed: &EncryptedMqMessage,
    (whose, size): (Whose, usize),
) -> Result<Vec<u8>, Error> {
    // One operation with a private key, however much is encrypted: some tenths of
    // a millisecond, or a call of the external service, which must hold no place.
    let wrapped = &sealed.encrypted_symmetric_key;
    let symmetric_key = context.crypto.decrypt(node_id, key, wrapped).await?;
    let sealed = sealed.encrypted_mq_message.clone();
    let plaintext = heavy::compute_if_large(whose, 2 * size, move || {
        envelope::decrypt(&symmetric_key, &sealed)
    });
    plaintext.await.ok_or(codes::DECRYPT_MESSAGE_ERROR.into())
}

/// Keys other than the current one that a message may have been sealed for: those
/// that it took the place of, and those that this process has and the ledger did
/// not have yet when it was last asked.
async fn other_keys(
    context: &Context,
    node_id: &str,
    current: &NodeKey,
) -> Result<Vec<NodeKey>, Error> {
    let ledger = context.ledger.as_ref();
    let mut keys = query::earlier_encryption_keys(ledger, node_id, current).await?;
    keys.truncate(EARLIER_KEYS);
    let is_on_ledger = |pem: &str| {
        let mut known = keys.iter().chain([current]);
        known.any(|key| public_key::are_same(&key.public_key, pem))
    };
    let mut held = context.crypto.encryption_keys(node_id);
    held.retain(|pem| !is_on_ledger(pem));
    keys.extend(held.iter().flat_map(|pem| {
        let algorithms = encryption::ALGORITHMS.iter();
        algorithms.map(|algorithm| NodeKey::unregistered(pem, algorithm))
    }));
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_key;

    const SPECIFIED: &str = concat!(
        "CoACCsgv6Grf20thtd5lesbbNNyvSUiledTbOuK6XIU5YExdDDLTC+M8ld1GuQUSwpeZqSgG5WLkCOhHw2MKIcZl",
        "9vlKtVzLqisd2rmpjMYTEJ7j6r5zcPmOepK/9SOrjfv/ePH2D8JP++MFLDiNSPODWSLBC8Ass+H2EYS7AkGxK86b",
        "zj/W04BbxggJvLioD0EFtKf0byXjpzufYpfG0bVGkNsT0m+/PltIGNgD/48ovAVOOuX4aDxXJbMZPD7XBy0v2h4s",
        "WRnqAImqSxMRvTn3gLvmyfx4IOa5u3ofybXwdCf2t/Px9W9dZESDm6ITP5S48Em4MZZvuem1Ft7/S1ckTxLUBAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgoaKj",
        "pKWmp6ipqqusra6vFHFCY2esSRhQOOt9lCpOvCKhMbBxqb0psftswYJ6/vWYm0ICXEAo3JgwUJRwUVbYfvSVE/q9",
        "zNjMJRLQfTPClWlO+AuwJ5cD1V9MB5gEl4tsr5IyPK+KXby1ZH9dzJfZy07cgit54dHVMkUOn2BKZOZjDsYXFUDV",
        "gbSHGrmMlH9zHG8YeA/X0zVmz/jgfc2kzrF0nl6gYqjG8MkS3MWFrBxnCvvJGdAtbuCYqJ/HedWA55t3ZD9evMpc",
        "mDhbQN0ApmXCJMqLM7xms52zrhp87FOAYr29O0SnVMaGEBJhCDkz1+S53iK5lR5l7jYNhozpjHSCoWrKysG0nQbU",
        "54R4r/y6ZWsAz7/yQLHHxTE5svAoN41f4zMJvmfFWIFxPiKYvvFOVJ4bN+Ofrhw9R6mvQazL/t/pp0iP6HLMOKPD",
        "3RQ3TbkNCHgjJxlgIBqM0Z1paBKSkGp4OvGl6nz9JQbaRAs5iAQbzf+ndnB0hwoBY5SoxFpK6zBe61qxBm3+F++d",
        "iBdCtp5NtYIz+h3NAxphMe6tfEcBoUIXQlalBPEPBMdBWqRIEO9zLvN5OeKwMSP490Ht75BRiusmoopOhzSaKJQf",
        "AjUzjj0bX2ZDVH62rTaQqf7jON9TjwYVAdrEM9n7ZbAAzSkzbBRcQrVYA6rzeXat/4bLcPYSqs8MM7E1BfxuSLzQ",
    );
    const SIGNATURE: &str = concat!(
        "NR8JOqp/l0UGhS+Xk96txeBTkwcHOgaIXP/vYglbZgFm9FteyfOSnBiuQErmvm5SPk+99LLd4WTTmqGPPFnCByyL",
        "8P2B0OEvyQBy8UlPZCdhdbwLHrdcJGUMthU7os/D7oLM4U+DTtO8ijswPH+pdSDa18ECRqHjTZdTZ3vfZsaR421/",
        "r0djdl52oiTIYTYroYDQ2JGGf6O171IddRoDBlltcB8HFhImm4GAub5cdBzVDghvkZxf30imUPV/nFVGm7nBhNmT",
        "gwDLKf2fQMZNfVBQ9EAdudykeYuFT7ZgxxmuPZCdA985/wjutdlrAfIcvsB6RKLskqDlkgexOvIw6w==",
    );
    const IDP_RESPONSE: &str = r#"{"type":"idp_response","request_id":"3f2c9a7be1d04c5588a6f0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5","mode":3,"accessor_id":"11267a29-2196-4400-8b67-7424519b87ec","idp_id":"idp1","chain_id":"test-chain-NDID","height":42}"#;

    /// spec/messaging-and-crypto.md 10, "Whole envelope".
    #[test]
    fn the_specified_envelope_is_opened() {
        let bytes = STANDARD.decode(SPECIFIED).unwrap();
        assert_eq!(bytes.len(), 858);
        let sealed = EncryptedMqMessage::decode(bytes.as_slice()).unwrap();
        let key = encryption::decrypt(
            &test_key::private(),
            "RSAES_PKCS1_V1_5",
            &sealed.encrypted_symmetric_key,
        )
        .unwrap();
        assert_eq!(key, (0..32).collect::<Vec<u8>>());
        let plaintext = envelope::decrypt(&key, &sealed.encrypted_mq_message).unwrap();
        assert_eq!(
            hex::encode(sha256(&plaintext)),
            "9afffcc2ec33758c64948059c90e1a2a567205faeacde551bf5e20f22f1658d4"
        );
        let message = MqMessage::decode(plaintext.as_slice()).unwrap();
        assert_eq!(message.encode_to_vec(), plaintext);
        assert_eq!(message.version, VERSION);
        assert_eq!(message.message_type, "idp_response");
        assert_eq!(message.message, IDP_RESPONSE.as_bytes());
        assert_eq!(STANDARD.encode(&message.signature), SIGNATURE);
        assert!(signature::verify(
            &test_key::public_pem(),
            "RSASSA_PKCS1_V1_5_SHA_256",
            &message.message,
            &message.signature
        ));
    }
}
