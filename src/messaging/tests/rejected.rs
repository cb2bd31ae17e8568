//! Refused messages, and who hears of it.

use super::*;

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
    // The text names nobody within the part that is read.
    let bytes = sealed(&idp, &bomb).await;
    assert_eq!(rejection(&receive(&rp, bytes).await).1, 10020);
    // A message that its sender has signed is inflated up to its limit.
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
async fn messages_for_another_role_fail_without_a_record_or_a_callback() {
    let ledger = FakeLedger::recorded();
    let mut context = testing::context("rp1", Role::Rp, ledger.clone());
    context.role = Role::As;
    let text = Value::Object(body::to_object(&response("idp1", 1))).to_string();
    let bytes = forged(&ledger, "idp1", "idp_response", text.as_bytes()).await;
    let commit = receive(&context, bytes).await;
    assert!(matches!(commit.outcome, JobOutcome::Failed { .. }));
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
    assert_eq!(receive(&rp, bytes.clone()).await.outcome, JobOutcome::Done);

    *ledger.height.lock() = 10_000;
    assert_eq!(rejection(&receive(&rp, bytes).await).1, 10021);
}
