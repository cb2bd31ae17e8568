//! An RP asks for consent.

use serde_json::json;

use super::super::*;
use super::{GROUP, answer, idp, is_error, mode_2_request, receive, recorded_request};
use crate::context::Role;
use crate::delivery::callback::{Callback, CallbackTarget, Persistence};
use crate::delivery::transaction::Fate;
use crate::delivery::{callback, message};
use crate::flows::testing::{
    TestNode, callbacks, continuation, message_job, of_kind, params, transactions,
};
use crate::job::{Commit, Table, Write, codec};
use crate::messaging::to_role;
use crate::mq::OutboundMessage;

#[tokio::test]
async fn a_request_that_does_not_match_the_ledger_is_kept_but_not_shown() {
    type Change = fn(&mut ConsentRequest);
    let changes: [(&str, Change); 4] = [
        ("text", |request| request.request_message.push('!')),
        ("identifier", |request| {
            request.identifier = Some("1".to_owned());
        }),
        ("salt", |request| request.initial_salt.push('A')),
        ("no identity", |request| request.namespace = None),
    ];
    for (what, change) in changes {
        let node = idp();
        let mut request = recorded_request();
        change(&mut request);
        let commit = receive(&node, &request).await;
        let made = callbacks(&commit.jobs);
        let [(target, body)] = made.as_slice() else {
            panic!("{what}: {made:?}");
        };
        assert!(matches!(target, CallbackTarget::Setting { name, .. } if name == "error_url"));
        assert!(
            is_error(body, "idp.processMessage", &request.request_id, 10025),
            "{what}: {body}"
        );
        assert_eq!(node.state.names(Table::ConsentRequest).len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_request_of_somebody_else_than_the_requester_is_not_kept() {
    let node = idp();
    let mut forged = recorded_request();
    forged.rp_id = "as1".to_owned();
    let commit = receive(&node, &forged).await;
    let body = &callbacks(&commit.jobs)[0].1;
    assert!(is_error(
        body,
        "idp.processMessage",
        &forged.request_id,
        10025
    ));
    assert_eq!(
        node.state.names(Table::ConsentRequest),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn an_answer_goes_to_the_requester_whatever_is_received_after_its_request() {
    let node = idp();
    let request = recorded_request();
    receive(&node, &request).await;
    let mut sent_on = request.clone();
    sent_on.rp_id = "as1".to_owned();
    let mut another_text = request.clone();
    another_text.request_message.push('!');
    for forged in [sent_on, another_text] {
        let commit = receive(&node, &forged).await;
        assert_eq!(callbacks(&commit.jobs)[0].1["error"]["code"], 10025);
    }
    let record = row("idp1", &request.request_id);
    let kept = state::load(&node.context, Table::ConsentRequest, &record, "").await;
    let kept: Option<Message> = kept.unwrap();
    assert_eq!(kept, Some(Message::ConsentRequest(request.clone())));

    let accept = respond::respond(&node.context, "idp1", &answer(&request, json!({}))).await;
    let transact = transactions(&accept.unwrap().writes).remove(0);
    let job = continuation(&transact, Fate::Committed { height: 58 });
    let commit = response_created::handle(&node.context, &job).await.unwrap();
    let sent = of_kind(&commit.jobs, message::DELIVER).remove(0);
    let sent: OutboundMessage = codec::decode(&sent.payload).unwrap();
    assert_eq!(sent.destination_node_id, "rp1");
}

#[tokio::test]
async fn a_request_that_asks_other_idps_is_not_shown() {
    let node = idp();
    let request = recorded_request();
    node.ledger.set_height(request.height);
    let job = message_job(
        to_role::CONSENT_REQUEST,
        "idp2",
        &Message::ConsentRequest(request.clone()),
    );
    let commit = consent_request::handle(&node.context, &job).await.unwrap();
    let made = callbacks(&commit.jobs);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].1["error"]["code"], 10025);
}

#[tokio::test]
async fn a_request_that_has_ended_leaves_nothing() {
    let node = idp();
    let mut request = recorded_request();
    request.height = 64;
    assert_eq!(receive(&node, &request).await, Commit::nothing());
}

#[tokio::test]
async fn a_request_without_a_url_to_tell_can_still_be_answered() {
    let node = TestNode::new("idp1", Role::Idp);
    let request = recorded_request();
    let commit = receive(&node, &request).await;
    assert_eq!(commit.jobs, vec![]);
    let accept = respond::respond(&node.context, "idp1", &answer(&request, json!({}))).await;
    let made = transactions(&accept.unwrap().writes);
    assert_eq!(
        params(&made[0]),
        json!({
            "request_id": request.request_id, "aal": 3, "ial": 2.3, "status": "accept",
            "signature": "Some signature",
        })
    );
    assert_eq!(made[0].method, "CreateIdpResponse");
    assert!(made[0].resend_when_disabled && !made[0].retry_on_shortage);
    let then = made[0].then.as_ref().unwrap();
    assert_eq!(then.key, crate::job::request_key(&request.request_id));
}

#[tokio::test]
async fn a_ledger_that_cannot_be_reached_makes_the_job_wait() {
    let node = idp();
    let request = recorded_request();
    node.ledger.set_unavailable(true);
    let message = Message::ConsentRequest(request);
    let job = message_job(to_role::CONSENT_REQUEST, "idp1", &message);
    let error = consent_request::handle(&node.context, &job)
        .await
        .unwrap_err();
    assert!(error.is_temporary());
}

#[tokio::test]
async fn a_known_identity_is_shown_as_its_group() {
    let node = idp();
    let request = mode_2_request(&node);
    let commit = receive(&node, &request).await;
    let made = callbacks(&commit.jobs);
    let body = &made[0].1;
    assert_eq!(body["type"], "incoming_request");
    assert_eq!(body["reference_group_code"], GROUP);
    assert!(body.get("namespace").is_none() && body.get("identifier").is_none());
}

#[tokio::test]
async fn f39_f40_the_client_is_told_of_a_request_as_long_as_it_can_be_answered() {
    let node = idp();
    let request = mode_2_request(&node);
    let commit = receive(&node, &request).await;
    // F40: request and callback are stored in one step.
    let stored = |write: &Write| {
        matches!(
            write,
            Write::Put {
                table: Table::ConsentRequest,
                ..
            }
        )
    };
    assert!(commit.writes.iter().any(stored), "{commit:?}");
    let job = of_kind(&commit.jobs, callback::DELIVER).remove(0);
    let callback: Callback = codec::decode(&job.payload).unwrap();
    let request_id = request.request_id.clone();
    assert_eq!(
        callback.persistence,
        Persistence::UntilRequestEnds { request_id }
    );
}
