//! Keys and signed transactions for tests of the development ledger.

use erawan::proto::wire::Tx;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use prost::Message;
use serde_json::{Value, json};

pub const CHAIN_ID: &str = "test-chain-NDID";

/// Keys of a node.
pub struct Keys {
    private: PKey<Private>,
    /// PEM text.
    pub public: String,
}

impl Keys {
    pub fn new() -> Self {
        let private = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let public = String::from_utf8(private.public_key_to_pem().unwrap()).unwrap();
        Self { private, public }
    }

    pub fn node(&self, node_id: &str) -> Value {
        json!({
            "node_id": node_id,
            "signing_public_key": self.public,
            "signing_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
            "signing_master_public_key": self.public,
            "signing_master_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
            "encryption_public_key": self.public,
            "encryption_algorithm": "RSAES_PKCS1_V1_5",
        })
    }

    pub fn transaction(&self, node_id: &str, method: &str, params: &Value) -> Vec<u8> {
        let params = params.to_string();
        let nonce: [u8; 32] = rand::random();
        let message = [
            method.as_bytes(),
            params.as_bytes(),
            CHAIN_ID.as_bytes(),
            &nonce,
        ]
        .concat();
        let mut signer = Signer::new(MessageDigest::sha256(), &self.private).unwrap();
        let signature = signer.sign_oneshot_to_vec(&message).unwrap();
        let transaction = Tx {
            method: method.to_owned(),
            params: params.into(),
            nonce: nonce.to_vec().into(),
            signature: signature.into(),
            node_id: node_id.to_owned(),
        };
        transaction.encode_to_vec()
    }
}
