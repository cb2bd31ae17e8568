//! Everything the recorded IdP and AS were called with and called back with,
//! done again by our flows and compared member for member.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::rsa::Padding;
use serde_json::{Map, Value, json};

use super::status_update::StatusUpdate;
use super::testing::{
    CHAIN, TestNode, callbacks, continuation, job, message_job, of_kind, params, recorded,
    transactions,
};
use super::{dispatch, status_update};
use crate::api::CallOutcome;
use crate::context::{Role, row};
use crate::crypto::{accessor, hash, test_key};
use crate::delivery::callback::{self, Callback, DataRequestAnswer};
use crate::delivery::transaction::{Fate, Transact};
use crate::error::Error;
use crate::flows::{RequestUpdate, as_, idp, node};
use crate::job::{Commit, NewJob, Run, Table, codec, request_key};
use crate::messaging::to_role;
use crate::mq::message::{
    ConsentRequest, DataRequest, Message, RequestedService, ServiceDataRequest,
};
use crate::store::Accept;

struct Replayed {
    role: &'static str,
    node: TestNode,
    /// Transactions on their way, in the order made.
    transactions: Vec<Transact>,
    /// Callbacks made and not yet met in the recording.
    made: Vec<Value>,
    /// Open questions to the AS application, by request.
    questions: BTreeMap<String, Callback>,
}

impl Replayed {
    fn new(node_id: &str, role: Role) -> Self {
        let node = TestNode::new(node_id, role);
        let ledger = &node.ledger;
        let offers = json!({"as_id": "as1"});
        ledger.answer("GetServicesByAsID", offers.clone(), json!({"services": []}));
        let offered = json!({"services": [{
            "service_id": "bank_statement", "min_ial": 1.1, "min_aal": 1, "active": true,
            "suspended": false, "supported_namespace_list": ["citizen_id"],
        }]});
        ledger.answer_from("GetServicesByAsID", offers, 54, offered);
        let service = json!({"service_id": "bank_statement"});
        let listed = json!({"node": [{"node_id": "as1"}]});
        ledger.answer(
            "GetAsNodesByServiceId",
            service.clone(),
            json!({"node": []}),
        );
        ledger.answer_from("GetAsNodesByServiceId", service.clone(), 54, listed);
        ledger.answer(
            "GetServiceDetail",
            service,
            json!({"service_id": "bank_statement", "active": true}),
        );
        Self {
            role: role.as_str(),
            node,
            transactions: Vec::new(),
            made: Vec::new(),
            questions: BTreeMap::new(),
        }
    }

    fn node_id(&self) -> String {
        self.node.context.node_id().to_owned()
    }

    fn commit(&mut self, commit: &Commit) {
        self.node.commit(commit);
        self.take(&commit.writes, &commit.jobs);
    }

    fn accept(&mut self, accept: &Accept) {
        assert!(self.node.accept(accept));
        self.take(&accept.writes, &accept.jobs);
    }

    fn take(&mut self, writes: &[crate::job::Write], jobs: &[NewJob]) {
        self.transactions.extend(transactions(writes));
        self.made
            .extend(callbacks(jobs).into_iter().map(|(_, body)| body));
        for job in of_kind(jobs, callback::DELIVER) {
            let callback: Callback = codec::decode(&job.payload).unwrap();
            if let Some(question) = &callback.answer_to {
                self.questions.insert(question.request_id.clone(), callback);
            }
        }
    }

    /// A recorded call; status and body of our answer.
    async fn call(&mut self, record: &Value) -> (u64, Value) {
        let path = record["path"].as_str().unwrap();
        let body = record["request"].clone();
        let parts: Vec<&str> = path.split('/').skip(2).collect();
        let context = self.node.context.clone();
        let node_id = self.node_id();
        let result = match (record["method"].as_str().unwrap(), parts.as_slice()) {
            ("GET", [role, "callback"]) => {
                let urls = node::callback_urls(&context, role).await.unwrap();
                return found((!urls.is_empty()).then_some(urls));
            }
            ("POST", [role, "callback"]) => {
                let urls = node::set_callback_urls(role, body.as_object().unwrap());
                self.node.state.apply(&urls);
                return (204, Value::Null);
            }
            ("GET", ["as", "service", service_id]) => {
                let offered = as_::service::offered(&context, &node_id, service_id).await;
                return found(offered.unwrap());
            }
            ("POST", ["as", "service", service_id]) => {
                let offer = serde_json::from_value(body).unwrap();
                started(as_::service::offer(&context, &node_id, service_id, &offer).await)
            }
            ("POST", ["idp", "response"]) => {
                let answer = serde_json::from_value(body).unwrap();
                idp::respond::respond(&context, &node_id, &answer).await
            }
            ("POST", ["idp", "error_response"]) => {
                let answer = serde_json::from_value(body).unwrap();
                idp::error_response::respond_with_error(&context, &node_id, &answer).await
            }
            ("POST", ["as", "data", request_id, service_id]) => {
                let data = serde_json::from_value(body).unwrap();
                let result = "response_result";
                as_::respond::respond(&context, &node_id, request_id, service_id, &data, result)
                    .await
            }
            ("POST", ["as", "error", request_id, service_id]) => {
                let answer = serde_json::from_value(body).unwrap();
                as_::error::respond_with_error(&context, &node_id, request_id, service_id, &answer)
                    .await
            }
            other => panic!("no flow for {other:?}"),
        };
        match result {
            Ok(accept) => {
                self.accept(&accept);
                (202, Value::Null)
            }
            Err(error) => (400, refused(&error)),
        }
    }

    /// Settles the transaction that carries this reference id.
    async fn settle(&mut self, reference_id: &str, body: &Value, height: u64) {
        let carries = |transact: &Transact| {
            let context = &transact.then.as_ref().unwrap().context;
            contains(context, reference_id.as_bytes())
        };
        let place = self.transactions.iter().position(carries);
        let place = place.unwrap_or_else(|| panic!("no transaction of {reference_id}"));
        let transact = self.transactions.remove(place);
        let fate = match body.get("error") {
            None => Fate::Committed { height },
            Some(error) => Fate::Refused {
                code: error["code"].as_u64().unwrap() as u32,
                message: error["message"].as_str().unwrap().to_owned(),
            },
        };
        self.run_continuation(&transact, fate).await;
    }

    async fn run_continuation(&mut self, transact: &Transact, fate: Fate) {
        let job = continuation(transact, fate);
        self.node.is_not_ended_by_damage(&job).await;
        let context = self.node.context.clone();
        let expected = [
            idp::response_created::KIND,
            as_::response_created::KIND,
            crate::flows::ledger_call::KIND,
        ];
        assert!(expected.contains(&job.kind()), "{:?}", job.kind());
        match dispatch::run(&context, &job).await.unwrap() {
            Run::Commit(commit) => self.commit(&commit),
            other => panic!("{other:?}"),
        }
    }

    async fn update(&mut self, request_id: &str, height: u64, ended: bool) {
        let update = RequestUpdate {
            node_id: self.node_id(),
            request_id: request_id.to_owned(),
            height,
            ended,
            is_new_history: false,
        };
        let context = self.node.context.clone();
        let key = request_key(request_id);
        let commit = match self.role {
            "idp" => {
                let job = job(NewJob::new(idp::request_update::KIND, key, &update));
                self.node.is_not_ended_by_damage(&job).await;
                idp::request_update::handle(&context, &job).await
            }
            _ => {
                let job = job(NewJob::new(as_::request_update::KIND, key, &update));
                self.node.is_not_ended_by_damage(&job).await;
                as_::request_update::handle(&context, &job).await
            }
        };
        let commit = commit.unwrap();
        self.commit(&commit);
        for told in of_kind(&commit.jobs, crate::flows::status_update::DELIVER) {
            let told: StatusUpdate = codec::decode(&told.payload).unwrap();
            assert_eq!(told.role, self.role);
            let body = status_update::status(&context, &told.update).await;
            self.made.push(Value::Object(body.unwrap()));
        }
    }

    /// The answer of the AS application to the question about a request.
    async fn answer_question(&mut self, request_id: &str, answered: &Value) {
        let callback = self.questions.remove(request_id).unwrap();
        let answer = DataRequestAnswer {
            request: callback.answer_to.unwrap(),
            status: answered["status"].as_u64().unwrap() as u16,
            body: Some(answered["body"].to_string().into_bytes()),
        };
        let key = request_key(request_id);
        let job = job(NewJob::new(callback::ANSWERED, key, &answer));
        self.node.is_not_ended_by_damage(&job).await;
        let context = self.node.context.clone();
        let commit = as_::callback_answer::handle(&context, &job).await;
        self.commit(&commit.unwrap());
    }

    /// A recorded callback must be one that was made, with the same body.
    fn expect(&mut self, body: &Value) {
        let place = self.made.iter().position(|made| made == body);
        let place = place.unwrap_or_else(|| {
            panic!("not made: {body:#}\nmade: {:#}", json!(self.made));
        });
        self.made.remove(place);
    }
}

fn found(body: Option<Map<String, Value>>) -> (u64, Value) {
    match body {
        Some(body) => (200, Value::Object(body)),
        None => (404, Value::Null),
    }
}

fn refused(error: &Error) -> Value {
    json!({"error": error.to_json()})
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn height_of(block: &Value) -> u64 {
    let block = block.as_str().unwrap();
    block
        .strip_prefix(&format!("{CHAIN}:"))
        .unwrap()
        .parse()
        .unwrap()
}

/// The message that a recorded `incoming_request` was made from.
pub(crate) fn consent_request(body: &Value) -> ConsentRequest {
    let services: Vec<RequestedService> =
        serde_json::from_value(body["data_request_list"].clone()).unwrap();
    ConsentRequest {
        namespace: body["namespace"].as_str().map(str::to_owned),
        identifier: body["identifier"].as_str().map(str::to_owned),
        reference_group_code: None,
        mode: 1,
        request_id: text(&body["request_id"]),
        min_aal: serde_json::from_value(body["min_aal"].clone()).unwrap(),
        min_ial: serde_json::from_value(body["min_ial"].clone()).unwrap(),
        request_timeout: body["request_timeout"].as_u64().unwrap(),
        data_request_params_salt_list: services.iter().map(|_| "salt".to_owned()).collect(),
        data_request_list: services,
        request_message: text(&body["request_message"]),
        rp_id: text(&body["requester_node_id"]),
        request_message_salt: text(&body["request_message_salt"]),
        initial_salt: text(&body["initial_salt"]),
        request_type: None,
        creation_time: body["creation_time"].as_u64().unwrap(),
        chain_id: CHAIN.to_owned(),
        height: height_of(&body["creation_block_height"]),
    }
}

/// The message that a recorded `data_request` callback was made from.
pub(crate) fn data_request(body: &Value, consent: &ConsentRequest, height: u64) -> DataRequest {
    let request_id = text(&body["request_id"]);
    let service_id = text(&body["service_id"]);
    DataRequest {
        mode: 1,
        namespace: text(&body["namespace"]),
        identifier: text(&body["identifier"]),
        service_data_request_list: vec![ServiceDataRequest {
            request_params: body["request_params"].as_str().map(str::to_owned),
            request_params_salt: hash::request_params_salt(
                &request_id,
                &service_id,
                &consent.initial_salt,
            ),
            service_id,
        }],
        request_id,
        request_message: consent.request_message.clone(),
        request_message_salt: consent.request_message_salt.clone(),
        response_private_data_list: Vec::new(),
        creation_time: consent.creation_time,
        request_timeout: consent.request_timeout,
        rp_id: consent.rp_id.clone(),
        initial_salt: consent.initial_salt.clone(),
        chain_id: CHAIN.to_owned(),
        height,
    }
}

/// What the user's accessor key (the test key) makes of a request's padded hash.
pub(crate) fn user_signature(
    request_message: &str,
    initial_salt: &str,
    request_id: &str,
) -> String {
    let pem = test_key::public_pem();
    let padded = accessor::padded_hash(request_message, initial_salt, request_id, &pem).unwrap();
    let key = test_key::private().rsa().unwrap();
    let mut signature = vec![0; key.size() as usize];
    let padded = STANDARD.decode(padded).unwrap();
    key.private_encrypt(&padded, &mut signature, Padding::NONE)
        .unwrap();
    STANDARD.encode(signature)
}

#[derive(Default)]
struct Compared {
    calls: usize,
    callbacks: usize,
}

/// Nodes whose calls and callbacks are replayed, by the URL they call back.
fn node_of<'a>(
    nodes: &'a mut BTreeMap<&'static str, Replayed>,
    node_id: &Value,
) -> Option<&'a mut Replayed> {
    nodes.get_mut(node_id.as_str()?)
}

const OTHER_GROUPS: [&str; 3] = ["/v6/utility/", "/v6/rp/", "/v6/identity/"];

#[tokio::test]
async fn every_recorded_call_and_callback_of_idp_and_as_is_reproduced() {
    let mut nodes = BTreeMap::from([
        ("idp1", Replayed::new("idp1", Role::Idp)),
        ("as1", Replayed::new("as1", Role::As)),
    ]);
    let mut height = 53;
    let mut consents: BTreeMap<String, ConsentRequest> = BTreeMap::new();
    let mut ended_requests: BTreeSet<String> = BTreeSet::new();
    let mut compared = Compared::default();
    for record in recorded("http.jsonl") {
        if record["scenario"] == "look-ups" {
            break;
        }
        for replayed in nodes.values() {
            replayed.node.ledger.set_height(height);
        }
        if record["kind"] == "call" {
            let path = record["path"].as_str().unwrap();
            let ours = path.starts_with("/v6/")
                && !OTHER_GROUPS.iter().any(|group| path.starts_with(group))
                && record["response"]["error"]["code"] != 20003;
            if let Some(replayed) = node_of(&mut nodes, &record["node"])
                && ours
            {
                let (status, response) = replayed.call(&record).await;
                assert_eq!(json!(status), record["status"], "{record:#}");
                if !record["response"].is_null() {
                    assert_eq!(response, record["response"], "{record:#}");
                }
                compared.calls += 1;
            }
            continue;
        }
        let body = &record["body"];
        if let Some(block) = body
            .get("block_height")
            .or(body.get("creation_block_height"))
        {
            height = height.max(height_of(block));
        }
        let Some(replayed) = node_of(&mut nodes, &body["node_id"]) else {
            continue;
        };
        replayed.node.ledger.set_height(height);
        let request_id = body["request_id"].as_str().unwrap_or_default();
        match body["type"].as_str().unwrap() {
            "message_queue_send_success" => continue,
            "incoming_request" => {
                let message = consent_request(body);
                consents.insert(message.request_id.clone(), message.clone());
                let message = Message::ConsentRequest(message);
                let job = message_job(to_role::CONSENT_REQUEST, "idp1", &message);
                replayed.node.is_not_ended_by_damage(&job).await;
                let context = replayed.node.context.clone();
                let commit = idp::consent_request::handle(&context, &job).await;
                replayed.commit(&commit.unwrap());
            }
            "data_request" => {
                let message = data_request(body, &consents[request_id], height);
                let message = Message::DataRequest(message);
                let job = message_job(to_role::DATA_REQUEST, "as1", &message);
                replayed.node.is_not_ended_by_damage(&job).await;
                let context = replayed.node.context.clone();
                let commit = as_::data_request::handle(&context, &job).await;
                replayed.commit(&commit.unwrap());
            }
            "request_status" => {
                let ended = body["closed"] == true || body["timed_out"] == true;
                let block = height_of(&body["block_height"]);
                if ended {
                    ended_requests.insert(request_id.to_owned());
                }
                replayed.update(request_id, block, ended).await;
            }
            "add_or_update_service_result" => {
                height = height.max(54);
                replayed
                    .settle(body["reference_id"].as_str().unwrap(), body, height)
                    .await;
            }
            "response_result" => {
                replayed
                    .settle(body["reference_id"].as_str().unwrap(), body, height + 1)
                    .await;
            }
            "error" => {}
            other => panic!("unexpected callback {other}"),
        }
        replayed.expect(body);
        compared.callbacks += 1;
        if body["type"] == "data_request" && record["answered"]["status"] == 200 {
            replayed
                .answer_question(request_id, &record["answered"])
                .await;
            let made: Vec<Transact> = replayed.transactions.drain(..).collect();
            for transact in made {
                assert_eq!(transact.method, "CreateAsResponse");
                assert_eq!(params(&transact)["request_id"], request_id);
                let fate = Fate::Committed { height: height + 1 };
                replayed.run_continuation(&transact, fate).await;
            }
        }
    }
    for (node_id, replayed) in &nodes {
        assert_eq!(
            replayed.made,
            Vec::<Value>::new(),
            "{node_id} made more callbacks"
        );
        assert!(
            replayed.transactions.is_empty(),
            "{node_id} made more transactions"
        );
        let open = consents.keys().filter(|id| !ended_requests.contains(*id));
        let open: Vec<String> = open.map(|id| row("idp1", id)).collect();
        if *node_id == "idp1" {
            assert_eq!(replayed.node.state.names(Table::ConsentRequest), open);
        }
        for table in [
            Table::DataRequest,
            Table::PendingDataRequest,
            Table::DataAnswer,
        ] {
            let left = replayed.node.state.names(table);
            assert!(left.is_empty(), "{node_id} keeps {} {left:?}", table.name());
        }
    }
    assert!(compared.calls >= 30, "{} calls", compared.calls);
    assert!(compared.callbacks >= 70, "{} callbacks", compared.callbacks);
}

/// What a call that is answered by callback wants stored.
fn started(outcome: Result<CallOutcome, Error>) -> Result<Accept, Error> {
    match outcome? {
        CallOutcome::Accepted { accept, .. } => Ok(accept),
        other => panic!("not started: {other:?}"),
    }
}
