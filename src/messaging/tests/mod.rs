//! Messages of the recorded network through the whole of this module.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use prost::Message as _;
use serde_json::{Value, json};

use super::opener::Opener;
use crate::context::{Context, Role};
use crate::delivery::callback::{Callback, Target};
use crate::heavy::Whose;
use crate::job::{Commit, Millis, NewJob, Outcome, Run, Table, Write};
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

/// What becomes of it at the end, also if it has to wait among strangers'.
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
        matches!(commit.outcome, Outcome::Failed { .. }),
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

/// Bytes of a message made by hand: `body` signed by `signer`, for rp1.
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
        assert_eq!(commit.outcome, Outcome::Done);

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

#[tokio::test]
async fn a_sent_message_is_recorded_delivered_and_understood() {
    let ledger = FakeLedger::recorded();
    let idp = testing::context("idp1", Role::Idp, ledger.clone());
    let rp = testing::context("rp1", Role::Rp, ledger);
    let receiver = outbound::receiver(&idp, "rp1").await.unwrap();
    let message = response("idp1", 42);
    let commit = outbound::send(&idp, "idp1", &[receiver.clone(), receiver], &message)
        .await
        .unwrap();

    let [
        Write::Put {
            row, column, value, ..
        },
    ] = commit.writes.as_slice()
    else {
        panic!("{commit:?}");
    };
    assert_eq!(*row, format!("idp1/{}", message.request_id()));
    assert!(column.starts_with("idp_response:outbound:"));
    let record: Value = serde_json::from_slice(value).unwrap();
    assert_eq!(record["message"], Value::Object(body::to_object(&message)));
    assert_eq!(record["destinations"][1]["node_id"], "rp1");

    let [first, second] = commit.jobs.as_slice() else {
        panic!("{commit:?}");
    };
    assert!(
        first.key.starts_with("message:127.0.0.1:5100 "),
        "{}",
        first.key
    );
    assert!(first.key.ends_with(message.request_id()));
    let in_600_seconds = Millis::now().until(first.deadline.unwrap()).as_secs();
    assert!((595..=600).contains(&in_600_seconds));
    let (first, second): (OutboundMessage, OutboundMessage) = (decode(first), decode(second));
    assert_ne!(first.message_id, second.message_id);

    let one = receive(&rp, first.payload).await;
    let two = receive(&rp, second.payload).await;
    let received: Received = decode(&one.jobs[0]);
    let understood: Message = serde_json::from_str(&received.message).unwrap();
    assert_eq!(understood, message);
    // The same signed message under two ids is the same work.
    assert_eq!(one.jobs[0].source, two.jobs[0].source);
}

#[tokio::test]
async fn compressed_messages_are_understood() {
    let ledger = FakeLedger::recorded();
    let mut idp = testing::context("idp1", Role::Idp, ledger.clone());
    let mut config = idp.config.as_ref().clone();
    config.mq.compress_from = Some(10);
    idp.config = Arc::new(config);
    let receiver = outbound::receiver(&idp, "rp1").await.unwrap();
    let commit = outbound::send(&idp, "idp1", &[receiver], &response("idp1", 42))
        .await
        .unwrap();
    let sent: OutboundMessage = decode(&commit.jobs[0]);
    let rp = testing::context("rp1", Role::Rp, ledger);
    let opened = envelope::open(&rp, sent.payload.clone().into(), Whose::Nodes);
    let opened = opened.await.unwrap().unwrap();
    assert_eq!(opened.message.message_compression_algorithm, "gzip");
    let commit = receive(&rp, sent.payload).await;
    assert_eq!(commit.outcome, Outcome::Done);
}

#[tokio::test]
async fn a_message_that_does_not_fit_is_refused_before_it_is_signed() {
    let rp = testing::context("rp1", Role::Rp, FakeLedger::recorded());
    let Message::IdpResponse(mut content) = response("idp1", 1) else {
        unreachable!();
    };
    content.accessor_id = Some("x".repeat(outbound::MAX_MESSAGE));
    let error = outbound::check_size(&rp, &Message::IdpResponse(content)).unwrap_err();
    assert_eq!(error.message(), "message size larger than max length limit");
    assert!(outbound::check_size(&rp, &response("idp1", 1)).is_ok());
}

#[tokio::test]
async fn a_ledger_that_cannot_be_reached_keeps_the_job() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let text = Value::Object(body::to_object(&response("idp1", 1))).to_string();
    let bytes = forged(&ledger, "idp1", "idp_response", text.as_bytes()).await;
    *ledger.unavailable.lock() = true;
    let job = testing::job(inbound::RECEIVE, &raw(bytes));
    let error = run_receive(&rp, &job).await.unwrap_err();
    assert!(error.is_temporary());
    *ledger.unavailable.lock() = false;
    assert!(run_receive(&rp, &job).await.is_ok());
}

#[tokio::test]
async fn everything_wrong_with_a_message_is_final_and_reported_with_its_code() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let good = body::to_object(&response("idp1", 1));
    let with = |member: &str, value: Value| {
        let mut object = good.clone();
        object.insert(member.to_owned(), value);
        Value::Object(object).to_string()
    };
    let without = |member: &str| {
        let mut object = good.clone();
        object.shift_remove(member);
        Value::Object(object).to_string()
    };
    let text = Value::Object(good.clone()).to_string();
    let cases = [
        (
            "unknown node",
            "idp1",
            "idp_response",
            with("idp_id", json!("nobody")),
            10020,
        ),
        (
            "no sender",
            "idp1",
            "idp_response",
            without("idp_id"),
            10020,
        ),
        (
            "another's name",
            "idp2",
            "idp_response",
            text.clone(),
            10021,
        ),
        (
            "another type outside",
            "idp1",
            "data_request",
            text.clone(),
            10043,
        ),
        (
            "unknown type outside",
            "idp1",
            "greeting",
            text.clone(),
            10043,
        ),
        (
            "unknown type inside",
            "idp1",
            "idp_response",
            with("type", json!("x")),
            10043,
        ),
        (
            "missing member",
            "idp1",
            "idp_response",
            without("request_id"),
            10044,
        ),
        (
            "null member",
            "idp1",
            "idp_response",
            with("accessor_id", Value::Null),
            10044,
        ),
        (
            "height 0",
            "idp1",
            "idp_response",
            with("height", json!(0)),
            10044,
        ),
        ("not JSON", "idp1", "idp_response", "{".to_owned(), 10023),
        (
            "unknown chain",
            "idp1",
            "idp_response",
            with("chain_id", json!("other")),
            10047,
        ),
    ];
    for (case, signer, message_type, body, code) in cases {
        let bytes = forged(&ledger, signer, message_type, body.as_bytes()).await;
        let commit = receive(&rp, bytes).await;
        let (action, found) = rejection(&commit);
        assert_eq!(found, code, "{case}");
        let expected = match code {
            10047 => "rp.handleMessageFromQueue",
            _ => "onMessage",
        };
        assert_eq!(action, expected, "{case}");
    }
}

#[tokio::test]
async fn rubbish_wrong_keys_and_wrong_versions_are_rejected() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let idp2 = testing::context("idp2", Role::Idp, ledger.clone());
    for bytes in [vec![], vec![0xff; 100], vec![0; 300]] {
        assert_eq!(rejection(&receive(&rp, bytes).await).1, 10022);
    }
    let text = Value::Object(body::to_object(&response("idp1", 1))).to_string();
    let for_rp = forged(&ledger, "idp1", "idp_response", text.as_bytes()).await;
    assert_eq!(rejection(&receive(&idp2, for_rp.clone()).await).1, 10022);
    let mut changed = for_rp;
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert_eq!(rejection(&receive(&rp, changed).await).1, 10022);

    let idp = testing::context("idp1", Role::Idp, ledger);
    let version_3 = MqMessage {
        version: 3,
        ..Default::default()
    };
    let bytes = sealed(&idp, &version_3).await;
    assert_eq!(rejection(&receive(&rp, bytes).await).1, 10052);
    let empty = MqMessage {
        version: 2,
        ..Default::default()
    };
    let bytes = sealed(&idp, &empty).await;
    assert_eq!(rejection(&receive(&rp, bytes).await).1, 10023);
    let bomb = MqMessage {
        version: 2,
        message_type: "idp_response".to_owned(),
        message: crate::mq::gzip::compress(&vec![0; 27_000_000]).into(),
        signature: vec![0; 256].into(),
        message_compression_algorithm: "gzip".to_owned(),
        ..Default::default()
    };
    // Nobody's name is in it, as far as it is read.
    let bytes = sealed(&idp, &bomb).await;
    assert_eq!(rejection(&receive(&rp, bytes).await).1, 10020);
    // One that its sender has signed is inflated, to its limit.
    let signature = envelope::sign(&idp, "idp1", &bomb.message).await.unwrap();
    let signed = MqMessage {
        signature: signature.into(),
        ..bomb
    };
    let mut sent = raw(sealed(&idp, &signed).await);
    sent.sender_id = "idp1".to_owned();
    let job = testing::job(inbound::RECEIVE, &sent);
    let Run::Commit(commit) = run_receive(&rp, &job).await.unwrap() else {
        panic!("not received");
    };
    assert_eq!(rejection(&commit).1, 10023);
}

#[tokio::test]
async fn a_node_cannot_speak_for_another_with_an_added_member() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let object = json!({
        "type": "as_response", "request_id": "r", "as_id": "as1", "service_id": "s",
        "error_code": 1, "chain_id": CHAIN, "height": 1, "idp_id": "idp1",
    });
    let wrapped = crate::proto::wire::AsDataResponseMqMessage {
        request_json: object.to_string(),
        ..Default::default()
    };
    let bytes = forged(&ledger, "idp1", "as_response", &wrapped.encode_to_vec()).await;
    assert_eq!(rejection(&receive(&rp, bytes).await).1, 10021);
}

#[tokio::test]
async fn messages_of_an_earlier_chain_do_not_wait_for_a_height() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    ledger.set(
        "GetChainHistory",
        &Value::Null,
        json!({"chains": [{"chain_id": "before"}]}),
    );
    let mut object = body::to_object(&response("idp1", 99_999));
    object.insert("chain_id".to_owned(), json!("before"));
    let text = Value::Object(object).to_string();
    let bytes = forged(&ledger, "idp1", "idp_response", text.as_bytes()).await;
    let commit = receive(&rp, bytes).await;
    assert_eq!(commit.outcome, Outcome::Done);
    assert_eq!(commit.jobs[0].after_height, None);
}

/// A message of block `height`, come at `received_at`, with our ledger at 1000.
async fn receive_ahead(height: u64, received_at: Millis) -> Result<Commit, crate::error::Error> {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    try_ahead(&rp, &ledger, "idp1", height, received_at).await
}

/// The same by `sender`, for `rp`.
async fn try_ahead(
    rp: &Context,
    ledger: &Arc<FakeLedger>,
    sender: &str,
    height: u64,
    received_at: Millis,
) -> Result<Commit, crate::error::Error> {
    let text = Value::Object(body::to_object(&response(sender, height))).to_string();
    let mut raw = raw(forged(ledger, sender, "idp_response", text.as_bytes()).await);
    raw.received_at = received_at;
    let job = testing::job(inbound::RECEIVE, &raw);
    match run_receive(rp, &job).await? {
        Run::Commit(commit) => Ok(commit),
        Run::Retry { reason, .. } | Run::Park { reason } => panic!("{reason}"),
    }
}

#[tokio::test]
async fn a_message_of_a_block_far_above_the_ledger_does_not_wait_for_it_for_ever() {
    let now = Millis::now();
    let near = receive_ahead(1010, now).await.unwrap();
    assert_eq!(near.jobs[0].after_height, Some(1010));
    assert_eq!(near.jobs[0].era, testing::ERA);
    let far = receive_ahead(u64::MAX, now).await.unwrap();
    assert!(waits_for(&far, u64::MAX), "our ledger's node may be behind");
    let long_ago = Millis(now.0 - 12 * 60 * 1000);
    let refused = receive_ahead(1011, long_ago).await.unwrap();
    let (action, code) = rejection(&refused);
    assert_eq!(
        (action.as_str(), code),
        ("rp.handleMessageFromQueue", 10023)
    );
}

/// Whether it waits as it came, for this block, and not for ever.
fn waits_for(commit: &Commit, height: u64) -> bool {
    let [waiting, give_up] = commit.jobs.as_slice() else {
        return false;
    };
    let kinds = (waiting.kind, give_up.kind);
    assert_eq!(kinds, (inbound::RECEIVE, far::GIVE_UP));
    assert_eq!(waiting.deadline, give_up.not_before);
    assert_eq!(give_up.id, waiting.id.partner());
    assert_eq!(commit.outcome, Outcome::Done);
    assert!(commit.writes.is_empty());
    waiting.after_height == Some(height)
}

#[tokio::test]
async fn of_messages_far_above_the_ledger_a_sender_has_only_its_share_waiting() {
    let ledger = FakeLedger::recorded();
    let mut rp = testing::context("rp1", Role::Rp, ledger.clone());
    let mut config = rp.config.as_ref().clone();
    config.queue.jobs = 16;
    rp.config = Arc::new(config);
    let now = Millis::now();
    let run = |sender, height| try_ahead(&rp, &ledger, sender, height, now);
    let first = run("idp1", 100_000).await.unwrap();
    assert!(waits_for(&first, 100_000));
    assert!(waits_for(&run("idp1", 100_000).await.unwrap(), 100_000));
    let refused = run("idp1", 100_000).await.unwrap();
    assert_eq!(
        rejection(&refused),
        ("rp.handleMessageFromQueue".to_owned(), 10023)
    );
    assert!(refused.writes.is_empty());
    assert!(waits_for(&run("idp2", 100_000).await.unwrap(), 100_000));
    assert_eq!(run("idp1", 1010).await.unwrap().jobs.len(), 1);
    // Once the ledger has come nearer it is handled, is given up no more, and
    // there is room again.
    *ledger.height.lock() = 100_001;
    let waiting = testing::accepted(first.jobs[0].clone());
    let Run::Commit(commit) = run_receive(&rp, &waiting).await.unwrap() else {
        panic!("not received");
    };
    assert_eq!(commit.jobs[0].kind, to_role::IDP_RESPONSE);
    assert_eq!(commit.cancel, [first.jobs[1].id]);
    *ledger.height.lock() = 1000;
    assert!(waits_for(&run("idp1", 100_000).await.unwrap(), 100_000));
}

#[tokio::test]
async fn a_message_that_has_waited_too_long_is_refused_without_being_opened_again() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let far = try_ahead(&rp, &ledger, "idp1", 100_000, Millis::now()).await;
    let far = far.unwrap();
    let job = testing::accepted(far.jobs[1].clone());
    let Run::Commit(commit) = far::run_give_up(&rp, &job).unwrap() else {
        panic!("not given up");
    };
    assert_eq!(
        rejection(&commit),
        ("rp.handleMessageFromQueue".to_owned(), 10023)
    );
    assert_eq!(commit.cancel, [far.jobs[0].id]);
}

#[tokio::test]
async fn what_cannot_be_of_its_sender_waits_in_the_line_of_strangers_and_is_not_parsed() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let idp = testing::context("idp1", Role::Idp, ledger.clone());
    let text = format!(
        r#"{{"type":"idp_response","padding":"{}","idp_id":"idp1"}}"#,
        "a".repeat(20_000_000)
    );
    let bytes = crate::mq::gzip::compress(text.as_bytes());
    let signed = |signature: Vec<u8>| MqMessage {
        version: envelope::VERSION,
        message_type: "idp_response".to_owned(),
        message: bytes.clone().into(),
        signature: signature.into(),
        message_compression_algorithm: crate::mq::gzip::NAME.to_owned(),
        ..Default::default()
    };
    let mut sent = raw(sealed(&idp, &signed(vec![7; 256])).await);
    sent.sender_id = "idp1".to_owned();
    let mut job = testing::job(inbound::RECEIVE, &sent);
    job.new.key = crate::job::message_key(&sent.sender_id, &sent.message_id).into();
    let Run::Commit(commit) = run_receive(&rp, &job).await.unwrap() else {
        panic!("not looked at");
    };
    let [again] = commit.jobs.as_slice() else {
        panic!("{commit:?}");
    };
    assert_eq!(again.kind, inbound::RECEIVE);
    assert_ne!(again.sender(), job.new.sender());
    assert_eq!(again.payload, job.new.payload);
    let again = testing::accepted(again.clone());
    let Run::Commit(commit) = run_receive(&rp, &again).await.unwrap() else {
        panic!("not refused");
    };
    assert_eq!(rejection(&commit), ("onMessage".to_owned(), 10021));

    // Signed by its sender it is looked at as a whole, wherever it came from.
    let signature = envelope::sign(&idp, "idp1", &bytes).await.unwrap();
    let mut sent = raw(sealed(&idp, &signed(signature)).await);
    for sender_id in ["idp1", "a proxy"] {
        sent.sender_id = sender_id.to_owned();
        let mut job = testing::job(inbound::RECEIVE, &sent);
        loop {
            let Run::Commit(commit) = run_receive(&rp, &job).await.unwrap() else {
                panic!("not looked at");
            };
            match commit.outcome {
                Outcome::Done => job = testing::accepted(commit.jobs[0].clone()),
                // It is no message of any type.
                Outcome::Failed { .. } => {
                    assert_eq!(rejection(&commit), ("onMessage".to_owned(), 10044));
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_compressed_message_waits_for_its_block_as_it_came() {
    let ledger = FakeLedger::recorded();
    let mut idp = testing::context("idp1", Role::Idp, ledger.clone());
    let mut config = idp.config.as_ref().clone();
    config.mq.compress_from = Some(10);
    idp.config = Arc::new(config);
    let Message::IdpResponse(mut content) = response("idp1", 1001) else {
        unreachable!();
    };
    content.accessor_id = Some("x".repeat(1_000_000));
    let message = Message::IdpResponse(content);
    let receiver = outbound::receiver(&idp, "rp1").await.unwrap();
    let commit = outbound::send(&idp, "idp1", &[receiver], &message).await;
    let sent: OutboundMessage = decode(&commit.unwrap().jobs[0]);
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let commit = receive(&rp, sent.payload).await;
    let [waiting] = commit.jobs.as_slice() else {
        panic!("{commit:?}");
    };
    assert!(commit.writes.is_empty());
    assert_eq!(waiting.kind, inbound::RECEIVE);
    assert_eq!(waiting.after_height, Some(1001));
    assert_eq!(waiting.era, testing::ERA);
    assert!(waiting.payload.len() < 10_000);

    *ledger.height.lock() = 1002;
    let job = testing::accepted(waiting.clone());
    let Run::Commit(commit) = run_receive(&rp, &job).await.unwrap() else {
        panic!("not received");
    };
    let received: Received = decode(&commit.jobs[0]);
    let understood: Message = serde_json::from_str(&received.message).unwrap();
    assert_eq!(understood, message);
    assert_eq!(commit.writes.len(), 1);
}

#[tokio::test]
async fn messages_for_another_role_fail_without_a_record_or_a_callback() {
    let ledger = FakeLedger::recorded();
    let mut context = testing::context("rp1", Role::Rp, ledger.clone());
    context.role = Role::Idp;
    let text = Value::Object(body::to_object(&response("idp1", 1))).to_string();
    let bytes = forged(&ledger, "idp1", "idp_response", text.as_bytes()).await;
    let commit = receive(&context, bytes).await;
    assert!(matches!(commit.outcome, Outcome::Failed { .. }));
    assert!(commit.jobs.is_empty());
    assert!(commit.writes.is_empty());
}

#[tokio::test]
async fn a_message_signed_before_a_rotation_is_taken_for_a_while() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let text = Value::Object(body::to_object(&response("idp1", 900))).to_string();
    let bytes = forged(&ledger, "idp1", "idp_response", text.as_bytes()).await;

    let new_key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let pem = String::from_utf8(new_key.public_key_to_pem().unwrap()).unwrap();
    let mut keys = Vec::new();
    ledger.change_node("idp1", |info| {
        let key = &mut info["signing_public_key"];
        keys.push(key.clone());
        key["public_key"] = pem.into();
        key["version"] = json!(2);
        key["creation_block_height"] = json!(950);
        keys.push(key.clone());
    });
    ledger.set(
        "GetNodePublicKeyList",
        &json!({"node_id": "idp1"}),
        json!({"signing_public_key_list": keys}),
    );
    assert_eq!(receive(&rp, bytes.clone()).await.outcome, Outcome::Done);

    *ledger.height.lock() = 10_000;
    assert_eq!(rejection(&receive(&rp, bytes).await).1, 10021);
}

/// as1 as a proxy that holds the keys of idp2, and the directory of those keys.
fn proxy(ledger: &Arc<FakeLedger>) -> (Context, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    for (from, to) in [("signing", "idp2"), ("master", "idp2_master")] {
        let source = testing::recording("keys").join(format!("idp2.{from}.pem"));
        std::fs::copy(source, directory.path().join(to)).unwrap();
    }
    let encryption = directory.path().join("encryption");
    std::fs::create_dir(&encryption).unwrap();
    let source = testing::recording("keys").join("idp2.encryption.pem");
    std::fs::copy(source, encryption.join("idp2")).unwrap();

    let mut context = testing::context("as1", Role::Proxy, ledger.clone());
    let mut config = context.config.as_ref().clone();
    if let crate::config::Keys::Files { behind_proxy, .. } = &mut config.keys {
        behind_proxy.signing = Some(directory.path().to_owned());
        behind_proxy.signing_master = Some(directory.path().to_owned());
        behind_proxy.encryption = Some(encryption);
    }
    context.config = Arc::new(config);
    let keyring = crate::crypto::keyring::Keyring::load(context.config.clone(), &["idp2".into()]);
    context.crypto = Arc::new(keyring.unwrap_or_else(|error| panic!("{error}")));
    (context, directory)
}

fn put_behind_proxy(ledger: &FakeLedger, config: &str) {
    let behind = json!({"nodes": [{"node_id": "idp2", "config": config}]});
    let of_proxy = json!({"proxy_node_id": "as1"});
    ledger.set("GetNodesBehindProxyNode", &of_proxy, behind);
    let mut as1 = Value::Null;
    ledger.change_node("as1", |info| as1 = info.clone());
    ledger.change_node("idp2", |info| {
        info["mq"] = Value::Null;
        info["proxy"] = json!({
            "node_id": "as1",
            "signing_public_key": as1["signing_public_key"],
            "encryption_public_key": as1["encryption_public_key"],
            "mq": as1["mq"],
            "config": config,
        });
    });
}

fn consent_request() -> Message {
    let text = r#"{"type":"consent_request","namespace":"citizen_id","identifier":"1","mode":1,"request_id":"r","min_aal":1,"min_ial":1.1,"request_timeout":86400,"data_request_list":[],"data_request_params_salt_list":[],"request_message":"data:text/plain;base64,SGVsbG8=","rp_id":"rp1","request_message_salt":"s","initial_salt":"s","creation_time":1732000000000,"chain_id":"test-chain-NDID","height":40}"#;
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn messages_to_and_from_nodes_behind_a_proxy_go_through_it() {
    let ledger = FakeLedger::recorded();
    put_behind_proxy(&ledger, "KEY_ON_PROXY");
    let (proxy, _directory) = proxy(&ledger);
    let rp = testing::context("rp1", Role::Rp, ledger.clone());

    let receiver = outbound::receiver(&rp, "idp2").await.unwrap();
    assert_eq!(receiver.proxy.as_ref().unwrap().node_id, "as1");
    assert_eq!(receiver.address.port, 5200);
    let commit = outbound::send(&rp, "rp1", &[receiver], &consent_request())
        .await
        .unwrap();
    let sent: OutboundMessage = decode(&commit.jobs[0]);
    let commit = receive(&proxy, sent.payload.clone()).await;
    assert_eq!(commit.outcome, Outcome::Done);
    assert_eq!(commit.jobs[0].kind, to_role::CONSENT_REQUEST);
    let received: Received = decode(&commit.jobs[0]);
    assert_eq!(received.receiver_node_id, "idp2");
    let Write::Put { row, value, .. } = &commit.writes[0] else {
        panic!("{commit:?}");
    };
    assert_eq!(row, "idp2/r");
    let record: Value = serde_json::from_slice(value).unwrap();
    assert!(record["signature_for_proxy"].is_string());

    // The answer is signed by the node behind the proxy and filed under the proxy.
    let receiver = outbound::receiver(&proxy, "rp1").await.unwrap();
    let commit = outbound::send(&proxy, "idp2", &[receiver], &response("idp2", 1))
        .await
        .unwrap();
    let answer: OutboundMessage = decode(&commit.jobs[0]);
    let commit = receive(&rp, answer.payload.clone()).await;
    assert_eq!(commit.outcome, Outcome::Done);
    let Write::Put { value, .. } = &commit.writes[0] else {
        panic!("{commit:?}");
    };
    let record: Value = serde_json::from_slice(value).unwrap();
    let expected =
        json!({"node_id": "idp2", "proxy_node_id": "as1", "proxy_config": "KEY_ON_PROXY"});
    assert_eq!(record["source"], expected);

    // A proxy takes every message as wrapped.
    let as1 = outbound::receiver(&rp, "as1").await.unwrap();
    let commit = outbound::send(&rp, "rp1", &[as1], &consent_request())
        .await
        .unwrap();
    let unwrapped: OutboundMessage = decode(&commit.jobs[0]);
    assert_eq!(
        rejection(&receive(&proxy, unwrapped.payload).await).1,
        10023
    );

    // Keys on the node itself are not served.
    put_behind_proxy(&ledger, "KEY_ON_NODE");
    let commit = receive(&proxy, sent.payload).await;
    assert!(matches!(commit.outcome, Outcome::Failed { .. }));
    assert!(commit.jobs.is_empty() && commit.writes.is_empty());
}

/// Keys that count as somebody else's.
struct Remote(Arc<dyn crate::crypto::Crypto>);

#[async_trait::async_trait]
impl crate::crypto::Crypto for Remote {
    fn is_local(&self) -> bool {
        false
    }

    async fn sign(
        &self,
        node_id: &str,
        key_use: crate::crypto::KeyUse,
        algorithm: &str,
        key_version: u64,
        message: &[u8],
    ) -> Result<Vec<u8>, crate::error::Error> {
        self.0
            .sign(node_id, key_use, algorithm, key_version, message)
            .await
    }

    async fn decrypt(
        &self,
        node_id: &str,
        algorithm: &str,
        key_version: u64,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, crate::error::Error> {
        self.0
            .decrypt(node_id, algorithm, key_version, encrypted)
            .await
    }
}

#[tokio::test]
async fn with_an_external_crypto_service_a_job_of_its_own_signs() {
    let ledger = FakeLedger::recorded();
    let mut idp = testing::context("idp1", Role::Idp, ledger.clone());
    idp.crypto = Arc::new(Remote(idp.crypto.clone()));
    let receiver = outbound::receiver(&idp, "rp1").await.unwrap();
    *ledger.unavailable.lock() = true;
    let commit = outbound::send(&idp, "idp1", &[receiver], &response("idp1", 42))
        .await
        .unwrap();
    assert!(commit.writes.is_empty());
    let [job] = commit.jobs.as_slice() else {
        panic!("{commit:?}");
    };
    assert_eq!(job.kind, outbound::SEND);
    let job = testing::accepted(job.clone());
    let error = outbound::run_send(&idp, &job).await.unwrap_err();
    assert!(error.is_temporary());

    *ledger.unavailable.lock() = false;
    let Run::Commit(commit) = outbound::run_send(&idp, &job).await.unwrap() else {
        panic!("not sent");
    };
    assert_eq!(commit.writes.len(), 1);
    let sent: OutboundMessage = decode(&commit.jobs[0]);
    let rp = testing::context("rp1", Role::Rp, ledger);
    assert_eq!(receive(&rp, sent.payload).await.outcome, Outcome::Done);
}

#[tokio::test]
async fn a_message_that_nobody_signs_is_given_up_in_time_and_told() {
    let mut idp = testing::context("idp1", Role::Idp, FakeLedger::recorded());
    let receiver = outbound::receiver(&idp, "rp1").await.unwrap();
    idp.crypto = Arc::new(testing::Away);
    let commit = outbound::send(&idp, "idp1", &[receiver], &response("idp1", 42)).await;
    let mut job = testing::accepted(commit.unwrap().jobs[0].clone());
    let error = outbound::run_send(&idp, &job).await.unwrap_err();
    assert!(error.is_of_crypto_service());

    job.accepted_at = Millis(Millis::now().0 - 599_000);
    job.tries = 8;
    let Run::Commit(commit) = outbound::run_send(&idp, &job).await.unwrap() else {
        panic!("tried again");
    };
    assert!(matches!(commit.outcome, Outcome::Failed { .. }));
    let (action, code) = rejection(&commit);
    assert_eq!((action.as_str(), code), ("idp.processMessage", 10000));
}

#[tokio::test]
async fn messages_wait_until_the_external_crypto_service_has_its_urls() {
    let ledger = FakeLedger::recorded();
    let idp = testing::context("idp1", Role::Idp, ledger.clone());
    let receiver = outbound::receiver(&idp, "rp1").await.unwrap();
    let receivers = [receiver];
    let commit = outbound::send(&idp, "idp1", &receivers, &response("idp1", 42))
        .await
        .unwrap();
    let sent: OutboundMessage = decode(&commit.jobs[0]);

    let mut rp = testing::context("rp1", Role::Rp, ledger);
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    rp.crypto = Arc::new(crate::crypto::external::ExternalCrypto::new(
        rp.state.clone(),
        Arc::default(),
        reqwest::Client::new(),
    ));
    let job = testing::job(inbound::RECEIVE, &raw(sent.payload));
    let error = run_receive(&rp, &job).await.unwrap_err();
    assert_eq!(error.code().number, 10012);
    assert!(error.is_temporary());

    let commit = outbound::send(&rp, "rp1", &receivers, &consent_request())
        .await
        .unwrap();
    let job = testing::accepted(commit.jobs[0].clone());
    let error = outbound::run_send(&rp, &job).await.unwrap_err();
    assert_eq!(error.code().number, 10010);
    assert!(error.is_temporary());
}

/// The error callback in a commit: whose `error_url`, and its body.
fn error_callback(commit: &Commit) -> (String, Value) {
    let [job] = commit.jobs.as_slice() else {
        panic!("{commit:?}");
    };
    let callback: Callback = decode(job);
    let Target::Setting { role, name } = callback.target else {
        panic!("{:?}", callback.target);
    };
    assert_eq!(name, "error_url");
    (role, serde_json::from_str(&callback.body).unwrap())
}

#[tokio::test]
async fn a_message_that_an_external_crypto_service_cannot_sign_is_reported() {
    let ledger = FakeLedger::recorded();
    for role in [Role::Idp, Role::Proxy] {
        let mut sender = testing::context("as1", role, ledger.clone());
        sender.crypto = Arc::new(Remote(sender.crypto.clone()));
        let receiver = outbound::receiver(&sender, "rp1").await.unwrap();
        // Of which it has no key.
        let commit = outbound::send(&sender, "idp2", &[receiver], &response("idp2", 42))
            .await
            .unwrap();
        let job = testing::accepted(commit.jobs[0].clone());
        let Run::Commit(commit) = outbound::run_send(&sender, &job).await.unwrap() else {
            panic!("not ended");
        };
        assert!(matches!(commit.outcome, Outcome::Failed { .. }));
        let (role, body) = error_callback(&commit);
        assert_eq!(role, "idp");
        assert_eq!(
            body,
            json!({
                "node_id": "idp2", "type": "error", "action": "idp.processMessage",
                "request_id": "a".repeat(64),
                "error": {"code": 10034, "message": body["error"]["message"]},
            })
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_message_behind_a_proxy_is_told_to_the_role_it_is_for() {
    let ledger = FakeLedger::recorded();
    put_behind_proxy(&ledger, "KEY_ON_PROXY");
    let (proxy, _directory) = proxy(&ledger);
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let receiver = outbound::receiver(&rp, "idp2").await.unwrap();
    let Message::ConsentRequest(mut request) = consent_request() else {
        unreachable!();
    };
    request.chain_id = "other".to_owned();
    let message = Message::ConsentRequest(request);
    let commit = outbound::send(&rp, "rp1", &[receiver], &message)
        .await
        .unwrap();
    let sent: OutboundMessage = decode(&commit.jobs[0]);
    let (role, body) = error_callback(&receive(&proxy, sent.payload).await);
    assert_eq!(role, "idp");
    assert_eq!(body["action"], "idp.handleMessageFromQueue");
    assert_eq!(body["node_id"], "idp2");
    assert_eq!(body["request_id"], "r");
    assert_eq!(body["error"]["code"], 10047);
}

#[tokio::test]
async fn one_receiver_with_an_unusable_key_does_not_keep_the_message_from_others() {
    let idp = testing::context("idp1", Role::Idp, FakeLedger::recorded());
    let good = outbound::receiver(&idp, "rp1").await.unwrap();
    let mut bad = outbound::receiver(&idp, "as1").await.unwrap();
    bad.encryption_key.algorithm = "ROT13".to_owned();
    let commit = outbound::send(&idp, "idp1", &[bad.clone(), good], &response("idp1", 42))
        .await
        .unwrap();
    assert_eq!(commit.jobs.len(), 1);
    let alone = outbound::send(&idp, "idp1", &[bad], &response("idp1", 42)).await;
    assert!(alone.is_err());
}

/// The bytes of an answer of idp1 to rp1, and those whom they are for.
async fn answer_of_idp1(height: u64) -> (Context, RawMessage) {
    let ledger = FakeLedger::recorded();
    let context = testing::context("rp1", Role::Rp, ledger.clone());
    let object = body::to_object(&response("idp1", height));
    let text = Value::Object(object).to_string();
    let bytes = forged(&ledger, "idp1", "idp_response", text.as_bytes()).await;
    (context, raw(bytes))
}

#[tokio::test]
async fn a_message_is_opened_before_it_is_stored_as_it_would_be_afterwards() {
    let (context, sent) = answer_of_idp1(1).await;
    let opener = Opener::new(context.clone()).unwrap();
    let [Some(taken)] = &opener.open(std::slice::from_ref(&sent)).await[..] else {
        panic!("it was not opened");
    };
    let later = receive(&context, sent.bytes).await;
    let [job] = &later.jobs[..] else {
        panic!("{later:?}");
    };
    assert_eq!(
        later.writes,
        std::slice::from_ref(&taken.record),
        "under the same name"
    );
    assert_eq!(taken.job.payload, job.payload);
    let waits_for = |job: &NewJob| (job.kind, job.key.clone(), job.after_height, job.era);
    assert_eq!(waits_for(&taken.job), waits_for(job));
}

#[tokio::test]
async fn what_is_wrong_far_large_or_too_much_is_stored_as_it_came() {
    let (context, sent) = answer_of_idp1(1).await;
    let opener = Opener::new(context).unwrap();
    let wrong = raw(b"rubbish".to_vec());
    let (_, far) = answer_of_idp1(1_000_000).await;
    let large = raw(vec![0; crate::heavy::SMALL + 1]);
    let mut all = vec![wrong, far, large];
    all.resize(40, sent);
    let opened = opener.open(&all).await;
    let places: Vec<usize> = (0..40).filter(|place| opened[*place].is_some()).collect();
    assert_eq!(opened.len(), 40);
    assert_eq!(places, (3..16).collect::<Vec<usize>>());

    let mut away = testing::context("rp1", Role::Rp, FakeLedger::recorded());
    away.crypto = Arc::new(testing::Away);
    assert!(Opener::new(away).is_none(), "decrypting may take long");
}
