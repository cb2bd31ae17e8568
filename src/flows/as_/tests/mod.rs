mod answers;
mod requests;
mod services;
mod signing;

use serde_json::{Value, json};

use super::*;
use crate::context::Role;
use crate::delivery::callback::{CallbackTarget, DataRequestAnswer, DataRequestRef};
use crate::delivery::transaction::{Fate, Transact};
use crate::delivery::{callback, message};
use crate::flows::replay_tests;
use crate::flows::testing::{
    TestNode, callbacks, continuation, job, message_job, of_kind, scenario, transactions,
};
use crate::job::{Commit, NewJob, Table, Write, codec, request_key};
use crate::messaging::to_role;
use crate::mq::OutboundMessage;
use crate::mq::message::{DataRequest, Message};

const SERVICE: &str = "bank_statement";
const DATA: &str = "{\"test\":\"test\"}";

fn an_as() -> TestNode {
    let node = TestNode::new("as1", Role::As);
    let url = b"http://127.0.0.1:9800/as".to_vec();
    node.state
        .apply(&[Write::put_column(Table::ServiceUrl, "as1", SERVICE, url)]);
    schema(&node, json!({"service_id": SERVICE, "active": true}));
    node
}

fn schema(node: &TestNode, detail: Value) {
    node.ledger
        .answer("GetServiceDetail", json!({"service_id": SERVICE}), detail);
}

/// The data request of the first scenario.
fn recorded_request() -> DataRequest {
    let records = scenario("accept, AS sends data later");
    let body = |kind: &str| {
        let record = records.iter().find(|record| record["body"]["type"] == kind);
        record.unwrap()["body"].clone()
    };
    let consent = replay_tests::consent_request(&body("incoming_request"));
    replay_tests::data_request(&body("data_request"), &consent, 58)
}

async fn receive(node: &TestNode, request: &DataRequest) -> Commit {
    node.ledger.set_height(request.height);
    let job = message_job(
        to_role::DATA_REQUEST,
        "as1",
        &Message::DataRequest(request.clone()),
    );
    let commit = data_request::handle(&node.context, &job).await.unwrap();
    node.commit(&commit);
    commit
}

/// A node that was asked for data.
async fn asked() -> (TestNode, DataRequest) {
    let node = an_as();
    let request = recorded_request();
    receive(&node, &request).await;
    (node, request)
}

fn reference(request: &DataRequest) -> DataRequestRef {
    DataRequestRef {
        node_id: "as1".to_owned(),
        request_id: request.request_id.clone(),
        service_id: SERVICE.to_owned(),
    }
}

async fn answer_callback(
    node: &TestNode,
    request: &DataRequest,
    status: u16,
    body: Option<&str>,
) -> Commit {
    let answer = DataRequestAnswer {
        request: reference(request),
        status,
        body: body.map(|body| body.as_bytes().to_vec()),
    };
    let key = request_key(&request.request_id);
    let job = job(NewJob::new(callback::ANSWERED, key, &answer));
    let commit = callback_answer::handle(&node.context, &job).await.unwrap();
    node.commit(&commit);
    commit
}

fn data(reference_id: &str, data: &str) -> respond::AsDataBody {
    serde_json::from_value(json!({
        "reference_id": reference_id, "callback_url": "http://127.0.0.1:9800/as", "data": data,
    }))
    .unwrap()
}

/// Hands data over as an API call does.
async fn hand_over(node: &TestNode, request: &DataRequest, body: &respond::AsDataBody) -> Transact {
    let request_id = &request.request_id;
    let accept = respond::respond(
        &node.context,
        "as1",
        request_id,
        SERVICE,
        body,
        "response_result",
    )
    .await;
    let accept = accept.unwrap();
    assert!(node.accept(&accept));
    transactions(&accept.writes).remove(0)
}

async fn refusal_of(node: &TestNode, request: &DataRequest, text: &str) -> crate::error::Error {
    let body = data("ref", text);
    respond::respond(
        &node.context,
        "as1",
        &request.request_id,
        SERVICE,
        &body,
        "response_result",
    )
    .await
    .unwrap_err()
}

async fn settle(node: &TestNode, transact: &Transact, fate: Fate) -> Commit {
    let job = continuation(transact, fate);
    let commit = response_created::handle(&node.context, &job).await.unwrap();
    node.commit(&commit);
    commit
}

fn is_pending(node: &TestNode) -> bool {
    !node.state.names(Table::PendingDataRequest).is_empty()
}

fn error_of(commit: &Commit) -> u64 {
    let made = callbacks(&commit.jobs);
    assert_eq!(made.len(), 1, "{made:?}");
    let (target, body) = &made[0];
    let error_url = CallbackTarget::Setting {
        role: "as".to_owned(),
        name: "error_url".to_owned(),
    };
    assert_eq!(*target, error_url);
    assert_eq!(body["type"], "error");
    body["error"]["code"].as_u64().unwrap()
}

fn sent_messages(commit: &Commit) -> Vec<Value> {
    let mut sent = Vec::new();
    for write in &commit.writes {
        if let Write::Put {
            table: Table::PrivateMessage,
            value,
            ..
        } = write
        {
            let record: Value = serde_json::from_slice(value).unwrap();
            sent.push(record["message"].clone());
        }
    }
    sent
}

/// Who the messages of a commit go to.
fn receivers(commit: &Commit) -> Vec<String> {
    of_kind(&commit.jobs, message::DELIVER)
        .iter()
        .map(|job| {
            let sent: OutboundMessage = codec::decode(&job.payload).unwrap();
            sent.destination_node_id
        })
        .collect()
}
