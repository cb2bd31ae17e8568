//! Data of ASes.

use super::*;
use crate::flows::rp::as_response::AsData;
use crate::flows::rp::look_ups;
use crate::flows::testing::params;
use crate::messaging::to_role;
use crate::mq::message::AsResponse;
use crate::mq::packing;

const ACCEPTED: &str = "accept, AS sends data later";

fn recorded_data(play: &Play) -> AsData {
    let answered = play
        .records
        .iter()
        .find(|record| {
            let path = record["path"].as_str().unwrap_or_default();
            path.starts_with("/v6/rp/request_data/")
        })
        .unwrap();
    serde_json::from_value(answered["response"][0].clone()).unwrap()
}

fn as_message(play: &Play) -> AsResponse {
    let data = recorded_data(play);
    AsResponse {
        request_id: play.of.request_id.clone(),
        as_id: data.source_node_id,
        service_id: data.service_id,
        signature: Some(data.source_signature),
        data_salt: Some(data.data_salt),
        packed_data: Some(packing::pack(&data.data, 1000).unwrap()),
        error_code: None,
        chain_id: testing::CHAIN.to_owned(),
        height: 60,
    }
}

async fn answered() -> Play {
    let play = Play::created(ACCEPTED).await;
    play.block(56, false).await;
    play.idp_response(play.idp_message("idp1", 58)).await;
    play
}

async fn as_response(play: &Play, message: AsResponse) -> Commit {
    play.message(to_role::AS_RESPONSE, Message::AsResponse(message))
        .await
}

async fn shown(play: &Play) -> Vec<AsData> {
    let context = &play.node.context;
    look_ups::request_data(context, "rp1", &play.of.request_id)
        .await
        .unwrap()
        .unwrap()
}

#[actix::test]
async fn the_whole_recorded_request_goes_as_recorded() {
    let play = answered().await;
    let expected = play.recorded_statuses();
    let commit = play.block(60, false).await;
    assert_eq!(bodies(&commit), [expected[2].clone()]);

    let commit = as_response(&play, as_message(&play)).await;
    assert!(bodies(&commit).is_empty());
    let acknowledge = transactions(&commit.writes).remove(0);
    assert_eq!(acknowledge.method, "SetDataReceived");
    assert!(acknowledge.resend_when_disabled && acknowledge.retry_on_shortage);
    assert_eq!(
        params(&acknowledge),
        json!({
            "request_id": play.of.request_id,
            "service_id": "bank_statement",
            "as_id": "as1",
        })
    );
    assert!(shown(&play).await.is_empty(), "not before it is committed");

    play.settle(&acknowledge, Fate::Committed { height: 62 })
        .await;
    assert_eq!(shown(&play).await, [recorded_data(&play)]);
    assert!(play.node.state.names(Table::PendingAsData).is_empty());

    let commit = play.block(62, false).await;
    assert_eq!(bodies(&commit), [expected[3].clone()]);
    let close = transactions(&commit.writes).remove(0);
    play.settle(&close, Fate::Committed { height: 64 }).await;
    let commit = play.block(64, true).await;
    assert_eq!(bodies(&commit), [expected[4].clone()]);
    assert_eq!(expected.len(), 5);
    assert_eq!(shown(&play).await.len(), 1, "data outlives the request");

    let context = &play.node.context;
    let id = play.of.request_id.as_str();
    let removal = look_ups::request_data_removal(context, "rp1", Some(id));
    play.node.state.apply(&removal.await.unwrap());
    assert!(shown(&play).await.is_empty());
}

#[actix::test]
async fn data_of_all_requests_can_be_removed_at_once() {
    let play = answered().await;
    let commit = as_response(&play, as_message(&play)).await;
    let acknowledge = transactions(&commit.writes).remove(0);
    play.settle(&acknowledge, Fate::Committed { height: 62 })
        .await;
    let context = &play.node.context;
    let of_another = look_ups::request_data_removal(context, "rp", None);
    assert!(of_another.await.unwrap().is_empty());
    let removal = look_ups::request_data_removal(context, "rp1", None);
    play.node.state.apply(&removal.await.unwrap());
    assert!(play.node.state.names(Table::AsData).is_empty());

    let again = as_response(&play, as_message(&play)).await;
    assert_eq!(again, Commit::nothing(), "its message comes again, late");
}

#[actix::test]
async fn look_ups_know_what_lives() {
    let play = answered().await;
    let context = &play.node.context;
    let found = look_ups::request_reference(context, "rp1", "rp-ref-1").await;
    assert_eq!(found.unwrap(), Some(play.of.request_id.clone()));
    let none = look_ups::request_reference(context, "rp1", "none").await;
    assert_eq!(none.unwrap(), None);
    let none = look_ups::request_data(context, "rp1", "none").await;
    assert_eq!(none.unwrap(), None);
}

#[actix::test]
async fn data_with_a_wrong_signature_is_dropped_and_told() {
    let play = answered().await;
    let mut other_data = as_message(&play);
    other_data.packed_data = Some(packing::pack("other", 1000).unwrap());
    let mut other_salt = as_message(&play);
    other_salt.data_salt = Some("other".to_owned());
    let mut other_signature = as_message(&play);
    other_signature.signature = Some("AAAA".to_owned());
    for message in [other_data, other_salt, other_signature] {
        let commit = as_response(&play, message).await;
        assert!(transactions(&commit.writes).is_empty());
        let told = callbacks(&commit.jobs);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, error_url());
        assert_eq!(told[0].1["action"], "processAsResponse");
        assert_eq!(told[0].1["error"]["code"], 10033);
        assert!(play.node.state.names(Table::PendingAsData).is_empty());
    }
}

#[actix::test]
async fn data_that_is_sent_again_is_acknowledged_once() {
    let play = answered().await;
    let commit = as_response(&play, as_message(&play)).await;
    let acknowledge = transactions(&commit.writes).remove(0);
    let pending = as_response(&play, as_message(&play)).await;
    assert_eq!(pending, Commit::nothing());
    let committed = Fate::Committed { height: 62 };
    play.settle(&acknowledge, committed).await;
    let received = as_response(&play, as_message(&play)).await;
    assert_eq!(received, Commit::nothing());
}

#[actix::test]
async fn data_without_an_answer_on_the_ledger_is_dropped_silently() {
    let play = answered().await;
    let params = json!({
        "node_id": "as1", "request_id": play.of.request_id, "service_id": "bank_statement",
    });
    let ledger = &play.node.ledger;
    ledger.answer("GetDataSignature", params, Value::Null);
    let commit = as_response(&play, as_message(&play)).await;
    assert_eq!(commit, Commit::nothing());
}

#[actix::test]
async fn an_error_answer_is_left_to_the_block() {
    let play = answered().await;
    let mut message = as_message(&play);
    message.signature = None;
    message.data_salt = None;
    message.packed_data = None;
    message.error_code = Some(10101.into());
    assert_eq!(as_response(&play, message).await, Commit::nothing());
}

#[actix::test]
async fn the_recorded_error_of_an_as_closes_the_request() {
    let play = Play::created("AS answers with an error").await;
    let expected = play.recorded_statuses();
    let heights = play.heights();
    play.block(heights[0], false).await;
    play.idp_response(play.idp_message("idp1", heights[1]))
        .await;
    let commit = play.block(heights[2], false).await;
    assert_eq!(bodies(&commit), [expected[2].clone()]);
    assert_eq!(transactions(&commit.writes)[0].method, "CloseRequest");
    let commit = play.block(heights[3], true).await;
    assert_eq!(bodies(&commit), [expected[3].clone()]);
}

#[actix::test]
async fn a_refused_acknowledgement_is_told_and_the_data_forgotten() {
    let play = answered().await;
    let commit = as_response(&play, as_message(&play)).await;
    let acknowledge = transactions(&commit.writes).remove(0);
    let fate = Fate::Refused {
        code: 25002,
        message: "Request is already closed".to_owned(),
    };
    let commit = play.settle(&acknowledge, fate).await;
    let told = callbacks(&commit.jobs);
    assert_eq!(told[0].0, error_url());
    assert_eq!(told[0].1["action"], "processAsDataAfterSetDataReceived");
    assert_eq!(told[0].1["error"]["code"], 25002);
    assert!(play.node.state.names(Table::PendingAsData).is_empty());
    assert!(shown(&play).await.is_empty());
}

#[actix::test]
async fn data_for_a_request_that_has_ended_is_dropped() {
    let play = answered().await;
    let message = as_message(&play);
    play.block(64, true).await;
    assert_eq!(as_response(&play, message).await, Commit::nothing());
}
