//! An RP asks for data.

use serde_json::json;

use super::super::*;
use super::{
    DATA, SERVICE, an_as, answer_callback, asked, data, error_of, hand_over, is_pending, receive,
    receivers, recorded_request, reference, refusal_of, sent_messages, settle,
};
use crate::context::{Role, row};
use crate::crypto::hash;
use crate::delivery::callback;
use crate::delivery::callback::{Callback, DataRequestAnswer, Persistence};
use crate::delivery::transaction::Fate;
use crate::flows::replay_tests;
use crate::flows::testing::{TestNode, callbacks, job, message_job, of_kind, transactions};
use crate::job::{NewJob, Table, codec};
use crate::messaging::to_role;
use crate::mq::message::{DataRequest, Message, ResponsePrivateData};

#[tokio::test]
async fn a_request_that_does_not_match_the_ledger_reaches_nobody() {
    type Change = fn(&mut DataRequest);
    let changes: [(&str, Change); 4] = [
        ("text", |request| request.request_message.push('!')),
        ("identifier", |request| request.identifier.push('1')),
        ("parameters", |request| {
            request.service_data_request_list[0].request_params = None;
        }),
        ("service", |request| {
            request.service_data_request_list[0].service_id = "other".to_owned();
        }),
    ];
    for (what, change) in changes {
        let node = an_as();
        let mut request = recorded_request();
        change(&mut request);
        let commit = receive(&node, &request).await;
        assert_eq!(error_of(&commit), 10025, "{what}");
        let body = &callbacks(&commit.jobs)[0].1;
        assert_eq!(body["action"], "as.processMessage");
        assert_eq!(body["request_id"], request.request_id);
        assert!(!is_pending(&node), "{what}");
    }
}

#[tokio::test]
async fn a_request_without_enough_consent_reaches_nobody() {
    let node = an_as();
    let mut request = recorded_request();
    request.height = 56;
    assert_eq!(error_of(&receive(&node, &request).await), 10024);
    assert!(!is_pending(&node));
}

#[tokio::test]
async fn the_accessors_of_mode_2_answers_are_verified() {
    let node = an_as();
    let mut request = recorded_request();
    let identity = json!({
        "identity_namespace": request.namespace,
        "identity_identifier_hash": hash::identifier_hash(&request.identifier),
    });
    node.ledger.answer(
        "GetReferenceGroupCode",
        identity,
        json!({"reference_group_code": "group"}),
    );
    for (accessor, group) in [("a1", "group"), ("a2", "another")] {
        let params = json!({"accessor_id": accessor});
        let group = json!({"reference_group_code": group});
        node.ledger
            .answer("GetReferenceGroupCodeByAccessorID", params.clone(), group);
        let key = json!({
            "accessor_public_key": crate::crypto::test_key::public_pem(),
            "accessor_type": "RSA", "active": true, "owner_node_id": "idp1",
        });
        node.ledger.answer("GetAccessorKey", params, key);
    }
    let detail = crate::ledger::query::request_detail(
        node.context.ledger.as_ref(),
        &request.request_id,
        Some(58),
    );
    let mut detail = serde_json::to_value(detail.await.unwrap().unwrap()).unwrap();
    detail["mode"] = 2.into();
    let mut answered = |accessor_id: Option<&str>, signature: &str| {
        detail["response_list"][0]["signature"] = signature.into();
        let request_id = &request.request_id;
        node.ledger.request_from(request_id, 0, detail.clone());
        request.response_private_data_list = vec![ResponsePrivateData {
            idp_id: "idp1".to_owned(),
            accessor_id: accessor_id.map(str::to_owned),
        }];
        request.clone()
    };
    let signature = replay_tests::user_signature(
        &recorded_request().request_message,
        &recorded_request().initial_salt,
        &recorded_request().request_id,
    );
    for (accessor_id, signature) in [
        (None, signature.as_str()),
        (Some("a1"), "Some signature"),
        (Some("a2"), &signature),
    ] {
        let request = answered(accessor_id, signature);
        assert_eq!(error_of(&receive(&node, &request).await), 10024);
    }
    let mut request = answered(Some("a1"), &signature);
    let looked_at = || {
        let asked = node.ledger.asked();
        let keys = asked
            .iter()
            .filter(|asked| asked.method == "GetAccessorKey");
        keys.count()
    };
    let before = looked_at();
    let answer = request.response_private_data_list[0].clone();
    request.response_private_data_list = vec![answer; 500];
    let commit = receive(&node, &request).await;
    assert_eq!(callbacks(&commit.jobs)[0].1["type"], "data_request");
    assert_eq!(looked_at() - before, 1, "the same answer is verified once");
}

/// What a node that has received the request could send on under its own name.
fn sent_on_by(node_id: &str, request: &DataRequest) -> DataRequest {
    DataRequest {
        rp_id: node_id.to_owned(),
        ..request.clone()
    }
}

#[tokio::test]
async fn a_request_of_somebody_else_than_the_requester_is_not_kept() {
    let node = an_as();
    let forged = sent_on_by("idp1", &recorded_request());
    assert_eq!(error_of(&receive(&node, &forged).await), 10025);
    assert!(!is_pending(&node));
    assert_eq!(node.state.names(Table::DataRequest), Vec::<String>::new());
}

#[tokio::test]
async fn data_goes_to_the_requester_whatever_is_received_after_its_request() {
    let (node, request) = asked().await;
    let another_salt = DataRequest {
        initial_salt: "another".to_owned(),
        ..request.clone()
    };
    for forged in [sent_on_by("idp1", &request), another_salt] {
        assert_eq!(error_of(&receive(&node, &forged).await), 10025);
    }
    let transact = hand_over(&node, &request, &data("ref", DATA)).await;
    let commit = settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert_eq!(receivers(&commit), ["rp1"]);
    let salt = hash::data_salt(&request.request_id, SERVICE, "as1", &request.initial_salt);
    assert_eq!(sent_messages(&commit)[0]["data_salt"], salt.as_str());

    let (node, request) = asked().await;
    receive(&node, &sent_on_by("idp1", &request)).await;
    let error = r#"{"error_code":10101}"#;
    let commit = answer_callback(&node, &request, 200, Some(error)).await;
    let transact = transactions(&commit.writes).remove(0);
    let commit = settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert_eq!(receivers(&commit), ["rp1"]);
}

#[tokio::test]
async fn a_request_that_fails_its_checks_is_replaced_by_one_that_passes() {
    let node = an_as();
    let request = recorded_request();
    let mut wrong = request.clone();
    wrong.request_message.push('!');
    receive(&node, &wrong).await;
    let record = row("as1", &request.request_id);
    assert_eq!(node.state.names(Table::DataRequest), [record]);
    receive(&node, &request).await;
    hand_over(&node, &request, &data("ref", DATA)).await;
}

#[tokio::test]
async fn a_request_to_other_ases_reaches_nobody() {
    let node = an_as();
    let request = recorded_request();
    node.ledger.set_height(request.height);
    let message = Message::DataRequest(request);
    let job = message_job(to_role::DATA_REQUEST, "as2", &message);
    let commit = data_request::handle(&node.context, &job).await.unwrap();
    assert_eq!(error_of(&commit), 10025);
}

#[tokio::test]
async fn the_application_is_asked_once_however_often_the_rp_asks() {
    let node = an_as();
    let request = recorded_request();
    let first = receive(&node, &request).await;
    let asked = of_kind(&first.jobs, callback::DELIVER);
    let callback: Callback = codec::decode(&asked[0].payload).unwrap();
    assert_eq!(callback.answer_to, Some(reference(&request)));
    let persistence = Persistence::UntilRequestEnds {
        request_id: request.request_id.clone(),
    };
    assert_eq!(callback.persistence, persistence);
    assert_eq!(receive(&node, &request).await.jobs, vec![]);

    let transact = hand_over(&node, &request, &data("ref", DATA)).await;
    settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert!(!is_pending(&node));
    let mut late = request.clone();
    late.height = 60;
    assert_eq!(receive(&node, &late).await.jobs, vec![]);
    assert!(!is_pending(&node));
}

#[tokio::test]
async fn an_application_that_refused_is_not_asked_again() {
    let node = an_as();
    let request = recorded_request();
    let first = receive(&node, &request).await;
    assert_eq!(of_kind(&first.jobs, callback::DELIVER).len(), 1);
    let answer = DataRequestAnswer {
        request: reference(&request),
        status: 500,
        body: Some(Vec::new()),
    };
    let job = job(NewJob::new(callback::ANSWERED, "request:r", &answer));
    let dropped = callback_answer::handle(&node.context, &job).await.unwrap();
    node.commit(&dropped);
    assert!(!is_pending(&node));
    assert_eq!(receive(&node, &request).await.jobs, vec![]);
}

#[tokio::test]
async fn the_application_is_asked_once_for_a_service_that_is_named_many_times() {
    let node = an_as();
    let mut request = recorded_request();
    let wanted = request.service_data_request_list[0].clone();
    request.service_data_request_list = vec![wanted; 500];
    let commit = receive(&node, &request).await;
    assert_eq!(of_kind(&commit.jobs, callback::DELIVER).len(), 1);
    assert!(is_pending(&node));
}

#[tokio::test]
async fn a_service_without_url_asks_nobody() {
    let node = TestNode::new("as1", Role::As);
    let request = recorded_request();
    assert_eq!(receive(&node, &request).await.jobs, vec![]);
    assert!(!is_pending(&node));
    node.ledger.set_height(request.height);
    let refused = refusal_of(&node, &request, DATA).await;
    assert_eq!(refused.code().number, 20037);
}
