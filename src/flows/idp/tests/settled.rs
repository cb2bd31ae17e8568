//! The transaction of an answer has settled.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::response_created::{IdpResponseContent, IdpResponseContext};
use super::super::*;
use super::{idp, reply, sent_messages};
use crate::delivery::message;
use crate::delivery::transaction::{Continuation, Fate, Transact};
use crate::flows::reply::ReplyTo;
use crate::flows::testing::{callbacks, continuation, of_kind};

fn settled(
    content: IdpResponseContent,
    rp_id: &str,
    fate: Fate,
    reply: Option<ReplyTo>,
) -> crate::job::Job {
    let answered = IdpResponseContext {
        node_id: "idp1".to_owned(),
        request_id: "ab".repeat(32),
        rp_id: rp_id.to_owned(),
        content,
        reply,
        call: None,
    };
    let then = Continuation::new(idp::response_created::KIND, "key".to_owned(), &answered);
    let transact = Transact::new("idp1", "CreateIdpResponse", &json!({}), Some(then));
    continuation(&transact, fate)
}

#[tokio::test]
async fn the_rp_is_told_of_an_answer_that_is_on_the_ledger() {
    let node = idp();
    node.ledger.set_height(58);
    let content = IdpResponseContent::Answer {
        mode: 1,
        accessor_id: None,
    };
    let job = settled(content, "rp1", Fate::Committed { height: 58 }, reply());
    let commit = response_created::handle(&node.context, &job).await.unwrap();
    assert_eq!(
        sent_messages(&commit),
        vec![json!({
            "type": "idp_response", "request_id": "ab".repeat(32), "mode": 1, "idp_id": "idp1",
            "chain_id": "test-chain-NDID", "height": 58,
        })]
    );
    assert_eq!(of_kind(&commit.jobs, message::DELIVER).len(), 1);
    let error = settled(
        IdpResponseContent::Error(10101),
        "rp1",
        Fate::Committed { height: 58 },
        reply(),
    );
    let commit = response_created::handle(&node.context, &error)
        .await
        .unwrap();
    assert_eq!(
        sent_messages(&commit),
        vec![json!({
            "type": "idp_response", "request_id": "ab".repeat(32), "idp_id": "idp1",
            "error_code": 10101, "chain_id": "test-chain-NDID", "height": 58,
        })]
    );
}

#[tokio::test]
async fn an_answer_on_the_ledger_is_a_success_though_the_rp_cannot_be_told() {
    let node = idp();
    let content = IdpResponseContent::Error(10101);
    let job = settled(content, "nobody", Fate::Committed { height: 58 }, reply());
    node.ledger.set_height(181);
    let commit = response_created::handle(&node.context, &job).await.unwrap();
    let made: BTreeMap<String, Value> = callbacks(&commit.jobs)
        .into_iter()
        .map(|(_, body)| (body["type"].as_str().unwrap().to_owned(), body))
        .collect();
    assert_eq!(made["response_result"]["success"], true);
    assert_eq!(made["error"]["error"]["code"], 10032);

    node.ledger.set_unavailable(true);
    let error = response_created::handle(&node.context, &job)
        .await
        .unwrap_err();
    assert!(error.is_temporary(), "it is told once the ledger is back");
}
