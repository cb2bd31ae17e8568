//! A receiver whose encryption key changes while messages are on their way.

use std::path::Path;

use super::*;
use crate::config::{KeyFile, Keys};
use crate::crypto::keyring::Keyring;
use crate::ledger::types::NodeKey;

/// rp1 with key files of its own.
struct Rp {
    directory: tempfile::TempDir,
    ledger: Arc<FakeLedger>,
    context: Context,
    keyring: Arc<Keyring>,
    history: Vec<NodeKey>,
}

fn write_key(path: &Path) -> String {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    std::fs::write(path, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
}

impl Rp {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ledger = FakeLedger::recorded();
        let mut context = testing::context("rp1", Role::Rp, ledger.clone());
        let mut config = context.config.as_ref().clone();
        let file = |name| KeyFile {
            path: directory.path().join(name),
            passphrase: None,
        };
        config.keys = Keys::Files {
            signing: file("signing"),
            signing_master: file("master"),
            encryption: file("encryption"),
            behind_proxy: Default::default(),
        };
        for name in ["signing", "master"] {
            write_key(&directory.path().join(name));
        }
        let public_key = write_key(&directory.path().join("encryption"));
        context.config = Arc::new(config);
        let keyring = Keyring::load(context.config.clone(), &[]).unwrap();
        let keyring = Arc::new(keyring);
        context.crypto = keyring.clone();
        let mut rp = Self {
            directory,
            ledger,
            context,
            keyring,
            history: Vec::new(),
        };
        rp.register(&public_key, "RSAES_PKCS1_V1_5");
        rp
    }

    fn write(&self) -> String {
        write_key(&self.directory.path().join("encryption"))
    }

    /// The ledger has this key now.
    fn register(&mut self, public_key: &str, algorithm: &str) {
        let key = NodeKey {
            version: self.history.len() as u64 + 1,
            ..NodeKey::unregistered(public_key, algorithm)
        };
        self.history.push(key.clone());
        let of = json!({"node_id": "rp1"});
        let key = json!(key);
        self.ledger
            .set("GetNodeEncryptionPublicKey", &of, key.clone());
        self.ledger
            .change_node("rp1", |info| info["encryption_public_key"] = key);
        let keys = json!({"encryption_public_key_list": self.history});
        self.ledger.set("GetNodePublicKeyList", &of, keys);
    }

    /// A message of idp1 for the key that the ledger has now.
    async fn message(&self) -> Vec<u8> {
        let text = Value::Object(body::to_object(&response("idp1", 900))).to_string();
        forged(&self.ledger, "idp1", "idp_response", text.as_bytes()).await
    }

    async fn takes(&self, bytes: &[u8]) -> bool {
        receive(&self.context, bytes.to_vec()).await.outcome == JobOutcome::Done
    }

    async fn waits_with(&self, bytes: &[u8]) -> bool {
        let job = testing::job(inbound::RECEIVE, &raw(bytes.to_vec()));
        let ran = run_receive(&self.context, &job).await;
        ran.is_err_and(|error| error.is_temporary() && error.code().number == 10034)
    }
}

#[tokio::test]
async fn messages_for_the_key_before_are_opened_under_its_algorithm() {
    let mut rp = Rp::new();
    let mut sent = vec![rp.message().await];
    for algorithm in ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"] {
        let public_key = rp.write();
        rp.keyring.reload(&[]).unwrap();
        rp.register(&public_key, algorithm);
        sent.push(rp.message().await);
        for message in &sent {
            assert!(rp.takes(message).await, "{algorithm}");
        }
    }
    // At once, before it is stored.
    let opener = Opener::new(rp.context.clone()).unwrap();
    let raws: Vec<RawMessage> = sent.iter().cloned().map(raw).collect();
    assert!(opener.open(&raws).await.iter().all(Option::is_some));
}

#[tokio::test]
async fn a_message_waits_for_its_key_and_those_for_the_key_before_do_not() {
    let mut rp = Rp::new();
    let before = rp.message().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("new");
    let public_key = write_key(&path);
    rp.register(&public_key, "RSAES_PKCS1_V1_5");
    let after = rp.message().await;
    assert!(rp.takes(&before).await);
    assert!(rp.waits_with(&after).await);
    std::fs::copy(path, rp.directory.path().join("encryption")).unwrap();
    rp.keyring.reload(&[]).unwrap();
    assert!(rp.takes(&after).await);
    assert!(rp.takes(&before).await);
}

/// Its sender heard of the new key before this node's ledger did.
#[tokio::test]
async fn a_message_for_a_key_that_the_ledger_does_not_have_yet_is_opened() {
    let mut rp = Rp::new();
    let public_key = rp.write();
    rp.keyring.reload(&[]).unwrap();
    let known = rp.history[0].clone();
    rp.register(&public_key, "RSAES_OAEP_SHA_256");
    let early = rp.message().await;
    rp.history.clear();
    rp.register(&known.public_key, &known.algorithm);
    assert!(rp.takes(&early).await);
    assert!(rp.takes(&rp.message().await).await);
}
