//! Operations that need the consent of a person, asked through another IdP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::rsa::Padding;

use super::checks::with_consent;
use super::*;
use crate::context::state;
use crate::crypto::accessor;
use crate::delivery::callback::CallbackTarget;
use crate::flows::RequestUpdate;
use crate::flows::rp;
use crate::flows::rp::stored::{RequestRecord, RequestRef, StoredRequest};
use crate::flows::testing::{self, message_job, of_kind, params};
use crate::job::{NewJob, request_key};
use crate::messaging::to_role;
use crate::mq::message::{IdpResponse, Message};

/// An operation that waits for consent.
pub(super) struct Asking {
    pub idp: Idp,
    pub place: usize,
    pub request_id: String,
}

/// The modes of the requests of [`bodies`].
const MODES: [u8; 7] = [3, 2, 3, 3, 3, 3, 2];

impl Asking {
    /// The state after the 202, and CreateRequest.
    pub async fn started(place: usize) -> (Self, Transact) {
        let idp = Idp::knowing(place, with_consent(place));
        let found = json!({"node_id_list": ["idp1", "idp2"], "min_ial": 1.1, "min_aal": 1});
        let ledger = &idp.node.context.ledger;
        let recorded = ledger.query("GetIdpNodesInfo", found, Some(180)).await;
        let all = recorded.unwrap().unwrap().as_ref().clone();
        let filters = json!({
            "min_ial": 1.1, "min_aal": 1, "node_id_list": [], "mode_list": [MODES[place]],
        });
        let filters = with(Idp::identity(PERSON), filters);
        idp.node.ledger.answer("GetIdpNodesInfo", filters, all);
        idp.declared("idp2", PERSON, json!([2, 3]));
        idp.accessor("a-2", json!("idp2"));
        let of_accessor = json!({"accessor_id": "a-2"});
        let code = json!({"reference_group_code": GROUP});
        let method = "GetReferenceGroupCodeByAccessorID";
        idp.node.ledger.answer(method, of_accessor, code);
        let (path, body) = bodies().remove(place);
        let (transact, answer) = idp.started(path, asked(body)).await;
        let request_id = answer["request_id"].as_str().unwrap().to_owned();
        let asking = Self {
            idp,
            place,
            request_id,
        };
        (asking, transact)
    }

    /// The state after the block of CreateRequest, with what it led to.
    pub async fn created(place: usize) -> (Self, Commit) {
        let (asking, create) = Self::started(place).await;
        let commit = asking.idp.settle(&create, committed(61)).await;
        asking.detail(61, json!([]), json!({}));
        (asking, commit)
    }

    /// What the request looks like from a height on.
    pub fn detail(&self, height: u64, answers: Value, more: Value) {
        let detail = json!({
            "request_id": self.request_id, "min_idp": 1, "min_aal": 1, "min_ial": 1.1,
            "request_timeout": 86400, "idp_id_list": ["idp2", "idp1"], "data_request_list": [],
            "request_message_hash": "", "response_list": answers, "closed": false,
            "timed_out": false, "purpose": OPERATIONS[self.place].1, "mode": MODES[self.place],
            "request_type": null, "requester_node_id": "idp1", "creation_block_height": 61,
            "creation_chain_id": testing::CHAIN,
        });
        let ledger = &self.idp.node.ledger;
        ledger.request_from(&self.request_id, height, with(detail, more));
        ledger.set_height(height);
    }

    /// The consent of the person at the other IdP, signed.
    pub async fn consent(&self) -> Value {
        let request = self.request().await;
        let padded = accessor::padded_hash(
            &request.request_message,
            &request.initial_salt,
            &request.request_id,
            &pem(),
        );
        let padded = STANDARD.decode(padded.unwrap()).unwrap();
        let mut signature = vec![0; 256];
        let rsa = key().rsa().unwrap();
        rsa.private_encrypt(&padded, &mut signature, Padding::NONE)
            .unwrap();
        json!({
            "ial": 2.3, "aal": 3, "status": "accept", "signature": STANDARD.encode(signature),
            "idp_id": "idp2", "valid_ial": null, "valid_signature": null,
        })
    }

    async fn request(&self) -> RequestRecord {
        let context = &self.idp.node.context;
        let row = self.of().row();
        let request = state::load(context, Table::RequestData, &row, "").await;
        request.unwrap().unwrap()
    }

    fn of(&self) -> RequestRef {
        RequestRef {
            node_id: "idp1".to_owned(),
            request_id: self.request_id.clone(),
        }
    }

    pub async fn stored(&self) -> StoredRequest {
        let stored = StoredRequest::load(&self.idp.node.context, self.of()).await;
        stored.unwrap().unwrap()
    }

    /// The other IdP says that its answer is in a block.
    pub async fn message(&self, height: u64, error_code: Option<i64>) -> Commit {
        let message = Message::IdpResponse(IdpResponse {
            request_id: self.request_id.clone(),
            mode: error_code.is_none().then_some(MODES[self.place]),
            accessor_id: error_code.is_none().then(|| "a-2".to_owned()),
            idp_id: "idp2".to_owned(),
            error_code: error_code.map(Into::into),
            chain_id: testing::CHAIN.to_owned(),
            height,
        });
        let job = message_job(to_role::IDP_RESPONSE, "idp1", &message);
        self.idp.run(&job).await
    }

    /// The block that ended the request.
    pub async fn block(&self, height: u64) -> Commit {
        self.update(height, true, false).await
    }

    pub async fn update(&self, height: u64, ended: bool, is_new_history: bool) -> Commit {
        let update = RequestUpdate {
            node_id: "idp1".to_owned(),
            request_id: self.request_id.clone(),
            height,
            ended,
            is_new_history,
        };
        let key = request_key(&self.request_id);
        let new = NewJob::new(rp::request_update::KIND, key, &update);
        self.idp.run(&testing::job(new)).await
    }

    /// The client's call to close the request, and the job that it makes.
    pub async fn close(&self) -> Commit {
        let post = crate::api::Method::Post;
        let body = json!({"request_id": self.request_id, "reference_id": "close"});
        let path = "/identity_request/request_close";
        let outcome = self.idp.call_to(post, path, body).await;
        let Ok(CallOutcome::Accepted { accept, .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(self.idp.node.accept(&accept));
        let [job] = accept.jobs.as_slice() else {
            panic!("{:?}", accept.jobs);
        };
        self.idp.run(&testing::job(job.clone())).await
    }

    /// The answer is in block 65, the node closes the request, and does no more.
    pub async fn decided(&self, answer: Value, error_code: Option<i64>) -> Transact {
        self.detail(65, json!([answer]), json!({}));
        let commit = self.message(65, error_code).await;
        assert_eq!(told(&commit), [] as [Value; 0]);
        let close = only_transaction(&commit.writes);
        assert_eq!(close.method, "CloseRequest");
        assert!(close.resend_when_disabled && close.retry_on_shortage);
        close
    }

    /// The only callback of a commit, which says that there is no consent.
    pub fn assert_over(&self, commit: &Commit, code: u32) {
        let [result] = &told(commit)[..] else {
            panic!("{:?}", commit.jobs);
        };
        let expected = json!({
            "node_id": "idp1", "type": format!("{}_result", OPERATIONS[self.place].0),
            "success": false, "reference_id": "ref", "request_id": self.request_id,
            "error": result["error"],
        });
        assert_eq!(
            (result, &result["error"]["code"]),
            (&expected, &json!(code))
        );
        self.idp.assert_nothing_is_left();
    }
}

fn asked(body: Value) -> Value {
    with(body, json!({"request_message": "May they?"}))
}

#[actix::test]
async fn the_request_for_consent_goes_to_all_who_have_the_person() {
    for place in 0..OPERATIONS.len() {
        let (asking, create) = Asking::started(place).await;
        let (name, purpose) = OPERATIONS[place];
        assert_eq!(create.method, "CreateRequest");
        assert!(create.resend_when_disabled);
        let asked = params(&create);
        let expected = json!({
            "mode": MODES[place], "request_id": asking.request_id, "min_idp": 1, "min_aal": 1,
            "min_ial": 1.1, "request_timeout": 86400, "data_request_list": [],
            "request_message_hash": asked["request_message_hash"],
            "idp_id_list": asked["idp_id_list"], "purpose": purpose,
        });
        assert_eq!(asked, expected);
        let mut asked_idps: Vec<Value> = asked["idp_id_list"].as_array().unwrap().clone();
        asked_idps.sort_by_key(Value::to_string);
        assert_eq!(asked_idps, ["idp1", "idp2"], "also the node itself");

        let referenced = asking.idp.referenced().await.unwrap();
        assert_eq!(referenced["request_id"], asking.request_id.as_str());
        let commit = asking.idp.settle(&create, committed(61)).await;
        let [result] = &told(&commit)[..] else {
            panic!("{name}: {:?}", commit.jobs);
        };
        let mut expected = json!({
            "node_id": "idp1", "type": format!("{name}_request_result"), "success": true,
            "reference_id": "ref", "creation_block_height": format!("{}:61", testing::CHAIN),
        });
        expected = with(expected, referenced);
        if place == 0 {
            expected["exist"] = json!(true);
        }
        assert_eq!(*result, expected);
        let messages = of_kind(&commit.jobs, crate::delivery::message::DELIVER);
        assert_eq!(messages.len(), 2, "{name}");
    }
}

#[actix::test]
async fn consent_leads_to_the_operation_and_one_result() {
    for (place, (name, method)) in OPERATIONS.into_iter().enumerate() {
        for fate in [committed(68), refused_by_ledger()] {
            let (asking, _) = Asking::created(place).await;
            let answer = asking.consent().await;
            let close = asking.decided(answer.clone(), None).await;
            let valid = json!([{"idp_id": "idp2", "valid_ial": true, "valid_signature": true}]);
            assert_eq!(params(&close)["response_valid_list"], valid);

            asking.detail(66, json!([answer]), json!({"closed": true}));
            let commit = asking.block(66).await;
            assert!(commit.jobs.is_empty(), "{name}");
            assert_eq!(commit.cancel.len(), 1, "the time-out");
            let transact = only_transaction(&commit.writes);
            assert_eq!(transact.method, method);
            assert_eq!(params(&transact)["request_id"], asking.request_id.as_str());
            assert!(transact.resend_when_disabled);
            assert!(asking.idp.referenced().await.is_some(), "not done yet");
            let again = asking.block(67).await;
            assert!(transactions(&again.writes).is_empty(), "{name}");

            let success = matches!(fate, Fate::Committed { .. });
            let commit = asking.idp.settle(&transact, fate).await;
            let [result] = &told(&commit)[..] else {
                panic!("{name}: {:?}", commit.jobs);
            };
            assert_eq!(result["type"], format!("{name}_result"));
            assert_eq!(result["success"], success);
            assert_eq!(result["request_id"], asking.request_id.as_str());
            asking.idp.assert_nothing_is_left();
        }
    }
}

#[actix::test]
async fn without_consent_the_operation_is_over() {
    for place in 0..OPERATIONS.len() {
        let (asking, _) = Asking::created(place).await;
        let mut unsigned = asking.consent().await;
        unsigned["signature"] = json!("AAAA");
        let mut other_ial = asking.consent().await;
        other_ial["ial"] = json!(3);
        let mut rejected = asking.consent().await;
        rejected["status"] = json!("reject");
        let mut rejected_unsigned = rejected.clone();
        rejected_unsigned["signature"] = json!("AAAA");
        let error = json!({
            "idp_id": "idp2", "error_code": 10101, "valid_ial": null, "valid_signature": null,
        });
        for (answer, error_code, code) in [
            (unsigned, None, 10015),
            (other_ial, None, 10015),
            (rejected, None, 10016),
            (rejected_unsigned, None, 10016),
            (error, Some(10101), 10016),
        ] {
            let (asking, _) = Asking::created(place).await;
            asking.decided(answer.clone(), error_code).await;
            asking.detail(66, json!([answer]), json!({"closed": true}));
            let commit = asking.block(66).await;
            assert!(transactions(&commit.writes).is_empty());
            asking.assert_over(&commit, code);
        }
    }
}

#[actix::test]
async fn the_client_can_close_the_request() {
    for place in 0..OPERATIONS.len() {
        let (asking, _) = Asking::created(place).await;
        let commit = asking.close().await;
        let close = only_transaction(&commit.writes);
        assert_eq!(close.method, "CloseRequest");
        let commit = asking.idp.settle(&close, committed(64)).await;
        let closed = &told(&commit)[0];
        assert_eq!(closed["type"], "close_request_result");
        assert_eq!(
            (&closed["success"], &closed["reference_id"]),
            (&json!(true), &json!("close"))
        );
        asking.detail(64, json!([]), json!({"closed": true}));
        let commit = asking.block(64).await;
        asking.assert_over(&commit, 20025);
    }
}

#[actix::test]
async fn the_time_of_the_request_can_be_up() {
    for place in 0..OPERATIONS.len() {
        let (asking, created) = Asking::created(place).await;
        let timer = of_kind(&created.jobs, rp::time_out::KIND)[0].clone();
        let commit = asking.idp.run(&testing::job(timer)).await;
        assert_eq!(only_transaction(&commit.writes).method, "TimeOutRequest");
        asking.detail(64, json!([]), json!({"timed_out": true}));
        let commit = asking.block(64).await;
        asking.assert_over(&commit, 20026);
    }
}

#[actix::test]
async fn a_request_that_cannot_be_created_is_told_once_and_leaves_nothing() {
    for (place, (name, purpose)) in OPERATIONS.into_iter().enumerate() {
        let told_of = |commit: &[Value], code: u32| {
            let [result] = commit else {
                panic!("{name}: {commit:?}");
            };
            assert_eq!(result["type"], format!("{name}_request_result"));
            assert_eq!(
                (&result["success"], &result["error"]["code"]),
                (&json!(false), &json!(code))
            );
            assert!(result["request_id"].is_string() && result.get("exist").is_none());
        };
        // The ledger refuses it.
        let (asking, create) = Asking::started(place).await;
        let commit = asking.idp.settle(&create, refused_by_ledger()).await;
        told_of(&told(&commit), 25068);
        asking.idp.assert_nothing_is_left();

        // It does not pass the checks of requests.
        for (method, asked_of, answer, code) in [
            (
                "GetAllowedModeList",
                json!({"purpose": purpose}),
                json!({}),
                20066,
            ),
            (
                "GetSupportedAALList",
                Value::Null,
                json!({"supported_aal_list": [3]}),
                20095,
            ),
        ] {
            let idp = Idp::knowing(place, with_consent(place));
            idp.node.ledger.answer(method, asked_of, answer);
            let (path, body) = bodies().remove(place);
            let (accept, answer) = idp.accepted(path, asked(body)).await;
            assert!(answer["request_id"].is_string());
            assert!(idp.node.accept(&accept));
            let callbacks = callbacks(&accept.jobs).into_iter();
            let told: Vec<Value> = callbacks.map(|(_, body)| body).collect();
            told_of(&told, code);
            idp.assert_nothing_is_left();
        }
    }
}

#[actix::test]
async fn what_goes_wrong_on_the_way_is_told_to_the_idps_application() {
    let (asking, _) = Asking::created(2).await;
    let answer = asking.consent().await;
    let close = asking.decided(answer, None).await;
    let commit = asking.idp.settle(&close, refused_by_ledger()).await;
    let [(target, body)] = &callbacks(&commit.jobs)[..] else {
        panic!("{:?}", commit.jobs);
    };
    let error_url = CallbackTarget::Setting {
        role: "idp".to_owned(),
        name: "error_url".to_owned(),
    };
    assert_eq!(*target, error_url);
    assert_eq!(body["action"], "idp.processMessage");
    assert_eq!(body["error"]["code"], 25068);
}
