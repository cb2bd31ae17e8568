//! Requests that are closed by their client or run out of time.

use super::*;
use crate::flows::rp;
use crate::flows::rp::close_request::{CloseRequest, close_request};
use crate::flows::testing::params;
use crate::job::Millis;

fn call(play: &Play, index: usize) -> CloseRequest {
    let calls: Vec<&Value> = play
        .records
        .iter()
        .filter(|record| record["path"] == "/v6/rp/request_close")
        .collect();
    serde_json::from_value(calls[index]["request"].clone()).unwrap()
}

async fn close(play: &Play, call: CloseRequest) -> Transact {
    let accept = close_request("rp1", call);
    assert!(play.node.accept(&accept));
    assert!(!play.node.accept(&accept), "the same call again");
    let job = testing::job(accept.jobs[0].clone());
    assert_eq!(job.key(), request_key(&play.of.request_id));
    let commit = play.apply(&job).await;
    transactions(&commit.writes).remove(0)
}

#[actix::test]
async fn the_recorded_close_goes_as_recorded() {
    let play = Play::created("RP closes before any answer").await;
    let results = play.recorded("close_request_result");
    let heights = play.heights();
    play.block(heights[0], false).await;
    let transact = close(&play, call(&play, 0)).await;
    assert_eq!(transact.method, "CloseRequest");
    assert!(!transact.resend_when_disabled && !transact.retry_on_shortage);
    assert_eq!(
        params(&transact),
        json!({"request_id": play.of.request_id, "response_valid_list": []})
    );
    let timer = play.stored().await.unwrap().progress.timer.unwrap();
    let commit = play
        .settle(&transact, Fate::Committed { height: heights[1] })
        .await;
    assert_eq!(
        callbacks(&commit.jobs),
        [(client_url(), results[0].clone())]
    );
    assert_eq!(commit.cancel, [timer]);
    let commit = play.block(heights[1], true).await;
    assert_eq!(bodies(&commit), [play.recorded_statuses()[1].clone()]);
    assert_eq!(commit.cancel, [timer], "also when others ended the request");
    assert!(play.node.state.names(Table::RequestReference).is_empty());

    // Once more, after it has ended.
    let transact = close(&play, call(&play, 1)).await;
    let fate = Fate::Refused {
        code: 25002,
        message: "Request is already closed".to_owned(),
    };
    let commit = play.settle(&transact, fate).await;
    assert_eq!(bodies(&commit), [results[1].clone()]);
    assert!(
        play.node.state.names(Table::RequestData).is_empty(),
        "nothing comes back to life"
    );
}

#[actix::test]
async fn a_close_on_its_way_keeps_the_node_from_closing_by_itself() {
    let play = Play::created("no data requested").await;
    let call = CloseRequest {
        reference_id: "c".to_owned(),
        callback_url: "http://127.0.0.1:9800/rp".to_owned(),
        request_id: play.of.request_id.clone(),
    };
    close(&play, call).await;
    let height = play.heights()[1];
    let commit = play.idp_response(play.idp_message("idp1", height)).await;
    assert_eq!(bodies(&commit).len(), 1);
    assert!(transactions(&commit.writes).is_empty());
}

#[actix::test]
async fn a_close_carries_the_verdicts_on_answers_that_came_before() {
    let play = Play::created("accept, AS sends data later").await;
    play.idp_response(play.idp_message("idp1", 58)).await;
    let call = CloseRequest {
        reference_id: "c".to_owned(),
        callback_url: "http://127.0.0.1:9800/rp".to_owned(),
        request_id: play.of.request_id.clone(),
    };
    let transact = close(&play, call).await;
    assert_eq!(
        params(&transact)["response_valid_list"],
        json!([{"idp_id": "idp1", "valid_signature": null, "valid_ial": null}])
    );
}

#[actix::test]
async fn a_close_that_cannot_be_signed_is_told() {
    let play = Play::created("no data requested").await;
    let own_key = json!({"node_id": "rp1"});
    let ledger = &play.node.ledger;
    ledger.answer("GetNodeSigningPublicKey", own_key, Value::Null);
    let call = CloseRequest {
        reference_id: "c".to_owned(),
        callback_url: "http://127.0.0.1:9800/rp".to_owned(),
        request_id: play.of.request_id.clone(),
    };
    let job = testing::job(close_request("rp1", call).jobs[0].clone());
    let commit = play.apply(&job).await;
    let body = bodies(&commit).remove(0);
    assert_eq!(body["type"], "close_request_result");
    assert_eq!(body["success"], false);
    assert_eq!(body["error"]["code"], 10034);
    assert!(!play.stored().await.unwrap().progress.closing);
}

#[actix::test]
async fn the_recorded_time_out_goes_as_recorded() {
    let (play, created) = Play::settled("time-out").await;
    play.node.commit(&created);
    let heights = play.heights();
    play.block(heights[0], false).await;
    let timer = of_kind(&created.jobs, rp::time_out::KIND)[0].clone();
    let creation = play.stored().await.unwrap().progress.creation.unwrap();
    assert_eq!(timer.not_before, Some(Millis(creation.time + 3000)));
    play.node.ledger.set_height(heights[0]);
    let commit = play.apply(&testing::job(timer)).await;
    assert!(bodies(&commit).is_empty());
    let transact = transactions(&commit.writes).remove(0);
    assert_eq!(transact.method, "TimeOutRequest");
    assert!(transact.resend_when_disabled && transact.retry_on_shortage);
    assert_eq!(
        params(&transact),
        json!({"request_id": play.of.request_id, "response_valid_list": []})
    );
    let commit = play
        .settle(&transact, Fate::Committed { height: heights[1] })
        .await;
    assert_eq!(commit, Commit::nothing());
    let commit = play.block(heights[1], true).await;
    assert_eq!(bodies(&commit), [play.recorded_statuses()[1].clone()]);
    assert!(play.stored().await.is_none());
}

/// The request stays until it has ended, and so does its time-out: a ledger that
/// does not know it now may know it later.
#[actix::test]
async fn a_time_out_that_comes_to_nothing_fires_again() {
    let (play, created) = Play::settled("time-out").await;
    play.node.commit(&created);
    let heights = play.heights();
    play.node.ledger.set_height(heights[0]);
    let timer = of_kind(&created.jobs, rp::time_out::KIND)[0].clone();
    let id = &play.of.request_id;
    play.node.ledger.request_from(id, 0, Value::Null);
    let commit = play.apply(&testing::job(timer)).await;
    assert_ne!(
        commit.outcome,
        crate::job::JobOutcome::Done,
        "operators see it"
    );
    let again = of_kind(&commit.jobs, rp::time_out::KIND)[0].clone();
    assert!(again.not_before.is_some_and(|due| due > Millis::now()));
    let stored = play.stored().await.unwrap();
    assert_eq!(
        stored.progress.timer,
        Some(again.id),
        "it goes with the request"
    );
    play.node
        .ledger
        .request_from(id, 0, detail(&play.of, json!({})));
    let commit = play.apply(&testing::job(again)).await;
    let transact = transactions(&commit.writes).remove(0);
    assert_eq!(transact.method, "TimeOutRequest");
    let refused = Fate::Refused {
        code: 25039,
        message: "refused".to_owned(),
    };
    let commit = play.settle(&transact, refused).await;
    assert_eq!(
        of_kind(&commit.jobs, rp::time_out::KIND).len(),
        1,
        "and again"
    );
}

#[actix::test]
async fn a_timer_of_a_request_that_has_ended_does_nothing() {
    let (play, created) = Play::settled("RP closes before any answer").await;
    play.node.commit(&created);
    let timer = testing::job(of_kind(&created.jobs, rp::time_out::KIND)[0].clone());
    play.node.ledger.set_height(play.heights()[1]);
    assert_eq!(play.apply(&timer).await, Commit::nothing());
    play.block(play.heights()[1], true).await;
    assert_eq!(play.apply(&timer).await, Commit::nothing());
}

#[actix::test]
async fn a_time_out_that_lost_the_race_is_no_failure() {
    let (play, created) = Play::settled("RP closes before any answer").await;
    play.node.commit(&created);
    let heights = play.heights();
    play.node.ledger.set_height(heights[0]);
    let timer = testing::job(of_kind(&created.jobs, rp::time_out::KIND)[0].clone());
    let transact = transactions(&play.apply(&timer).await.writes).remove(0);
    let refused = |code| Fate::Refused {
        code,
        message: "refused".to_owned(),
    };
    let commit = play.settle(&transact, refused(25039)).await;
    assert_ne!(commit.outcome, crate::job::JobOutcome::Done);
    play.node.ledger.set_height(heights[1]);
    let commit = play.settle(&transact, refused(25002)).await;
    assert_eq!(commit, Commit::nothing());
}
