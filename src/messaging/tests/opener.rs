//! Messages opened before they are stored.

use super::*;

/// The bytes of an answer of idp1 to rp1, and its receiver.
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
