//! Messages nobody should send, through the real message queue services.

use bytes::Bytes;
use erawan::context::Role;
use erawan::crypto::{encryption, envelope, signature};
use erawan::devnet::keys::{GeneratedKeys, SigningKeys};
use erawan::messaging::envelope::VERSION;
use erawan::mq::gzip;
use erawan::proto::wire::message_queue_client::MessageQueueClient;
use erawan::proto::wire::{Empty, EncryptedMqMessage, MqAddress, MqMessage, OutboundMessage};
use prost::Message as _;
use serde_json::{Value, json};

use crate::network::*;

/// What the bomb becomes when it is unpacked, in bytes.
const BOMB: usize = 64 * 1024 * 1024;

/// A message as `rp1` would send it to `idp1`, but for its content.
struct Sender {
    signing: std::path::PathBuf,
    encryption: std::path::PathBuf,
}

impl Sender {
    fn of(net: &Net) -> Self {
        let keys = net.network.directory.join("keys");
        Self {
            signing: GeneratedKeys::at(&keys, "rp1").signing,
            encryption: GeneratedKeys::at(&keys, "idp1").encryption,
        }
    }

    fn signed(&self, content: &Value) -> MqMessage {
        let bytes = content.to_string().into_bytes();
        self.signed_bytes(bytes)
    }

    fn signed_bytes(&self, bytes: Vec<u8>) -> MqMessage {
        let key = GeneratedKeys::read(&self.signing).unwrap();
        let algorithm = SigningKeys::Rsa.algorithm();
        let signature = signature::sign(&key, algorithm, &bytes).unwrap();
        MqMessage {
            version: VERSION,
            // A type whose bytes are plain JSON.
            message_type: "data_request".to_owned(),
            message: bytes.into(),
            signature: signature.into(),
            ..Default::default()
        }
    }

    fn sealed(&self, message: &MqMessage) -> Vec<u8> {
        let key = envelope::generate_key();
        let public = GeneratedKeys::public_pem(&self.encryption).unwrap();
        let wrapped = encryption::encrypt(&public, "RSAES_PKCS1_V1_5", &key).unwrap();
        let encrypted = envelope::encrypt(&key, &message.encode_to_vec()).unwrap();
        let sealed = EncryptedMqMessage {
            encrypted_symmetric_key: wrapped.into(),
            encrypted_mq_message: encrypted.into(),
        };
        sealed.encode_to_vec()
    }
}

/// Sends bytes from the service of `rp1` to `idp1`; done when `idp1` has stored
/// and acknowledged them.
async fn send(net: &Net, bytes: Vec<u8>) {
    let service = |role| {
        let address = &net.network.node(role).unwrap().mq;
        MessageQueueClient::connect(format!("http://{address}"))
    };
    let mut receiver = service(Role::Idp).await.unwrap();
    let info = receiver.get_info(Empty {}).await.unwrap().into_inner();
    let mut sender = service(Role::Rp).await.unwrap();
    let message = OutboundMessage {
        mq_address: Some(MqAddress {
            ip: "127.0.0.1".to_owned(),
            port: info.mq_binding_port,
        }),
        message_id: uuid::Uuid::new_v4().to_string(),
        payload: Bytes::from(bytes),
    };
    sender.send_message(message).await.unwrap();
}

#[actix_web::test]
async fn a_node_reports_messages_that_are_wrong_and_goes_on() {
    let net = Net::start(Store::Embedded, 2).await;
    let apps = net.apps().await;
    let sender = Sender::of(&net);

    let from_nobody = sender.signed(&json!({"rp_id": "nobody", "request_id": "r"}));
    let mut forged = sender.signed(&json!({"rp_id": "rp1", "request_id": "r"}));
    forged.message = Bytes::from(json!({"rp_id": "rp1", "request_id": "x"}).to_string());
    let signed_by_another = sender.signed(&json!({"rp_id": "as1", "request_id": "r"}));
    let mut bomb = sender.signed_bytes(gzip::compress(&vec![b' '; BOMB]));
    bomb.message_compression_algorithm = gzip::NAME.to_owned();
    let mut undecryptable = sender.sealed(&from_nobody);
    *undecryptable.last_mut().unwrap() ^= 1;
    let of_no_shape = sender.signed_bytes(b"[]".to_vec());

    let wrong = [
        (sender.sealed(&from_nobody), 10020),
        (sender.sealed(&forged), 10021),
        (sender.sealed(&signed_by_another), 10021),
        (undecryptable, 10022),
        (b"rubbish".to_vec(), 10022),
        (sender.sealed(&bomb), 10023),
        (sender.sealed(&of_no_shape), 10023),
    ];
    for (reported, (bytes, code)) in wrong.into_iter().enumerate() {
        send(&net, bytes).await;
        let is_reported = || async { apps.totals().errors.len() > reported };
        eventually("an error callback", is_reported).await;
        let errors = apps.totals().errors;
        let callback = &errors[reported];
        assert!(callback.starts_with("idp: error callback:"), "{callback}");
        assert!(callback.contains(&format!("\"code\":{code}")), "{callback}");
    }

    drive(&apps, 5).await;
    let totals = apps.totals();
    assert_eq!(totals.verified, 5);
    assert_eq!(totals.errors.len(), 7, "{:?}", totals.errors);
    net.end(apps).await;
}
