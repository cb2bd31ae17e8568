//! What is tried again, and when it is given up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erawan::config::Config;
use erawan::delivery::callback::*;
use erawan::devnet::ports;
use erawan::error::codes;
use erawan::job::{Job, Millis, Run};
use serde_json::{Value, json};

use super::{Receiver, Sender, answer, data_request, done, handed_on, is_failed, job};
use crate::network::eventually;

#[actix_web::test]
async fn what_is_late_is_given_up_untried_when_its_receiver_has_failed_all_the_while() {
    let silent = Receiver::silent().await;
    let mut sender = Sender::impatient();
    let limit = Duration::from_millis(100);
    let config = Config {
        callback_retry_timeout: limit,
        ..(*sender.context.config).clone()
    };
    sender.context.config = Arc::new(config);
    let late = |persistence| Job {
        accepted_at: Millis(Millis::now().0 - 1000),
        ..job(&silent.url(), persistence)
    };
    // Nothing is known of the receiver: each is tried.
    sender.deliver(&late(Persistence::Timed)).await;
    assert_eq!(silent.calls().len(), 1);
    tokio::time::sleep(limit).await;
    assert!(is_failed(&sender.deliver(&late(Persistence::Timed)).await));
    assert_eq!(silent.calls().len(), 1);
    // One that is not late is tried, and finds out whether the receiver is back.
    let young = Job {
        accepted_at: Millis(Millis::now().0 + 60_000),
        ..job(&silent.url(), Persistence::Timed)
    };
    sender.deliver(&young).await;
    assert_eq!(silent.calls().len(), 2);
}

#[actix_web::test]
async fn a_receiver_that_refuses_is_tried_again_with_backoff() {
    let closed = format!("http://127.0.0.1:{}/", ports::free().unwrap());
    let sender = Sender::new();
    let mut job = job(&closed, Persistence::Timed);
    for (tries, seconds) in [(0, 5.0), (3, 40.0)] {
        job.tries = tries;
        let Run::Retry { after, .. } = sender.deliver(&job).await else {
            panic!("not tried again");
        };
        assert!(
            (after.as_secs_f64() - seconds).abs() < seconds * 0.06,
            "{after:?}"
        );
    }
    let once = self::job(&closed, Persistence::Single);
    assert!(is_failed(&sender.deliver(&once).await));
}

#[actix_web::test]
async fn neither_downtime_nor_a_busy_destination_uses_up_the_time_of_a_callback() {
    let sender = Sender::new();
    let mut job = job("http://127.0.0.1:1/", Persistence::Timed);
    let now = Millis::now().0;
    for (tries, accepted_ago, given_up) in [
        // Tried once, then the node was down for a day.
        (1, 86_400_000, false),
        // Sixty times busy within a minute.
        (60, 60_000, false),
        // 5, 10, 20, 40, 80, 160 s, and 180 s more: still within 600 s.
        (6, 320_000, false),
        (7, 500_000, true),
    ] {
        job.tries = tries;
        job.accepted_at = Millis(now - accepted_ago);
        let run = sender.deliver(&job).await;
        assert_eq!(is_failed(&run), given_up, "{tries} tries: {run:?}");
    }
}

#[actix_web::test]
async fn a_silent_receiver_is_given_up_after_the_time_for_one_try() {
    let receiver = Receiver::silent().await;
    let sender = Sender::impatient();
    let run = sender
        .deliver(&job(&receiver.url(), Persistence::Timed))
        .await;
    assert!(matches!(run, Run::Retry { .. }), "{run:?}");
    assert_eq!(receiver.calls().len(), 1);
}

#[actix_web::test]
async fn a_dead_receiver_does_not_slow_the_others() {
    let dead = Receiver::silent().await;
    let alive = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Arc::new(Sender::with_limits(CallbackLimits {
        try_time: Duration::from_secs(60),
        concurrent: 2,
        waiting_time: Duration::from_millis(100),
    }));
    let blocked: Vec<_> = (0..2)
        .map(|_| {
            let (sender, job) = (sender.clone(), job(&dead.url(), Persistence::Timed));
            tokio::spawn(async move { sender.deliver(&job).await })
        })
        .collect();
    eventually("both places are taken", || dead.calls().len() == 2).await;
    let started = Instant::now();
    let run = sender.deliver(&job(&dead.url(), Persistence::Timed)).await;
    assert!(
        matches!(&run, Run::Retry { reason, .. } if reason.contains("too many")),
        "{run:?}"
    );
    let run = sender.deliver(&job(&alive.url(), Persistence::Timed)).await;
    assert_eq!(run, done());
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(dead.calls().len(), 2);
    blocked.iter().for_each(tokio::task::JoinHandle::abort);
}

fn request_detail(closed: bool) -> Value {
    json!({
        "request_id": "r", "min_idp": 1, "min_aal": 1, "min_ial": 1.1, "request_timeout": 60,
        "idp_id_list": [], "data_request_list": [], "request_message_hash": "",
        "response_list": [], "closed": closed, "timed_out": false, "purpose": "", "mode": 1,
        "request_type": null, "requester_node_id": "rp1", "creation_block_height": 1,
        "creation_chain_id": "c",
    })
}

#[actix_web::test]
async fn a_data_request_is_repeated_until_its_request_ends() {
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    sender
        .ledger
        .answer_with(|_, _| Ok(Some(request_detail(true))));
    assert_eq!(sender.deliver(&data_request(1)).await, done());
    assert_eq!(receiver.calls().len(), 0);
    sender
        .ledger
        .answer_with(|_, _| Ok(Some(request_detail(false))));
    handed_on(&sender.deliver(&data_request(1)).await);
    sender.ledger.answer_with(|_, _| {
        Err(erawan::error::Error::from(codes::TENDERMINT_HTTP_CALL_ERROR).temporary())
    });
    handed_on(&sender.deliver(&data_request(1)).await);
    assert_eq!(receiver.calls().len(), 2);
}

#[actix_web::test]
async fn a_data_request_ends_when_neither_the_ledger_nor_the_node_knows_its_request() {
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    // A ledger's node that has not come to the block of the request.
    sender.know_request(true);
    handed_on(&sender.deliver(&data_request(1)).await);
    assert_eq!(receiver.calls().len(), 1);
    // After a ledger was replaced, and the node has looked at what it knew.
    sender.know_request(false);
    assert_eq!(sender.deliver(&data_request(1)).await, done());
    assert_eq!(receiver.calls().len(), 1);
}
