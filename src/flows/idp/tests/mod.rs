mod answers;
mod contracts;
mod requests;
mod settled;

use serde_json::{Value, json};

use super::*;
use crate::context::Role;
use crate::crypto::{hash, test_key};
use crate::flows::reply::ReplyTo;
use crate::flows::testing::{TestNode, message_job, scenario};
use crate::flows::{idp, replay_tests};
use crate::job::{Commit, Table};
use crate::messaging::to_role;

const GROUP: &str = "aaaaa-bbbbb";
const ACCESSOR: &str = "11267a29-2196-4400-8b67-7424519b87ec";

fn idp() -> TestNode {
    let node = TestNode::new("idp1", Role::Idp);
    let url = json!({
        "incoming_request_url": "http://127.0.0.1:9800/idp",
        "error_url": "http://127.0.0.1:9800/idp",
    });
    let urls = crate::flows::node::set_callback_urls("idp", url.as_object().unwrap());
    node.state.apply(&urls);
    node
}

/// The consent request of the first scenario, with the height it came at.
fn recorded_request() -> ConsentRequest {
    let records = scenario("accept, AS sends data later");
    let incoming = records
        .iter()
        .find(|record| record["body"]["type"] == "incoming_request");
    replay_tests::consent_request(&incoming.unwrap()["body"])
}

async fn receive(node: &TestNode, request: &ConsentRequest) -> Commit {
    node.ledger.set_height(request.height);
    let message = Message::ConsentRequest(request.clone());
    let job = message_job(to_role::CONSENT_REQUEST, "idp1", &message);
    let commit = consent_request::handle(&node.context, &job).await.unwrap();
    node.commit(&commit);
    commit
}

/// A mode 2 request that the ledger knows, and whose accessor key is the test key.
fn mode_2_request(node: &TestNode) -> ConsentRequest {
    let mut request = recorded_request();
    request.mode = 2;
    request.namespace = None;
    request.identifier = None;
    request.reference_group_code = Some(GROUP.to_owned());
    request.request_id = "ab".repeat(32);
    let hash = hash::request_message_hash(&request.request_message, &request.request_message_salt);
    let detail = detail(&request, &hash, 1, &["idp1"], json!([]));
    node.ledger.request_from(&request.request_id, 0, detail);
    node.ledger.answer(
        "GetIdentityInfo",
        json!({"reference_group_code": GROUP, "node_id": "idp1"}),
        json!({"ial": 2.3, "lial": null, "laal": null, "mode_list": [2, 3]}),
    );
    accessor_on_ledger(node, ACCESSOR, GROUP, true);
    request
}

fn detail(
    request: &ConsentRequest,
    hash: &str,
    min_idp: u64,
    idp_ids: &[&str],
    responses: Value,
) -> Value {
    json!({
        "request_id": request.request_id, "min_idp": min_idp, "min_aal": 1, "min_ial": 1.1,
        "request_timeout": 86400, "idp_id_list": idp_ids, "data_request_list": [],
        "request_message_hash": hash, "response_list": responses, "closed": false,
        "timed_out": false, "purpose": "", "mode": request.mode, "request_type": null,
        "requester_node_id": "rp1", "creation_block_height": request.height,
        "creation_chain_id": "test-chain-NDID",
    })
}

fn accessor_on_ledger(node: &TestNode, accessor_id: &str, group: &str, active: bool) {
    let params = json!({"accessor_id": accessor_id});
    node.ledger.answer(
        "GetReferenceGroupCodeByAccessorID",
        params.clone(),
        json!({"reference_group_code": group}),
    );
    node.ledger.answer(
        "GetAccessorKey",
        params,
        json!({
            "accessor_public_key": test_key::public_pem(), "accessor_type": "RSA",
            "active": active, "owner_node_id": "idp1", "creation_block_height": 1,
            "creation_chain_id": "test-chain-NDID",
        }),
    );
}

fn user_signature(request: &ConsentRequest) -> String {
    replay_tests::user_signature(
        &request.request_message,
        &request.initial_salt,
        &request.request_id,
    )
}

fn answer(request: &ConsentRequest, members: Value) -> respond::IdpResponseBody {
    let mut body = json!({
        "reference_id": "ref", "callback_url": "http://127.0.0.1:9800/idp",
        "request_id": request.request_id, "ial": 2.3, "aal": 3, "status": "accept",
        "signature": "Some signature",
    });
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

async fn refusal_of(node: &TestNode, answer: &respond::IdpResponseBody) -> u32 {
    let refused = respond::respond(&node.context, "idp1", answer).await;
    refused.unwrap_err().code().number
}

fn is_error(body: &Value, action: &str, request_id: &str, code: u32) -> bool {
    *body
        == json!({
            "node_id": "idp1", "type": "error", "action": action, "request_id": request_id,
            "error": {"code": code, "message": body["error"]["message"]},
        })
}

fn reply() -> Option<ReplyTo> {
    Some(ReplyTo {
        reference_id: "ref".to_owned(),
        callback_url: "http://127.0.0.1:9800/idp".to_owned(),
    })
}

fn sent_messages(commit: &Commit) -> Vec<Value> {
    let mut sent = Vec::new();
    for write in &commit.writes {
        if let crate::job::Write::Put {
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
