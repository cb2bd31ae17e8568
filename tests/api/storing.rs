//! What happens between an operation and its 202.

use std::sync::atomic::{AtomicUsize, Ordering};

use erawan::api::CallOutcome;
use erawan::context::Role;
use erawan::error::{Error, codes};
use erawan::job::{NewJob, Table, Write, noop};
use erawan::store::{Accept, Accepted, StoreError};
use futures_util::future::join_all;
use serde_json::json;

use crate::fakes::{MOST_CALLS, Node};
use crate::network::{ReceivedResponse, client, send};

fn accepted() -> CallOutcome {
    CallOutcome::Accepted {
        accept: Accept {
            jobs: vec![NewJob::new(noop::NOOP, "key", &())],
            writes: vec![Write::put(Table::RequestData, "row", vec![1])],
            ..Accept::default()
        },
        body: Some(json!({"request_id": "r"})),
        refused: Some(codes::DUPLICATE_REFERENCE_ID),
    }
}

async fn close(node: &Node) -> ReceivedResponse {
    let body = json!({"reference_id": "a", "callback_url": "http://a", "request_id": "r"});
    send(client().post(node.url("/rp/request_close")).json(&body)).await
}

#[actix_web::test]
async fn jobs_are_stored_and_announced_before_the_client_hears_of_them() {
    let node = Node::start(Role::Rp).await;
    node.will_return(Ok(accepted()));
    let answer = close(&node).await;
    assert_eq!(
        (answer.status, answer.json()),
        (202, json!({"request_id": "r"}))
    );
    assert_eq!(node.store.accepted.lock().len(), 1);
    assert_eq!(node.submitted.lock().len(), 1);
}

#[actix_web::test]
async fn a_guard_that_does_not_hold_gives_the_code_of_the_operation() {
    let node = Node::start(Role::Rp).await;
    node.will_return(Ok(accepted()));
    *node.store.refusal.lock() = Some(Ok(Accepted::Refused { guard: 0 }));
    let answer = close(&node).await;
    assert_eq!((answer.status, answer.error_code()), (400, Some(20045)));
    assert_eq!(node.submitted.lock().len(), 0);
}

#[actix_web::test]
async fn a_store_that_cannot_be_reached_gives_503_with_retry_after() {
    let node = Node::start(Role::Rp).await;
    node.will_return(Ok(accepted()));
    *node.store.refusal.lock() = Some(Err(StoreError::Unavailable("down".to_owned())));
    let answer = close(&node).await;
    assert_eq!((answer.status, answer.error_code()), (503, Some(10028)));
    assert_eq!(answer.retry_after.as_deref(), Some("1"));
    *node.store.refusal.lock() = None;
    assert_eq!(close(&node).await.status, 202);
}

#[actix_web::test]
async fn a_store_that_cannot_be_read_gives_503_too() {
    let node = Node::start(Role::Rp).await;
    let error = Error::from(StoreError::Unavailable("down".to_owned()));
    node.will_return(Err(error));
    let answer = close(&node).await;
    assert_eq!((answer.status, answer.error_code()), (503, Some(10028)));
}

#[actix_web::test]
async fn outcomes_without_a_body_have_none() {
    let node = Node::start(Role::Rp).await;
    node.will_return(Ok(CallOutcome::Accepted {
        accept: Accept::default(),
        body: None,
        refused: Some(codes::DUPLICATE_REFERENCE_ID),
    }));
    let answer = close(&node).await;
    assert_eq!(
        (answer.status, answer.content_length.as_deref()),
        (202, Some("0"))
    );
    assert_eq!(answer.content_type, None);
    node.will_return(Ok(CallOutcome::Stored(Vec::new())));
    let answer = close(&node).await;
    assert_eq!((answer.status, answer.content_length), (204, None));
}

#[actix_web::test]
async fn many_writes_are_stored_in_portions() {
    let node = Node::start(Role::Rp).await;
    let writes: Vec<Write> = (0..1200)
        .map(|number| Write::delete(Table::AsData, format!("rp1/{number}")))
        .collect();
    node.will_return(Ok(CallOutcome::Stored(writes.clone())));
    assert_eq!(close(&node).await.status, 204);
    let accepted = node.store.accepted.lock();
    let sizes: Vec<usize> = accepted.iter().map(|accept| accept.writes.len()).collect();
    assert_eq!(sizes, [500, 500, 200]);
    let stored = accepted.iter().flat_map(|accept| accept.writes.clone());
    assert_eq!(stored.collect::<Vec<Write>>(), writes);
}

#[actix_web::test]
async fn what_was_done_before_an_error_is_stored_and_the_error_answered() {
    let node = Node::start(Role::Rp).await;
    let error = codes::EXTERNAL_SIGN_TEST_FAILED_INVALID_SIGNATURE.into();
    let writes = vec![Write::delete(Table::AsData, "row")];
    node.will_return(Ok(CallOutcome::StoredBefore(writes, error)));
    let answer = close(&node).await;
    assert_eq!(answer.error_code(), Some(20049));
    assert_eq!(node.store.accepted.lock().len(), 1);
}

#[actix_web::test]
async fn calls_beyond_those_that_can_be_worked_on_are_told_to_come_later() {
    let node = Node::start(Role::Rp).await;
    node.will_return(Ok(accepted()));
    node.store.is_silent.send_replace(true);
    let answered = AtomicUsize::new(0);
    let call = async || {
        let answer = close(&node).await;
        answered.fetch_add(1, Ordering::Relaxed);
        answer
    };
    let calls = join_all((0..MOST_CALLS).map(|_| call()));
    let one_more = async {
        while node.store.is_silent.receiver_count() < MOST_CALLS {
            tokio::task::yield_now().await;
        }
        let refused = close(&node).await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.retry_after.as_deref(), Some("1"));
        assert_eq!(answered.load(Ordering::Relaxed), 0);
        // What needs no work is answered all the same.
        let information = send(client().get(node.url("/info"))).await;
        assert_eq!(information.status, 200);
        node.store.is_silent.send_replace(false);
    };
    let (calls, ()) = tokio::join!(calls, one_more);
    assert!(calls.iter().all(|answer| answer.status == 202));
    assert_eq!(close(&node).await.status, 202);
}
