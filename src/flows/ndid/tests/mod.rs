//! NDID's calls, and what the ledger is asked for because of them.

mod bodies;
mod calls;
mod older_versions;
mod transactions;

use std::io::{BufRead as _, BufReader};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::Id;
use prost::Message as _;
use serde_json::{Map, Value, json};

use super::*;
use crate::api::{ApiVersion, RawCall, SettledAnswer, versions};
use crate::context::Role;
use crate::crypto::public_key;
use crate::delivery::transaction::{Fate, Transact};
use crate::error::codes;
use crate::flows::ledger_call;
use crate::flows::testing::{TestNode, continuation, transactions};
use crate::job::{Caller, Table, Write, codec};
use crate::proto::wire::Tx;

/// NDID's node on a network that supports these levels.
fn ndid() -> TestNode {
    let node = TestNode::new("ndid1", Role::Ndid);
    let key = json!({
        "public_key": "", "algorithm": "RSASSA_PKCS1_V1_5_SHA_256", "version": 1,
        "creation_block_height": 2, "creation_chain_id": "test-chain-NDID", "active": true,
    });
    let of = json!({"node_id": "ndid1"});
    node.ledger.answer("GetNodeSigningPublicKey", of, key);
    let ials = json!({"supported_ial_list": [1.1, 2.3, 3]});
    node.ledger.answer("GetSupportedIALList", Value::Null, ials);
    let aals = json!({"supported_aal_list": [1, 2.2, 3]});
    node.ledger.answer("GetSupportedAALList", Value::Null, aals);
    node
}

fn of_path(version: ApiVersion, path: &str) -> Endpoint {
    let mut all = versions::of(version, &endpoints()).into_iter();
    let found = all.find(|endpoint| endpoint.path == path);
    found.unwrap_or_else(|| panic!("there is no {path}"))
}

/// A call as HTTP makes it.
async fn call(node: &TestNode, path: &str, body: Value) -> Result<CallOutcome, Error> {
    call_of(ApiVersion::V6, node, path, body).await
}

/// The same of a client of a version.
async fn call_of(
    version: ApiVersion,
    node: &TestNode,
    path: &str,
    body: Value,
) -> Result<CallOutcome, Error> {
    let endpoint = of_path(version, path);
    if let Some(schema) = &endpoint.body {
        schema.check(&body, codes::BODY_VALIDATION_FAILED)?;
    }
    let run = endpoint.run;
    run(RawCall {
        context: node.context.clone(),
        node_id: "ndid1".to_owned(),
        caller: Caller::new("test"),
        version,
        path: Map::new(),
        query: json!({}),
        body,
    })
    .await
}

/// Number of the error that a call is answered with.
async fn refused(node: &TestNode, path: &str, body: Value) -> u32 {
    match call(node, path, body).await {
        Err(error) => error.code().number,
        Ok(outcome) => panic!("{path} is not refused: {outcome:?}"),
    }
}

/// The transaction of a call, and the status that tells of its success.
async fn asked(node: &TestNode, path: &str, body: Value) -> (Transact, u16) {
    asked_of(ApiVersion::V6, node, path, body).await
}

/// The same of a client of a version.
async fn asked_of(
    version: ApiVersion,
    node: &TestNode,
    path: &str,
    body: Value,
) -> (Transact, u16) {
    let outcome = call_of(version, node, path, body).await;
    let Ok(CallOutcome::Waits(accept)) = outcome else {
        panic!("{path} makes no transaction: {outcome:?}");
    };
    let [transact] = &transactions(&accept.writes)[..] else {
        panic!("{path}: {:?}", accept.writes);
    };
    let fate = Fate::Committed { height: 7 };
    match answer(transact, fate) {
        SettledAnswer::Done { status, body: None } => (transact.clone(), status),
        other => panic!("{path} is answered {other:?}"),
    }
}

/// What the waiting call is answered when its transaction has settled.
fn answer(transact: &Transact, fate: Fate) -> SettledAnswer {
    let commit = ledger_call::handle(&continuation(transact, fate)).unwrap();
    let mut answers = commit.writes.iter().filter_map(|write| match write {
        Write::Put {
            table: Table::Answer,
            value,
            ..
        } => Some(codec::decode(value).unwrap()),
        _ => None,
    });
    answers.next().expect("the call is answered")
}

/// The transactions of the recorded NDID: method and parameters.
fn recorded_transactions() -> Vec<(String, Value)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/wire/vectors/full/ledger.jsonl.gz"
    );
    let file = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    let mut found = Vec::new();
    for line in BufReader::new(file).lines() {
        let block: Value = serde_json::from_str(&line.unwrap()).unwrap();
        for record in block["txs"].as_array().into_iter().flatten() {
            let bytes = STANDARD.decode(record["tx"].as_str().unwrap()).unwrap();
            let tx = Tx::decode(bytes.as_slice()).unwrap();
            if tx.node_id == "ndid1" {
                let params = serde_json::from_slice(&tx.params).unwrap();
                found.push((tx.method, params));
            }
        }
    }
    found
}

/// The body of the call that led to these parameters: types of keys are not
/// handed on.
fn body_of(params: &Value) -> Value {
    let mut body = params.clone();
    for purpose in ["signing", "signing_master", "encryption"] {
        let Some(pem) = params[format!("{purpose}_public_key")].as_str() else {
            continue;
        };
        let key_type = match public_key::parse(pem).unwrap().id() {
            Id::RSA => "RSA",
            Id::EC => "EC",
            _ => "Ed25519",
        };
        body[format!("{purpose}_key_algorithm")] = json!(key_type);
    }
    body
}

fn keys() -> Value {
    let (_, mut init) = recorded_transactions().swap_remove(0);
    init.as_object_mut().unwrap().remove("node_id");
    body_of(&init)
}

fn with(mut body: Value, more: Value) -> Value {
    let members = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    body
}
