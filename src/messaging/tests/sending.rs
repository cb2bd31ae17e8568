//! Sending, from the job to the receiver.

use super::*;

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
    assert_eq!(commit.outcome, JobOutcome::Done);
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
