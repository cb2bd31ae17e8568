//! Keys with an external crypto service.

use super::*;
use crate::ledger::types::NodeKey;

/// Keys that count as external.
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
        key: &NodeKey,
        message: &[u8],
    ) -> Result<Vec<u8>, crate::error::Error> {
        self.0.sign(node_id, key_use, key, message).await
    }

    async fn decrypt(
        &self,
        node_id: &str,
        key: &NodeKey,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, crate::error::Error> {
        self.0.decrypt(node_id, key, encrypted).await
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
    assert_eq!(receive(&rp, sent.payload).await.outcome, JobOutcome::Done);
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
    assert!(matches!(commit.outcome, JobOutcome::Failed { .. }));
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
    rp.crypto = Arc::new(crate::crypto::external::ExternalCrypto::new(
        rp.state.clone(),
        Arc::default(),
        rp.http.clone(),
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

#[tokio::test]
async fn a_message_that_an_external_crypto_service_cannot_sign_is_reported() {
    let ledger = FakeLedger::recorded();
    for role in [Role::Idp, Role::Proxy] {
        let mut sender = testing::context("as1", role, ledger.clone());
        sender.crypto = Arc::new(Remote(sender.crypto.clone()));
        let receiver = outbound::receiver(&sender, "rp1").await.unwrap();
        // The receiver has no key.
        let commit = outbound::send(&sender, "idp2", &[receiver], &response("idp2", 42))
            .await
            .unwrap();
        let job = testing::accepted(commit.jobs[0].clone());
        let Run::Commit(commit) = outbound::run_send(&sender, &job).await.unwrap() else {
            panic!("not ended");
        };
        assert!(matches!(commit.outcome, JobOutcome::Failed { .. }));
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
