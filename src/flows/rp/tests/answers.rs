//! Answers of IdPs in mode 1, and what blocks say about them.

use super::*;
use crate::delivery::transaction::When;
use crate::flows::testing::params;
use crate::messaging::to_role;

const ACCEPTED: &str = "accept, AS sends data later";

#[actix::test]
async fn an_answer_is_reported_once_and_the_ases_are_asked_once() {
    let play = Play::created(ACCEPTED).await;
    let expected = play.recorded_statuses();
    let commit = play.block(56, false).await;
    assert_eq!(bodies(&commit), [expected[0].clone()]);

    let message = play.idp_message("idp1", 58);
    let commit = play.idp_response(message.clone()).await;
    assert_eq!(
        callbacks(&commit.jobs),
        [(client_url(), expected[1].clone())]
    );
    assert_eq!(destinations(&commit), ["as1"]);
    let asked = sent(&commit).remove(0);
    assert_eq!(asked["type"], "data_request");
    assert_eq!(asked["height"], 58);
    assert_eq!(asked["response_private_data_list"], json!([]));
    assert_eq!(
        asked["service_data_request_list"][0]["request_params"],
        r#"{"format":"pdf"}"#
    );
    assert!(transactions(&commit.writes).is_empty());

    let repeated = play.idp_response(message).await;
    assert!(repeated.jobs.is_empty(), "{:?}", repeated.jobs);
    let commit = play.block(58, false).await;
    assert!(commit.jobs.is_empty());
}

#[actix::test]
async fn a_block_leaves_an_answer_to_its_message() {
    let play = Play::created(ACCEPTED).await;
    play.block(56, false).await;
    assert_eq!(play.block(58, false).await, Commit::nothing());
    let commit = play.idp_response(play.idp_message("idp1", 58)).await;
    assert_eq!(bodies(&commit), [play.recorded_statuses()[1].clone()]);
}

#[actix::test]
async fn a_completed_request_is_closed_once() {
    let play = Play::created("no data requested").await;
    let expected = play.recorded_statuses();
    let heights = play.heights();
    play.block(heights[0], false).await;
    let message = play.idp_message("idp1", heights[1]);
    let commit = play.idp_response(message.clone()).await;
    assert_eq!(bodies(&commit), [expected[1].clone()]);
    let close = transactions(&commit.writes).remove(0);
    assert_eq!(close.method, "CloseRequest");
    assert!(close.resend_when_disabled && close.retry_on_shortage);
    assert_eq!(
        params(&close),
        json!({
            "request_id": play.of.request_id,
            "response_valid_list": [
                {"idp_id": "idp1", "valid_signature": null, "valid_ial": null},
            ],
        })
    );
    assert!(play.idp_response(message.clone()).await.jobs.is_empty());
    let timer = play.stored().await.unwrap().progress.timer.unwrap();
    let then = close.then.as_ref().unwrap();
    assert_eq!(then.when, When::Refused, "of a success the block tells");
    let commit = play.block(heights[2], true).await;
    assert_eq!(commit.cancel, [timer]);
    assert_eq!(bodies(&commit), [expected[2].clone()]);
    for table in [Table::RequestData, Table::RequestReference] {
        assert!(play.node.state.names(table).is_empty(), "{table:?}");
    }
    let late = play.idp_response(message).await;
    assert_eq!(late, Commit::nothing());
}

#[actix::test]
async fn a_refused_close_can_be_made_again() {
    let play = Play::created("no data requested").await;
    let height = play.heights()[1];
    let commit = play.idp_response(play.idp_message("idp1", height)).await;
    let close = transactions(&commit.writes).remove(0);
    let fate = Fate::Refused {
        code: 25007,
        message: "no token".to_owned(),
    };
    play.settle(&close, fate).await;
    assert!(!play.stored().await.unwrap().progress.closing);
    let commit = play.block(height, false).await;
    assert!(bodies(&commit).is_empty());
    let again = transactions(&commit.writes).remove(0);
    assert_eq!(again.method, "CloseRequest");
    assert!(again.resend_when_disabled && !again.retry_on_shortage);
}

#[actix::test]
async fn a_rejection_is_reported_and_not_closed() {
    let play = Play::created("IdP rejects").await;
    let height = play.heights()[1];
    let commit = play.idp_response(play.idp_message("idp1", height)).await;
    assert_eq!(bodies(&commit), [play.recorded_statuses()[1].clone()]);
    assert!(transactions(&commit.writes).is_empty());
    assert!(destinations(&commit).is_empty());
}

#[actix::test]
async fn settings_decide_what_is_closed() {
    let play = Play::created("IdP rejects").await;
    let runtime = &play.node.context.config.runtime;
    let on = std::sync::atomic::Ordering::Relaxed;
    runtime.auto_close_rejected.store(true, on);
    let height = play.heights()[1];
    let commit = play.idp_response(play.idp_message("idp1", height)).await;
    assert_eq!(transactions(&commit.writes).len(), 1);

    let play = Play::created("no data requested").await;
    let runtime = &play.node.context.config.runtime;
    runtime.auto_close_completed.store(false, on);
    let height = play.heights()[1];
    let commit = play.idp_response(play.idp_message("idp1", height)).await;
    assert!(transactions(&commit.writes).is_empty());
}

#[actix::test]
async fn an_error_that_ends_all_hope_closes_the_request() {
    let play = Play::created("IdP answers with an error").await;
    let expected = play.recorded_statuses();
    let heights = play.heights();
    let mut message = play.idp_message("idp1", heights[1]);
    message.mode = None;
    message.error_code = Some(10101.into());
    let commit = play.idp_response(message).await;
    assert_eq!(bodies(&commit), [expected[1].clone()]);
    assert_eq!(transactions(&commit.writes)[0].method, "CloseRequest");
    let commit = play.block(heights[2], true).await;
    assert_eq!(bodies(&commit), [expected[2].clone()]);
}

/// spec/http-api.md Q10.
#[actix::test]
async fn an_error_that_leaves_hope_is_reported_once_in_any_order() {
    for message_first in [true, false] {
        let play = Play::created("two IdPs asked, one must answer").await;
        let failed = detail(&play.of, json!({"response_list": [error_of("idp2")]}));
        play.node
            .ledger
            .request_from(&play.of.request_id, 90, failed);
        let mut message = play.idp_message("idp2", 90);
        message.error_code = Some(10101.into());
        let mut told = Vec::new();
        if message_first {
            told.extend(bodies(&play.idp_response(message).await));
            told.extend(bodies(&play.block(90, false).await));
        } else {
            told.extend(bodies(&play.block(90, false).await));
            told.extend(bodies(&play.idp_response(message).await));
        }
        assert_eq!(told.len(), 1, "message first: {message_first}");
        assert_eq!(told[0]["status"], "pending");
    }
}

#[actix::test]
async fn two_answers_in_one_block_make_one_status() {
    let play = Play::created(ACCEPTED).await;
    let both = json!({
        "min_idp": 2,
        "data_request_list": [service(json!([]))],
        "response_list": [accepted_by("idp1"), accepted_by("idp2")],
    });
    let both = detail(&play.of, both);
    play.node.ledger.request_from(&play.of.request_id, 90, both);
    let first = play.idp_response(play.idp_message("idp1", 90)).await;
    let second = play.idp_response(play.idp_message("idp2", 90)).await;
    let block = play.block(90, false).await;
    assert_eq!(bodies(&first).len(), 1);
    assert_eq!(destinations(&first), ["as1"]);
    assert!(second.jobs.is_empty() && block.jobs.is_empty());
}

#[actix::test]
async fn an_overtaken_message_still_leads_to_the_data_requests() {
    let play = Play::created(ACCEPTED).await;
    let ledger = &play.node.ledger;
    let id = &play.of.request_id;
    let changes = |answers: Value| {
        json!({
            "min_idp": 2, "mode": 1, "response_list": answers,
            "data_request_list": [service(json!([]))],
        })
    };
    let one = detail(&play.of, changes(json!([accepted_by("idp1")])));
    let both = json!([accepted_by("idp1"), accepted_by("idp2")]);
    let both = detail(&play.of, changes(both));
    ledger.request_from(id, 90, one);
    ledger.request_from(id, 91, both);
    let newer = play.idp_response(play.idp_message("idp2", 91)).await;
    assert_eq!(height_of(&bodies(&newer)[0]), 91);
    assert_eq!(destinations(&newer), ["as1"]);
    let older = play.idp_response(play.idp_message("idp1", 90)).await;
    assert_eq!(height_of(&bodies(&older)[0]), 90);
    assert!(destinations(&older).is_empty());
    assert_eq!(play.stored().await.unwrap().progress.reported_answers, 2);
}

#[actix::test]
async fn a_claim_that_the_ledger_does_not_bear_out_is_ignored() {
    let play = Play::created(ACCEPTED).await;
    for (idp_id, height) in [("idp2", 58), ("idp1", 56)] {
        let commit = play.idp_response(play.idp_message(idp_id, height)).await;
        assert_eq!(commit, Commit::nothing());
    }
}

#[actix::test]
async fn an_ended_request_is_not_reported_by_a_message() {
    let play = Play::created(ACCEPTED).await;
    let closed = json!({"closed": true, "response_list": [accepted_by("idp1")]});
    let closed = detail(&play.of, closed);
    play.node
        .ledger
        .request_from(&play.of.request_id, 90, closed);
    let commit = play.idp_response(play.idp_message("idp1", 90)).await;
    assert!(commit.jobs.is_empty());
    let commit = play.block(90, true).await;
    assert_eq!(bodies(&commit)[0]["closed"], true);
    assert!(play.stored().await.is_none());
}

#[actix::test]
async fn what_cannot_be_sent_is_told_and_the_answer_stays() {
    let play = Play::created(ACCEPTED).await;
    let own_key = json!({"node_id": "rp1"});
    let ledger = &play.node.ledger;
    ledger.answer("GetNodeSigningPublicKey", own_key, Value::Null);
    let commit = play.idp_response(play.idp_message("idp1", 58)).await;
    let told = callbacks(&commit.jobs);
    assert_eq!(told[0].1, play.recorded_statuses()[1]);
    assert_eq!(told[1].0, error_url());
    assert_eq!(told[1].1["request_id"], play.of.request_id);
    let progress = play.stored().await.unwrap().progress;
    assert!(!progress.data_requested && progress.reported.contains(&58));
}

#[actix::test]
async fn an_unreachable_ledger_is_waited_for() {
    let play = Play::created(ACCEPTED).await;
    play.node.ledger.set_unavailable(true);
    let message = Message::IdpResponse(play.idp_message("idp1", 58));
    let job = testing::message_job(to_role::IDP_RESPONSE, "rp1", &message);
    let error = dispatch::run(&play.node.context, &job).await.unwrap_err();
    assert!(error.is_temporary());
}

#[actix::test]
async fn after_the_ledger_was_replaced_the_client_hears_of_the_request_as_it_is_now() {
    let play = Play::created("no data requested").await;
    let height = play.heights()[0];
    assert_eq!(bodies(&play.block(height, false).await).len(), 1);
    assert_eq!(bodies(&play.block(height, false).await).len(), 0);
    let again = play.update(height, false, true).await;
    assert_eq!(bodies(&again), [play.recorded_statuses()[0].clone()]);
}

#[actix::test]
async fn a_request_that_a_replaced_ledger_does_not_know_is_given_up() {
    let play = Play::created(ACCEPTED).await;
    let params = json!({"request_id": play.of.request_id});
    let ledger = &play.node.ledger;
    ledger.answer("GetRequestDetail", params, Value::Null);
    let timer = play.stored().await.unwrap().progress.timer.unwrap();
    let commit = play.update(58, true, true).await;
    assert_eq!(callbacks(&commit.jobs).len(), 1, "the client is told");
    assert_eq!(commit.cancel, [timer]);
    assert_eq!(play.stored().await, None);
}

/// Only the look at everything after a replacement decides that it is gone.
#[actix::test]
async fn a_block_whose_request_is_not_found_does_not_end_the_request() {
    let play = Play::created(ACCEPTED).await;
    let params = json!({"request_id": play.of.request_id});
    let ledger = &play.node.ledger;
    ledger.answer("GetRequestDetail", params, Value::Null);
    let commit = play.block(58, false).await;
    assert_ne!(
        commit.outcome,
        crate::job::JobOutcome::Done,
        "operators see it"
    );
    assert!(commit.jobs.is_empty() && commit.writes.is_empty());
    assert!(play.stored().await.is_some());
}
