//! Several things happen to a request for consent at once: it ends once, with
//! one result.

use super::consent::Asking;
use super::*;
use crate::delivery::callback::CallbackTarget;
use crate::error::Refusal;
use crate::flows::rp;
use crate::flows::testing::{self, of_kind, params};

fn closed_already() -> Fate {
    let refusal = Refusal::from(codes::ABCI_REQUEST_IS_CLOSED);
    Fate::Refused {
        code: refusal.code().number,
        message: refusal.message().to_owned(),
    }
}

#[actix::test]
async fn the_client_cannot_close_what_is_decided() {
    let (asking, _) = Asking::created(2).await;
    let answer = asking.consent().await;
    asking.decided(answer.clone(), None).await;
    let commit = asking.close().await;
    assert!(transactions(&commit.writes).is_empty());
    let [closed] = &told(&commit)[..] else {
        panic!("{:?}", commit.jobs);
    };
    assert_eq!(closed["type"], "close_request_result");
    assert_eq!(closed["error"]["code"], 25002);
    asking.detail(66, json!([answer]), json!({"closed": true}));
    let commit = asking.block(66).await;
    assert_eq!(only_transaction(&commit.writes).method, "AddAccessor");
}

#[actix::test]
async fn nothing_is_decided_while_the_client_closes() {
    let (asking, _) = Asking::created(2).await;
    let close = only_transaction(&asking.close().await.writes);
    let answer = asking.consent().await;
    asking.detail(65, json!([answer]), json!({}));
    let commit = asking.message(65, None).await;
    assert!(transactions(&commit.writes).is_empty());
    asking.detail(66, json!([answer]), json!({"closed": true}));
    // The block and the transaction may be told in either order.
    let commit = asking.block(66).await;
    asking.idp.settle(&close, committed(66)).await;
    asking.assert_over(&commit, 20025);
}

#[actix::test]
async fn an_answer_that_came_while_the_client_failed_to_close_counts() {
    let (asking, _) = Asking::created(2).await;
    let close = only_transaction(&asking.close().await.writes);
    let answer = asking.consent().await;
    asking.detail(65, json!([answer]), json!({}));
    asking.message(65, None).await;
    let commit = asking.idp.settle(&close, refused_by_ledger()).await;
    assert_eq!(told(&commit)[0]["success"], false);
    let own = only_transaction(&commit.writes);
    assert_eq!(own.method, "CloseRequest");
    asking.detail(66, json!([answer]), json!({"closed": true}));
    let commit = asking.block(66).await;
    assert_eq!(only_transaction(&commit.writes).method, "AddAccessor");
}

#[actix::test]
async fn a_time_out_that_comes_first_wins() {
    let (asking, _) = Asking::created(2).await;
    let answer = asking.consent().await;
    let close = asking.decided(answer.clone(), None).await;
    asking.detail(66, json!([answer]), json!({"timed_out": true}));
    let refused = asking.idp.settle(&close, closed_already()).await;
    assert!(
        refused.jobs.is_empty(),
        "the block tells: {:?}",
        refused.jobs
    );
    let commit = asking.block(66).await;
    asking.assert_over(&commit, 20026);
}

/// A CloseRequest that was thought lost was signed again, and both arrived.
#[actix::test]
async fn consent_counts_though_the_request_was_closed_twice() {
    let (asking, _) = Asking::created(2).await;
    let answer = asking.consent().await;
    let close = asking.decided(answer.clone(), None).await;
    asking.detail(66, json!([answer]), json!({"closed": true}));
    let refused = asking.idp.settle(&close, closed_already()).await;
    assert!(refused.jobs.is_empty());
    let commit = asking.block(66).await;
    assert_eq!(only_transaction(&commit.writes).method, "AddAccessor");
}

#[actix::test]
async fn a_close_that_is_refused_leaves_the_request_to_the_client() {
    let (asking, _) = Asking::created(2).await;
    let answer = asking.consent().await;
    let own = asking.decided(answer.clone(), None).await;
    asking.idp.settle(&own, refused_by_ledger()).await;
    let stored = asking.stored().await;
    assert!(!stored.progress.closing && stored.progress.decision.is_none());
    let close = only_transaction(&asking.close().await.writes);
    let valid = json!([{"idp_id": "idp2", "valid_ial": true, "valid_signature": true}]);
    assert_eq!(params(&close)["response_valid_list"], valid);
    asking.idp.settle(&close, committed(66)).await;
    asking.detail(66, json!([answer]), json!({"closed": true}));
    let commit = asking.block(66).await;
    asking.assert_over(&commit, 20025);
}

#[actix::test]
async fn an_answer_that_comes_again_changes_nothing() {
    let (asking, _) = Asking::created(2).await;
    let answer = asking.consent().await;
    asking.decided(answer.clone(), None).await;
    let again = asking.message(65, None).await;
    assert!(transactions(&again.writes).is_empty() && again.jobs.is_empty());
    asking.detail(66, json!([answer]), json!({"closed": true}));
    asking.block(66).await;
    let late = asking.message(65, None).await;
    assert!(late.writes.is_empty() && late.jobs.is_empty());
}

#[actix::test]
async fn blocks_before_the_end_say_nothing() {
    let (asking, _) = Asking::created(2).await;
    let commit = asking.update(61, false, false).await;
    assert!(commit.jobs.is_empty() && commit.writes.is_empty());
}

#[actix::test]
async fn a_replaced_ledger_that_does_not_know_the_request_ends_the_operation() {
    let (asking, _) = Asking::created(2).await;
    let ledger = &asking.idp.node.ledger;
    ledger.request_from(&asking.request_id, 70, Value::Null);
    ledger.set_height(70);
    let commit = asking.update(70, true, true).await;
    asking.assert_over(&commit, 20012);
}

#[actix::test]
async fn two_calls_at_once_with_one_reference_id_ask_once() {
    let (asking, _) = Asking::started(2).await;
    let (path, body) = bodies().remove(2);
    let body = with(
        body,
        json!({"request_message": "May they?", "accessor_id": "a-3"}),
    );
    asking.idp.accessor("a-3", Value::Null);
    assert_eq!(asking.idp.refused(path, body.clone()).await, 20045);
    // The other call was checked before this one was accepted.
    let row = reference_row();
    let taken = Write::delete(Table::RequestReference, row.clone());
    asking.idp.node.state.apply(&[taken]);
    let (accept, _) = asking.idp.accepted(path, body).await;
    let column = b"0".to_vec();
    let put = Write::put(Table::RequestReference, row, column);
    asking.idp.node.state.apply(&[put]);
    assert!(!asking.idp.node.accept(&accept), "answered with 20045");
}

/// Nothing is known that loses the block's job; the timer is there all the same.
#[actix::test]
async fn an_operation_ends_at_the_latest_when_its_time_is_up() {
    let (asking, created) = Asking::created(2).await;
    let answer = asking.consent().await;
    asking.decided(answer.clone(), None).await;
    asking.detail(66, json!([answer]), json!({"closed": true}));
    let timer = of_kind(&created.jobs, rp::time_out::KIND)[0].clone();
    let commit = asking.idp.run(&testing::job(timer)).await;
    let apply = only_transaction(&commit.writes);
    assert_eq!(apply.method, "AddAccessor");
    asking.idp.settle(&apply, committed(70)).await;
    asking.idp.assert_nothing_is_left();
}

#[actix::test]
async fn the_idps_application_hears_of_a_job_that_failed() {
    let (asking, _) = Asking::created(2).await;
    let unknown = json!({"closed": "perhaps"});
    asking.detail(66, json!([]), unknown);
    let commit = asking.block(66).await;
    let [(target, body)] = &callbacks(&commit.jobs)[..] else {
        panic!("{:?}", commit.jobs);
    };
    assert!(matches!(target, CallbackTarget::Setting { role, .. } if role == "idp"));
    assert_eq!(body["action"], "handleTendermintNewBlock");
}
