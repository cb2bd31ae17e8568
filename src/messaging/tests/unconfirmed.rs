//! Messages whose sender the ledger does not confirm yet.

use super::*;
use crate::job::Job;

fn pem() -> String {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
}

async fn run(rp: &Context, job: &Job) -> Commit {
    let Run::Commit(commit) = run_receive(rp, job).await.unwrap() else {
        panic!("not looked at");
    };
    commit
}

fn job(bytes: &[u8]) -> Job {
    let mut sent = raw(bytes.to_vec());
    sent.received_at = Millis::now();
    testing::job(inbound::RECEIVE, &sent)
}

/// The job that waits with the message.
fn waiting(commit: &Commit) -> NewJob {
    assert_eq!(commit.outcome, JobOutcome::Done, "{commit:?}");
    assert!(commit.writes.is_empty());
    let [waiting] = commit.jobs.as_slice() else {
        panic!("{commit:?}");
    };
    assert_eq!(waiting.kind, inbound::RECEIVE);
    assert!(waiting.not_before.is_some_and(|at| at > Millis::now()));
    waiting.clone()
}

#[tokio::test]
async fn a_message_signed_with_a_key_of_the_next_block_waits_for_it() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let text = Value::Object(body::to_object(&response("idp1", 900))).to_string();
    let bytes = forged(&ledger, "idp1", "idp_response", text.as_bytes()).await;
    let mut key = Value::Null;
    ledger.change_node("idp1", |info| {
        key = info["signing_public_key"]["public_key"].take();
        info["signing_public_key"]["public_key"] = pem().into();
    });

    let first = waiting(&run(&rp, &job(&bytes)).await);
    // The next block does not have it either.
    let second = waiting(&run(&rp, &testing::accepted(first)).await);
    ledger.change_node("idp1", |info| {
        info["signing_public_key"]["public_key"] = key.take();
    });
    let commit = run(&rp, &testing::accepted(second)).await;
    assert_eq!(commit.jobs[0].kind, to_role::IDP_RESPONSE);
}

#[tokio::test]
async fn a_message_of_a_node_that_is_registered_in_the_next_block_waits_for_it() {
    let ledger = FakeLedger::recorded();
    let rp = testing::context("rp1", Role::Rp, ledger.clone());
    let text = Value::Object(body::to_object(&response("idp9", 900))).to_string();
    let bytes = forged(&ledger, "idp1", "idp_response", text.as_bytes()).await;
    waiting(&run(&rp, &job(&bytes)).await);
    // It has not come.
    let mut old = raw(bytes);
    old.received_at = Millis(Millis::now().0 - 8_000);
    let commit = run(&rp, &testing::job(inbound::RECEIVE, &old)).await;
    assert_eq!(rejection(&commit), ("onMessage".to_owned(), 10020));
}

#[tokio::test]
async fn messages_of_unconfirmed_senders_share_one_quota() {
    let ledger = FakeLedger::recorded();
    let mut rp = testing::context("rp1", Role::Rp, ledger.clone());
    let mut config = rp.config.as_ref().clone();
    config.queue.jobs = 16;
    rp.config = Arc::new(config);
    let text = Value::Object(body::to_object(&response("idp1", 900))).to_string();
    let bytes = forged(&ledger, "idp2", "idp_response", text.as_bytes()).await;
    for _ in 0..2 {
        waiting(&run(&rp, &job(&bytes)).await);
    }
    let commit = run(&rp, &job(&bytes)).await;
    assert_eq!(rejection(&commit), ("onMessage".to_owned(), 10021));
}
