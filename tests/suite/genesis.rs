//! The recorded set-up of the network, by our own keys: what NDID did before the
//! nodes came.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use erawan::devnet::keys::GeneratedKeys;
use erawan::devnet::ledger;
use erawan::ledger::rpc::RpcOptions;
use erawan::ledger::{Ledger, LedgerClient, transaction};
use erawan::proto::wire::Tx;
use flate2::read::GzDecoder;
use openssl::hash::MessageDigest;
use openssl::sign::Signer;
use prost::Message as _;
use serde_json::Value;

use crate::keys::Pairs;

/// Another recording of a network that was set up in the same way.
const LEDGER: &str = "tests/wire/vectors/full/ledger.jsonl.gz";
/// The last block of the set-up.
const LAST: u64 = 44;
const NDID: &str = "ndid1";
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

/// What NDID did.
pub struct Transaction {
    pub method: String,
    pub params: Value,
}

/// The transactions of the set-up. The recorded client sent some at once: those of
/// the first node come first, as on the ledger of the suite.
pub fn transactions() -> Vec<Transaction> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LEDGER);
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    let blocks = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let blocks = blocks.take_while(|block| block["height"].as_u64().unwrap() <= LAST);
    let mut all: Vec<Transaction> = blocks.flat_map(|block| transactions_of(&block)).collect();
    for group in all.chunk_by_mut(|one, next| one.method == next.method) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        group.sort_by_key(|made| {
            (
                text(&made.params["node_id"]),
                text(&made.params["service_id"]),
            )
        });
    }
    all
}

fn transactions_of(block: &Value) -> Vec<Transaction> {
    let transactions = block["txs"].as_array().into_iter().flatten();
    let read = transactions.map(|recorded| {
        let bytes = STANDARD.decode(recorded["tx"].as_str().unwrap()).unwrap();
        let transaction = Tx::decode(bytes.as_slice()).unwrap();
        assert_eq!(transaction.node_id, NDID, "not of the set-up");
        Transaction {
            method: transaction.method,
            params: serde_json::from_slice(&transaction.params).unwrap(),
        }
    });
    read.collect()
}

/// The recorded signing keys of all nodes.
pub fn signing_keys() -> HashMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let made = transactions().into_iter();
    let registered = made.filter(|made| made.method == "RegisterNode");
    let keys = registered.map(|made| {
        let params = &made.params;
        (
            text(&params["node_id"]),
            text(&params["signing_public_key"]),
        )
    });
    keys.collect()
}

/// Writes the keys of every node where a network in this folder looks for them.
pub fn lay_keys(folder: &Path, pairs: &Pairs) {
    let folder = folder.join("keys");
    for made in transactions() {
        let node_id = match made.method.as_str() {
            "InitNDID" | "RegisterNode" => made.params["node_id"].as_str().unwrap(),
            _ => continue,
        };
        let keys = match node_id.contains('_') {
            true => GeneratedKeys::behind_proxy(&folder, node_id),
            false => GeneratedKeys::at(&folder, node_id),
        };
        for (member, path) in [
            ("signing_public_key", keys.signing),
            ("signing_master_public_key", keys.master),
            ("encryption_public_key", keys.encryption),
        ] {
            let pair = pairs.get(made.params[member].as_str().unwrap()).unwrap();
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, pair.private.private_key_to_pem_pkcs8().unwrap()).unwrap();
        }
    }
}

/// Makes a chain in this folder on which NDID has done what it did.
pub async fn lay_chain(folder: &Path, pairs: &Pairs) {
    let directory = folder.join("ledger");
    std::fs::create_dir(&directory).unwrap();
    let options = ledger::Options {
        directory: Some(directory),
        ..ledger::Options::default()
    };
    let chain = ledger::DevLedger::start(options).await.unwrap();
    let rpc = RpcOptions::new(chain.address.ip().to_string(), chain.address.port(), 1);
    let client = LedgerClient::start(rpc);
    let key = GeneratedKeys::read(&GeneratedKeys::at(&folder.join("keys"), NDID).signing).unwrap();
    let all = async {
        while client.chain_id().is_err() {
            tokio::time::sleep(POLL).await;
        }
        for (number, made) in transactions().into_iter().enumerate() {
            let params = with_our_keys(&made.params, pairs).to_string();
            let nonce = openssl::sha::sha256(&number.to_be_bytes());
            let chain_id = client.chain_id().unwrap();
            let params = params.as_bytes();
            let message = transaction::signed_message(&made.method, params, &chain_id, &nonce);
            let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
            let signature = signer.sign_oneshot_to_vec(&message).unwrap();
            let signed = transaction::encode(&made.method, params, &nonce, &signature, NDID);
            let answer = client.broadcast(&signed.bytes).await.unwrap();
            assert_eq!(answer.code, 0, "{}: {}", made.method, answer.log);
            while client.transaction(&signed.hash).await.unwrap().is_none() {
                tokio::time::sleep(POLL).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
    drop(client);
    chain.stop().await.unwrap();
}

fn with_our_keys(params: &Value, pairs: &Pairs) -> Value {
    match params {
        Value::String(text) => match pairs.get(text) {
            Some(pair) => Value::String(pair.public.clone()),
            None => params.clone(),
        },
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, value)| (name.clone(), with_our_keys(value, pairs)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}
