//! Messages to and from nodes behind a proxy.

use super::*;

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
    assert_eq!(commit.outcome, JobOutcome::Done);
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
    assert_eq!(commit.outcome, JobOutcome::Done);
    let Write::Put { value, .. } = &commit.writes[0] else {
        panic!("{commit:?}");
    };
    let record: Value = serde_json::from_slice(value).unwrap();
    let expected =
        json!({"node_id": "idp2", "proxy_node_id": "as1", "proxy_config": "KEY_ON_PROXY"});
    assert_eq!(record["source"], expected);

    // A proxy unwraps every message.
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
    assert!(matches!(commit.outcome, JobOutcome::Failed { .. }));
    assert!(commit.jobs.is_empty() && commit.writes.is_empty());
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
