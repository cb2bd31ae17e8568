//! Messages of blocks that this node has not seen.

use super::*;

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
    assert_eq!(commit.outcome, JobOutcome::Done);
    assert_eq!(commit.jobs[0].after_height, None);
}

/// A message of block `height` that came at `received_at`, with our ledger at
/// 1000.
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

/// Whether it waits as it came, for this block, and with a limit.
fn waits_for(commit: &Commit, height: u64) -> bool {
    let [waiting, give_up] = commit.jobs.as_slice() else {
        return false;
    };
    let kinds = (waiting.kind, give_up.kind);
    assert_eq!(kinds, (inbound::RECEIVE, far::GIVE_UP));
    assert_eq!(waiting.deadline, give_up.not_before);
    assert_eq!(give_up.id, waiting.id.partner());
    assert_eq!(commit.outcome, JobOutcome::Done);
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
    // Once the ledger is nearer, it is handled, its timer is cancelled, and its
    // quota is free again.
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

    // With its sender's signature it is read completely, wherever it came from.
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
                JobOutcome::Done => job = testing::accepted(commit.jobs[0].clone()),
                // It has no known type.
                JobOutcome::Failed { .. } => {
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
