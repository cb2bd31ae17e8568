//! Every message of the recorded network, taken apart and put together again.

use std::collections::HashMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use erawan::crypto::{encryption, envelope, signature};
use erawan::mq::message::Message;
use erawan::mq::{body, packing, schema};
use erawan::proto::wire::{EncryptedMqMessage, MqMessage, Tx};
use openssl::pkey::{PKey, Private};
use prost::Message as _;
use serde_json::Value;

fn recording(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/wire/vectors/mode1").join(name)
}

fn lines(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(recording(name)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn encryption_key(node_id: &str) -> PKey<Private> {
    let pem = std::fs::read(recording(&format!("keys/{node_id}.encryption.pem"))).unwrap();
    PKey::private_key_from_pem(&pem).unwrap()
}

/// What a node registered on the recorded ledger.
struct Registered {
    signing_key: String,
    signing_algorithm: String,
    encryption_key: String,
    encryption_algorithm: String,
}

fn registered_nodes() -> HashMap<String, Registered> {
    let mut nodes = HashMap::new();
    for block in lines("ledger.jsonl") {
        for record in block["txs"].as_array().unwrap() {
            let bytes = STANDARD.decode(record["tx"].as_str().unwrap()).unwrap();
            let transaction = Tx::decode(bytes.as_slice()).unwrap();
            if !matches!(transaction.method.as_str(), "InitNDID" | "RegisterNode") {
                continue;
            }
            let params: Value = serde_json::from_slice(&transaction.params).unwrap();
            let text = |name: &str| params[name].as_str().unwrap_or_default().to_owned();
            let node = Registered {
                signing_key: text("signing_public_key"),
                signing_algorithm: text("signing_algorithm"),
                encryption_key: text("encryption_public_key"),
                encryption_algorithm: text("encryption_algorithm"),
            };
            nodes.insert(text("node_id"), node);
        }
    }
    nodes
}

/// Port of each node's message queue, as in the recorded addresses.
fn node_at(port: i64) -> &'static str {
    match port {
        5000 => "idp1",
        5001 => "idp2",
        5100 => "rp1",
        5200 => "as1",
        other => panic!("no node at port {other}"),
    }
}

struct Recorded {
    sender: String,
    receiver: String,
    payload: Vec<u8>,
}

fn recorded_messages() -> Vec<Recorded> {
    let messages = lines("mq.jsonl").into_iter().map(|line| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (sender, receiver, payload) = match line["receiver"].as_str() {
            Some(receiver) => (
                text(&line["push"]["sender_id"]),
                receiver.to_owned(),
                text(&line["push"]["message"]),
            ),
            None => (
                text(&line["sender"]),
                node_at(line["send_message"]["mq_address"]["port"].as_i64().unwrap()).to_owned(),
                text(&line["send_message"]["payload"]),
            ),
        };
        Recorded {
            sender,
            receiver,
            payload: STANDARD.decode(payload).unwrap(),
        }
    });
    messages.collect()
}

fn open(payload: &[u8], node_id: &str, algorithm: &str) -> MqMessage {
    let sealed = EncryptedMqMessage::decode(payload).unwrap();
    let key = encryption::decrypt(
        &encryption_key(node_id),
        algorithm,
        &sealed.encrypted_symmetric_key,
    )
    .unwrap();
    let plaintext = envelope::decrypt(&key, &sealed.encrypted_mq_message).unwrap();
    MqMessage::decode(plaintext.as_slice()).unwrap()
}

fn seal(message: &MqMessage, receiver: &Registered) -> Vec<u8> {
    let key = envelope::generate_key();
    let sealed = EncryptedMqMessage {
        encrypted_symmetric_key: encryption::encrypt(
            &receiver.encryption_key,
            &receiver.encryption_algorithm,
            &key,
        )
        .unwrap()
        .into(),
        encrypted_mq_message: envelope::encrypt(&key, &message.encode_to_vec())
            .unwrap()
            .into(),
    };
    sealed.encode_to_vec()
}

#[test]
fn every_recorded_message_is_understood_and_written_the_same() {
    let nodes = registered_nodes();
    let recorded = recorded_messages();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for Recorded {
        sender,
        receiver,
        payload,
    } in &recorded
    {
        let (from, to) = (&nodes[sender], &nodes[receiver]);
        let signed = open(payload, receiver, &to.encryption_algorithm);
        assert_eq!(signed.version, 2);
        assert!(signature::verify(
            &from.signing_key,
            &from.signing_algorithm,
            &signed.message,
            &signed.signature
        ));

        let object = body::decode(&signed.message_type, &signed.message).unwrap();
        let message = schema::validate(&Value::Object(object.clone())).unwrap();
        assert_eq!(message.type_name(), signed.message_type);
        assert_eq!(message.sender(), sender);
        assert_eq!(body::to_object(&message), object);
        let again = body::decode(&signed.message_type, &body::encode(&message)).unwrap();
        assert_eq!(again, object);
        assert_eq!(
            body::encode(&message).len(),
            signed.message.len(),
            "{}",
            signed.message_type
        );

        let resealed = seal(&signed, to);
        assert_eq!(resealed.len(), payload.len());
        assert_eq!(open(&resealed, receiver, &to.encryption_algorithm), signed);
        *seen.entry(message.type_name()).or_default() += 1;

        if let Message::AsResponse(response) = &message
            && let Some(packed) = &response.packed_data
        {
            let data = packing::unpack(packed).unwrap();
            let salt = response.data_salt.as_deref().unwrap();
            let data_signature = STANDARD
                .decode(response.signature.as_deref().unwrap())
                .unwrap();
            assert!(signature::verify(
                &from.signing_key,
                &from.signing_algorithm,
                format!("{data}{salt}").as_bytes(),
                &data_signature
            ));
            assert_eq!(
                &packing::pack(&data, 1000).unwrap().metadata,
                &packed.metadata
            );
        }
    }
    assert_eq!(recorded.len(), 88);
    assert_eq!(seen.len(), 4, "{seen:?}");
}
