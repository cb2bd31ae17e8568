//! The RP's flows, driven by the recorded scenarios.

mod answers;
mod create;
mod data;
mod ends;
mod identity;

use serde_json::{Value, json};

use crate::context::row;
use crate::context::{Role, state};
use crate::crypto::hash;
use crate::delivery::callback::CallbackTarget;
use crate::delivery::message;
use crate::delivery::transaction::{Fate, Transact};
use crate::flows::rp;
use crate::flows::rp::create_request::{CreateRequest, create_request};
use crate::flows::rp::stored::{RequestRecord, RequestRef, StoredRequest};
use crate::flows::testing::{self, TestNode, callbacks, continuation, of_kind, transactions};
use crate::flows::{RequestUpdate, dispatch};
use crate::job::{Commit, Job, Kind, NewJob, Run, Table, codec, request_key};
use crate::messaging::to_role;
use crate::mq::OutboundMessage;
use crate::mq::message::{IdpResponse, Message};
use crate::store::Accept;

/// The RP of the recordings, and one of its requests.
struct Play {
    node: TestNode,
    records: Vec<Value>,
    of: RequestRef,
}

impl Play {
    /// The state after a scenario's `POST /rp/requests`, under the recorded id.
    async fn created(scenario: &str) -> Self {
        let (play, commit) = Self::settled(scenario).await;
        play.node.commit(&commit);
        play
    }

    /// As [`Self::created`], with what the continuation wants, not yet applied.
    async fn settled(scenario: &str) -> (Self, Commit) {
        let (play, transact) = Self::accepted(scenario).await;
        let height = play.heights()[0];
        let job = continuation(&transact, Fate::Committed { height });
        let commit = play.run(&job).await;
        (play, commit)
    }

    /// The state after the 202, and the transaction on its way.
    async fn accepted(scenario: &str) -> (Self, Transact) {
        let node = TestNode::new("rp1", Role::Rp);
        let records = testing::scenario(scenario);
        let body = records[0]["request"].clone();
        let request_id = records[0]["response"]["request_id"].as_str().unwrap();
        node.ledger.set_height(55);
        let input = CreateRequest::new("citizen_id", "1345951597671", body).unwrap();
        let (accept, answer) = create_request(&node.context, "rp1", input).await.unwrap();
        assert!(node.accept(&accept));
        let of = RequestRef {
            node_id: "rp1".to_owned(),
            request_id: request_id.to_owned(),
        };
        let mut transact = transactions(&accept.writes).remove(0);
        adopt(&node, &answer.request_id, &of, &mut transact).await;
        (Self { node, records, of }, transact)
    }

    /// Heights of the recorded `request_status` of the RP, in order.
    fn heights(&self) -> Vec<u64> {
        let bodies = self.recorded_statuses();
        bodies.iter().map(height_of).collect()
    }

    /// The `request_status` callbacks that the RP's client got.
    fn recorded_statuses(&self) -> Vec<Value> {
        self.recorded("request_status")
    }

    /// Callbacks of a type that the RP's client got.
    fn recorded(&self, kind: &str) -> Vec<Value> {
        let bodies = self.records.iter().map(|record| record["body"].clone());
        bodies
            .filter(|body| body["type"] == kind && body["node_id"] == "rp1")
            .collect()
    }

    /// Runs a job; it must not fail for good and not ask to be run again.
    async fn run(&self, job: &Job) -> Commit {
        self.node.is_not_ended_by_damage(job).await;
        match dispatch::run(&self.node.context, job).await.unwrap() {
            Run::Commit(commit) => commit,
            Run::Retry { reason, .. } | Run::Park { reason } => {
                panic!("wants to run again: {reason}")
            }
        }
    }

    /// Runs a job and applies what it wants.
    async fn apply(&self, job: &Job) -> Commit {
        let commit = self.run(job).await;
        self.node.commit(&commit);
        commit
    }

    async fn block(&self, height: u64, ended: bool) -> Commit {
        self.update(height, ended, false).await
    }

    async fn update(&self, height: u64, ended: bool, is_new_history: bool) -> Commit {
        let update = RequestUpdate {
            node_id: "rp1".to_owned(),
            request_id: self.of.request_id.clone(),
            height,
            ended,
            is_new_history,
        };
        let key = request_key(&self.of.request_id);
        let new = NewJob::new(rp::request_update::KIND, key, &update);
        self.apply(&testing::job(new)).await
    }

    fn idp_message(&self, idp_id: &str, height: u64) -> IdpResponse {
        IdpResponse {
            request_id: self.of.request_id.clone(),
            mode: Some(1),
            accessor_id: None,
            idp_id: idp_id.to_owned(),
            error_code: None,
            chain_id: testing::CHAIN.to_owned(),
            height,
        }
    }

    async fn idp_response(&self, message: IdpResponse) -> Commit {
        self.message(to_role::IDP_RESPONSE, Message::IdpResponse(message))
            .await
    }

    async fn message(&self, kind: Kind, message: Message) -> Commit {
        self.apply(&testing::message_job(kind, "rp1", &message))
            .await
    }

    async fn settle(&self, transact: &Transact, fate: Fate) -> Commit {
        self.apply(&continuation(transact, fate)).await
    }

    async fn stored(&self) -> Option<StoredRequest> {
        let context = &self.node.context;
        StoredRequest::load(context, self.of.clone()).await.unwrap()
    }
}

/// Gives a stored request the recorded id, so that the recorded answers fit.
async fn adopt(node: &TestNode, made: &str, of: &RequestRef, transact: &mut Transact) {
    let context = &node.context;
    let made_row = row("rp1", made);
    let request: Option<RequestRecord> = state::load(context, Table::RequestData, &made_row, "")
        .await
        .unwrap();
    let mut request = request.unwrap();
    request.request_id = of.request_id.clone();
    for service in &mut request.data_request_list {
        let id = &service.service_id;
        service.request_params_salt =
            hash::request_params_salt(&of.request_id, id, &request.initial_salt);
    }
    let reference = row("rp1", &request.reference_id);
    node.state.apply(&[
        crate::job::Write::delete(Table::RequestData, made_row),
        state::put(Table::RequestData, of.row(), &request),
        state::put(Table::RequestReference, reference, &of.request_id),
    ]);
    let then = transact.then.as_mut().unwrap();
    then.context = codec::encode(of);
    then.key = request_key(&of.request_id);
}

fn height_of(body: &Value) -> u64 {
    let text = body["block_height"].as_str().unwrap();
    text.rsplit(':').next().unwrap().parse().unwrap()
}

/// Bodies of the callbacks of a commit.
fn bodies(commit: &Commit) -> Vec<Value> {
    let callbacks = callbacks(&commit.jobs);
    callbacks.into_iter().map(|(_, body)| body).collect()
}

/// Who gets the messages of a commit.
fn destinations(commit: &Commit) -> Vec<String> {
    of_kind(&commit.jobs, message::DELIVER)
        .into_iter()
        .map(|job| {
            let message: OutboundMessage = codec::decode(&job.payload).unwrap();
            message.destination_node_id
        })
        .collect()
}

/// The messages of a commit as their long-term record has them.
fn sent(commit: &Commit) -> Vec<Value> {
    let mut found = Vec::new();
    for write in &commit.writes {
        if let crate::job::Write::Put {
            table: Table::PrivateMessage,
            value,
            ..
        } = write
        {
            let record: Value = serde_json::from_slice(value).unwrap();
            found.push(record["message"].clone());
        }
    }
    found
}

fn client_url() -> CallbackTarget {
    CallbackTarget::Url("http://127.0.0.1:9800/rp".to_owned())
}

fn error_url() -> CallbackTarget {
    CallbackTarget::Setting {
        role: "rp".to_owned(),
        name: "error_url".to_owned(),
    }
}

fn jobs_of(accept: &Accept) -> Vec<(CallbackTarget, Value)> {
    callbacks(&accept.jobs)
}

/// A detail of a request as the ledger gives it.
fn detail(of: &RequestRef, changes: Value) -> Value {
    let mut detail = json!({
        "request_id": of.request_id, "min_idp": 1, "min_aal": 1, "min_ial": 1.1,
        "request_timeout": 86400, "idp_id_list": ["idp1", "idp2"], "data_request_list": [],
        "request_message_hash": "", "response_list": [], "closed": false, "timed_out": false,
        "purpose": "", "mode": 1, "request_type": null, "requester_node_id": "rp1",
        "creation_block_height": 56, "creation_chain_id": testing::CHAIN,
    });
    for (name, value) in changes.as_object().unwrap() {
        detail[name] = value.clone();
    }
    detail
}

fn service(answers: Value) -> Value {
    json!({
        "service_id": "bank_statement", "as_id_list": ["as1"], "min_as": 1,
        "request_params_hash": "", "response_list": answers,
    })
}

fn accepted_by(idp_id: &str) -> Value {
    json!({
        "ial": 2.3, "aal": 3, "status": "accept", "signature": "Some signature",
        "idp_id": idp_id, "valid_ial": null, "valid_signature": null,
    })
}

fn error_of(idp_id: &str) -> Value {
    json!({"idp_id": idp_id, "valid_ial": null, "valid_signature": null, "error_code": 10101})
}
