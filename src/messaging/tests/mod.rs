//! Messages of the recorded network through the whole room.

mod ahead;
mod behind_proxy;
mod external_crypto;
mod opener;
mod rejected;
mod rotation;
mod sending;
mod unconfirmed;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use prost::Message as _;
use serde_json::{Value, json};

use super::opener::Opener;
use crate::context::{Context, Role};
use crate::delivery::callback::{Callback, CallbackTarget};
use crate::heavy::Whose;
use crate::job::{Commit, JobOutcome, Millis, NewJob, Run, Table, Write};
use crate::messaging::inbound::{RawMessage, run_receive};
use crate::messaging::testing::{CHAIN, FakeLedger};
use crate::messaging::{Received, envelope, far, inbound, outbound, testing, to_role};
use crate::mq::message::{IdpResponse, Message};
use crate::mq::{OutboundMessage, body};
use crate::proto::wire::MqMessage;

fn role_of(node_id: &str) -> Role {
    match &node_id[..2] {
        "rp" => Role::Rp,
        "id" => Role::Idp,
        _ => Role::As,
    }
}

fn decode<P: crate::job::Stored>(job: &NewJob) -> P {
    crate::job::codec::decode(&job.payload).unwrap()
}

fn raw(bytes: Vec<u8>) -> RawMessage {
    RawMessage {
        sender_id: "sender".to_owned(),
        message_id: "id_1".to_owned(),
        bytes,
        received_at: Millis(1_732_000_000_000),
    }
}

/// The final result, also if the message has to wait in the strangers' line.
async fn receive(context: &Context, bytes: Vec<u8>) -> Commit {
    let mut job = testing::job(inbound::RECEIVE, &raw(bytes));
    loop {
        let commit = match run_receive(context, &job).await.unwrap() {
            Run::Commit(commit) => commit,
            Run::Retry { reason, .. } | Run::Park { reason } => panic!("{reason}"),
        };
        match commit.jobs.as_slice() {
            [again] if again.kind == inbound::RECEIVE && again.after_height.is_none() => {
                job = testing::accepted(again.clone());
            }
            _ => return commit,
        }
    }
}

/// The code in the error callback of a rejected message.
fn rejection(commit: &Commit) -> (String, u64) {
    assert!(
        matches!(commit.outcome, JobOutcome::Failed { .. }),
        "{commit:?}"
    );
    let [job] = commit.jobs.as_slice() else {
        panic!("{commit:?}");
    };
    let callback: Callback = decode(job);
    let body: Value = serde_json::from_str(&callback.body).unwrap();
    assert_eq!(body["type"], "error");
    (
        body["action"].as_str().unwrap().to_owned(),
        body["error"]["code"].as_u64().unwrap(),
    )
}

fn response(idp_id: &str, height: u64) -> Message {
    Message::IdpResponse(IdpResponse {
        request_id: "a".repeat(64),
        mode: Some(1),
        accessor_id: None,
        idp_id: idp_id.to_owned(),
        error_code: None,
        chain_id: CHAIN.to_owned(),
        height,
    })
}

/// Bytes of a forged message: `body` signed by `signer`, for rp1.
async fn forged(
    ledger: &Arc<FakeLedger>,
    signer: &str,
    message_type: &str,
    body: &[u8],
) -> Vec<u8> {
    let sender = testing::context(signer, role_of(signer), ledger.clone());
    let message = MqMessage {
        version: envelope::VERSION,
        message_type: message_type.to_owned(),
        message: body.to_vec().into(),
        signature: envelope::sign(&sender, signer, body).await.unwrap().into(),
        ..Default::default()
    };
    sealed(&sender, &message).await
}

async fn sealed(sender: &Context, message: &MqMessage) -> Vec<u8> {
    let receiver = outbound::receiver(sender, "rp1").await.unwrap();
    envelope::seal(sender, message, &receiver).await.unwrap()
}

#[tokio::test]
async fn every_recorded_message_becomes_a_record_and_a_job_of_its_role() {
    let ledger = FakeLedger::recorded();
    let mut kinds = Vec::new();
    for line in testing::lines("mq.jsonl") {
        let Some(receiver) = line["receiver"].as_str() else {
            continue;
        };
        let context = testing::context(receiver, role_of(receiver), ledger.clone());
        let push = &line["push"];
        let bytes = STANDARD.decode(push["message"].as_str().unwrap()).unwrap();
        let commit = receive(&context, bytes).await;
        assert_eq!(commit.outcome, JobOutcome::Done);

        let [job] = commit.jobs.as_slice() else {
            panic!("{commit:?}");
        };
        let received: Received = decode(job);
        assert_eq!(received.receiver_node_id, receiver);
        let message: Message = serde_json::from_str(&received.message).unwrap();
        assert_eq!(message.sender(), push["sender_id"]);
        assert_eq!(*job.key, *format!("request:{}", message.request_id()));
        assert_eq!(job.after_height, Some(message.position().1));
        kinds.push(job.kind.name());

        let [
            Write::Put {
                table,
                row,
                column,
                value,
            },
        ] = commit.writes.as_slice()
        else {
            panic!("{commit:?}");
        };
        assert_eq!(*table, Table::PrivateMessage);
        assert_eq!(*row, format!("{receiver}/{}", message.request_id()));
        assert!(column.starts_with(&format!("{}:inbound:", message.type_name())));
        let record: Value = serde_json::from_slice(value).unwrap();
        assert_eq!(record["direction"], "inbound");
        assert_eq!(record["source"], json!({"node_id": message.sender()}));
        assert_eq!(record["timestamp"], 1_732_000_000_000u64);
        assert_eq!(record["message"]["request_id"], message.request_id());
    }
    kinds.sort_unstable();
    kinds.dedup();
    let expected = [
        "as.data_request",
        "idp.consent_request",
        "rp.as_response",
        "rp.idp_response",
    ];
    assert_eq!(kinds, expected);
}

fn consent_request() -> Message {
    let text = r#"{"type":"consent_request","namespace":"citizen_id","identifier":"1","mode":1,"request_id":"r","min_aal":1,"min_ial":1.1,"request_timeout":86400,"data_request_list":[],"data_request_params_salt_list":[],"request_message":"data:text/plain;base64,SGVsbG8=","rp_id":"rp1","request_message_salt":"s","initial_salt":"s","creation_time":1732000000000,"chain_id":"test-chain-NDID","height":40}"#;
    serde_json::from_str(text).unwrap()
}

/// The role and the body of the error callback in a commit.
fn error_callback(commit: &Commit) -> (String, Value) {
    let [job] = commit.jobs.as_slice() else {
        panic!("{commit:?}");
    };
    let callback: Callback = decode(job);
    let CallbackTarget::Setting { role, name } = callback.target else {
        panic!("{:?}", callback.target);
    };
    assert_eq!(name, "error_url");
    (role, serde_json::from_str(&callback.body).unwrap())
}
