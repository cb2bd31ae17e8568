//! What reads foreign or stored bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use serde_json::{Value, json};

use super::{fuzz, seeds};
use crate::crypto::envelope;
use crate::job::{Job, codec};
use crate::json;
use crate::ledger::block;
use crate::ledger::follow::Progress;
use crate::ledger::rpc::answers;
use crate::mq::{body, gzip, packing, schema};
use crate::operator::{OperatorRequest, OperatorResponse};
use crate::proto::{cluster, wire};
use crate::protocol::message::{FromMaster, FromWorker};
use crate::store::remote::{RemoteCall, RemoteReply};

const TYPES: [&str; 4] = [
    "idp_response",
    "data_request",
    "consent_request",
    "as_response",
];
const LIMIT: usize = 1024 * 1024;

/// From the queue, before anything is known of its sender.
#[test]
fn a_message_envelope() {
    let mut seeds = seeds::members(&seeds::recorded("mq.jsonl"), "payload");
    let inner = wire::MqMessage {
        message: b"{\"type\":\"consent_request\",\"request_id\":\"1\"}"
            .to_vec()
            .into(),
        ..Default::default()
    };
    seeds.push(inner.encode_to_vec());
    let consent = wire::ConsentRequestMqMessage {
        request_json: json!({"type": "consent_request", "mode": 1}).to_string(),
        request_message_data_url_prefix: "data:text/plain;base64,".to_owned(),
        request_message_bytes: b"text".to_vec().into(),
    };
    seeds.push(consent.encode_to_vec());
    seeds.push(gzip::compress(
        b"{\"type\":\"data_request\",\"as_id_list\":[]}",
    ));
    fuzz("message envelope", seeds, |input| {
        let key = [7; 32];
        if let Ok(sealed) = wire::EncryptedMqMessage::decode(input) {
            let _ = envelope::decrypt(&key, &sealed.encrypted_mq_message);
        }
        let _ = envelope::decrypt(&key, input);
        let _ = gzip::decompress(input, LIMIT);
        let message = wire::MqMessage::decode(input).unwrap_or_default();
        for bytes in [input, &message.message[..]] {
            for name in TYPES {
                if let Ok(object) = body::decode(name, bytes) {
                    let mut object = Value::Object(object);
                    let _ = schema::validate(&object);
                    object["type"] = name.into();
                    let _ = schema::validate(&object);
                }
            }
        }
        let text = String::from_utf8_lossy(input);
        let _ = packing::data_url_type(&text);
        let _ = packing::has_whitespace_in_base64_data_url(&text);
    });
}

/// From the store: a disk may have changed it.
#[test]
fn a_stored_record() {
    let mut seeds = seeds::golden("job");
    seeds.extend(seeds::golden("progress"));
    fuzz("stored record", seeds, |input| {
        let _ = codec::decode::<Job>(input);
        let _ = codec::decode::<Progress>(input);
        let _ = codec::decode::<String>(input);
    });
}

/// From whoever has reached the master's port, or answers at a master's address.
#[test]
fn link_frames() {
    let mut seeds = seeds::golden("store_call");
    for name in ["store_reply", "operator_question", "operator_answer"] {
        seeds.extend(seeds::golden(name));
    }
    let frames = seeds
        .clone()
        .into_iter()
        .map(|content| cluster::StoreFrame {
            id: 1,
            content: content.into(),
            more: true,
        });
    let frames: Vec<Vec<u8>> = frames.map(|frame| frame.encode_to_vec()).collect();
    seeds.extend(frames);
    let hello = cluster::Hello {
        protocol_version: 5,
        node_id: "rp1".to_owned(),
        worker_id: "worker".to_owned(),
        running: vec![cluster::JobAttempt::default()],
        ..Default::default()
    };
    let hello = cluster::FromWorker {
        message: Some(cluster::from_worker::Message::Hello(hello)),
    };
    seeds.push(hello.encode_to_vec());
    fuzz("link frames", seeds, |input| {
        if let Ok(message) = cluster::FromWorker::decode(input) {
            let _ = FromWorker::try_from(message);
        }
        if let Ok(message) = cluster::FromMaster::decode(input) {
            let _ = FromMaster::try_from(message);
        }
        let frame = cluster::StoreFrame::decode(input).unwrap_or_default();
        for bytes in [input, &frame.content[..]] {
            let _ = codec::decode::<RemoteCall>(bytes);
            let _ = codec::decode::<RemoteReply>(bytes);
            let _ = codec::decode::<OperatorRequest>(bytes);
            let _ = codec::decode::<OperatorResponse>(bytes);
        }
    });
}

/// From whoever calls the API.
#[test]
fn an_http_body() {
    fuzz("HTTP body", seeds::bodies(), |input| {
        let is_cheap = !json::has_too_many_values(input);
        if is_cheap {
            let _ = json::parse::<Value>(input);
        }
        let _ = json::member::<Value>(input, "request_id");
        crate::http::read_anything(input);
    });
}

/// From the ledger's server.
#[test]
fn a_ledger_block() {
    let recorded = seeds::recorded("ledger.jsonl");
    let mut seeds = Vec::new();
    for line in recorded.iter().filter(|line| line["txs"][0].is_object()) {
        let records = line["txs"].as_array().unwrap();
        let transactions = records.iter().map(|record| record["tx"].clone());
        let transactions: Vec<Value> = transactions.collect();
        let event = json!({"type": "did.result", "attributes": [
            {"key": "success", "value": "true"}, {"key": STANDARD.encode("success"), "value": STANDARD.encode("true")},
        ]});
        let results = records
            .iter()
            .map(|_| json!({"code": 0, "log": "success", "events": [event]}));
        let results: Vec<Value> = results.collect();
        let answer = json!({
            "block_id": {"hash": line["app_hash"]},
            "block": {
                "header": {"height": "5", "chain_id": "c", "app_hash": "AA", "time": line["time"]},
                "data": {"txs": transactions},
            },
            "height": "5",
            "txs_results": results,
            "result_finalize_block": {"tx_results": results},
        });
        seeds.push(answer.to_string().into_bytes());
    }
    seeds.sort_by_key(Vec::len);
    seeds.truncate(40);
    fuzz("ledger block", seeds, |input| {
        let Ok(answer) = serde_json::from_slice::<Value>(input) else {
            return;
        };
        let _ = answers::announced(&answer);
        let _ = answers::status(&answer);
        let body = answers::block_body("block", &answer);
        for attributes in [answers::Attributes::Plain, answers::Attributes::Base64] {
            let results = answers::block_results(&answer, attributes);
            let _ = answers::transaction(&answer, attributes);
            if let (Ok(body), Ok(results)) = (&body, results) {
                let _ = block::assemble(body, results);
            }
        }
    });
}
