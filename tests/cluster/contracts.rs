//! Contracts whose documents are on hosts that never answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use erawan::context::Role;
use tokio::net::TcpListener;

use crate::network::*;

/// A host that takes calls and never answers; how many it has had.
async fn tarpit() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let calls = Arc::new(AtomicUsize::new(0));
    let taken = calls.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
            taken.fetch_add(1, Ordering::SeqCst);
        }
    });
    (host, calls)
}

#[actix_web::test]
async fn contracts_on_a_host_that_never_answers_do_not_hold_up_an_idp() {
    const RUN_CAPACITY: usize = 4;
    const CONTRACTS: usize = 2 * RUN_CAPACITY;
    // An eighth of the credit for deliveries.
    const SHARE: usize = 2;
    let mut net = Net::start(Store::Embedded, 0).await;
    restart_one(
        &mut net,
        Role::Idp,
        &[
            ("WORKER_RUN_CAPACITY", &RUN_CAPACITY.to_string()),
            ("WORKER_DELIVERY_CAPACITY", &(8 * SHARE).to_string()),
            // For the whole test: what waits for it would never end.
            ("DCONTRACT_FETCH_TIMEOUT", "600000"),
        ],
    )
    .await;
    let apps = net.apps().await;
    let (host, calls) = tarpit().await;
    for number in 0..CONTRACTS {
        let (_, mut body) = unanswered_request();
        body["request_type"] = "dsign.dcontract".into();
        body["request_message"] = format!("please\nhttp://{host}/{number}/hash").into();
        let url = format!("{}/v6/rp/requests/{IDENTITY}", net.api(Role::Rp));
        let answer = plain_client().post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 202);
    }
    let is_asked = || async { calls.load(Ordering::SeqCst) >= SHARE };
    eventually("the IdP asks for documents", is_asked).await;
    drive(&apps, 3).await;
    assert_all_verified(&apps, 3);
    assert_eq!(
        calls.load(Ordering::SeqCst),
        SHARE,
        "no more than its share"
    );
    apps.stop().await;
}
