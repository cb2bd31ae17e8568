//! Identity operations, each from its call to its result.

mod checks;
mod consent;
mod direct;
mod races;

use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use serde_json::{Map, Value, json};

use super::endpoints;
use crate::api::{ApiVersion, CallOutcome, RawCall, versions};
use crate::context::{Role, row};
use crate::crypto::hash::identifier_hash;
use crate::delivery::transaction::{Fate, Transact};
use crate::error::{Error, codes};
use crate::flows::dispatch;
use crate::flows::testing::{TestNode, callbacks, continuation, transactions};
use crate::job::{Caller, Commit, Job, Run, Table, Write};
use crate::store::Accept;

const PERSON: &str = "1345951597671";
const GROUP: &str = "group-1";

/// The operations, by the ends of their paths, with bodies that are right.
fn bodies() -> Vec<(&'static str, Value)> {
    let key = json!({"accessor_type": "RSA", "accessor_public_key": pem(), "accessor_id": "a-new"});
    let with_key = |more: Value| with(key.clone(), more);
    vec![
        (
            "",
            with_key(json!({"identity_list": listed(PERSON), "mode": 3, "ial": 2.3})),
        ),
        (
            "/:namespace/:identifier",
            json!({"identity_list": listed("1000000000017")}),
        ),
        ("/:namespace/:identifier/accessors", key.clone()),
        (
            "/:namespace/:identifier/accessor_revoke",
            json!({"accessor_id": "a-own"}),
        ),
        (
            "/:namespace/:identifier/accessor_revoke_and_add",
            with_key(json!({"revoking_accessor_id": "a-own"})),
        ),
        ("/:namespace/:identifier/association_revoke", json!({})),
        ("/:namespace/:identifier/mode", json!({})),
    ]
}

/// Names of the operations of [`bodies`], and their transactions.
const OPERATIONS: [(&str, &str); 7] = [
    ("create_identity", "RegisterIdentity"),
    ("add_identity", "AddIdentity"),
    ("add_accessor", "AddAccessor"),
    ("revoke_accessor", "RevokeAccessor"),
    ("revoke_and_add_accessor", "RevokeAndAddAccessor"),
    ("revoke_identity_association", "RevokeIdentityAssociation"),
    ("upgrade_identity_mode", "UpdateIdentityModeList"),
];

fn listed(identifier: &str) -> Value {
    json!([{"namespace": "citizen_id", "identifier": identifier}])
}

/// A key that is made once.
fn key() -> &'static PKey<Private> {
    static KEY: std::sync::OnceLock<PKey<Private>> = std::sync::OnceLock::new();
    KEY.get_or_init(|| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap())
}

fn pem() -> String {
    String::from_utf8(key().public_key_to_pem().unwrap()).unwrap()
}

/// The first object with the members of the second.
fn with(mut body: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// An IdP, and what its ledger knows of the person.
struct Idp {
    node: TestNode,
    /// The version of the API that its client speaks.
    version: ApiVersion,
}

impl Idp {
    /// An IdP on a platform that does not know the person.
    fn new() -> Self {
        let node = TestNode::new("idp1", Role::Idp);
        node.ledger.set_height(60);
        let version = ApiVersion::V6;
        let idp = Self { node, version };
        for person in [PERSON, "1000000000017"] {
            idp.declared("idp1", person, Value::Null);
            idp.group(person, Value::Null);
            idp.at_idps(person, &[]);
        }
        idp.accessor("a-new", Value::Null);
        idp.accessor("a-own", json!("idp1"));
        for (_, purpose) in OPERATIONS {
            let modes = json!({"allowed_mode_list": [2, 3]});
            let params = json!({"purpose": purpose});
            idp.node.ledger.answer("GetAllowedModeList", params, modes);
        }
        idp
    }

    /// One that has the person in these modes, for the operation at this place of
    /// [`bodies`]: another IdP has it instead of the one that creates it.
    fn knowing(operation: usize, modes: &[u8]) -> Self {
        let idp = Self::new();
        idp.group(PERSON, json!(GROUP));
        idp.at_idps(PERSON, &[modes]);
        if operation != 0 {
            idp.declared("idp1", PERSON, json!(modes));
        }
        idp
    }

    fn identity(person: &str) -> Value {
        json!({
            "identity_namespace": "citizen_id",
            "identity_identifier_hash": identifier_hash(person),
        })
    }

    fn declared(&self, idp_id: &str, person: &str, modes: Value) {
        let params = with(Self::identity(person), json!({"node_id": idp_id}));
        let found = match modes {
            Value::Null => Value::Null,
            modes => json!({"ial": 2.3, "lial": null, "laal": null, "mode_list": modes}),
        };
        let ledger = &self.node.ledger;
        ledger.answer("GetIdentityInfo", params, found);
    }

    fn group(&self, person: &str, code: Value) {
        let found = match code {
            Value::Null => Value::Null,
            code => json!({"reference_group_code": code}),
        };
        let ledger = &self.node.ledger;
        ledger.answer("GetReferenceGroupCode", Self::identity(person), found);
    }

    fn at_idps(&self, person: &str, modes: &[&[u8]]) {
        let idps: Vec<Value> = modes
            .iter()
            .map(|modes| json!({"node_id": "idp2", "mode_list": modes}))
            .collect();
        let ledger = &self.node.ledger;
        ledger.answer("GetIdpNodes", Self::identity(person), json!({"node": idps}));
    }

    fn accessor(&self, id: &str, owner: Value) {
        let found = match owner {
            Value::Null => Value::Null,
            owner => json!({
                "accessor_public_key": pem(), "accessor_type": "RSA", "active": true,
                "owner_node_id": owner, "creation_block_height": 1, "creation_chain_id": "c",
            }),
        };
        let ledger = &self.node.ledger;
        ledger.answer("GetAccessorKey", json!({"accessor_id": id}), found);
    }

    /// A call as HTTP makes it.
    async fn call(&self, path: &str, body: Value) -> Result<CallOutcome, Error> {
        let path = format!("/identity{path}");
        let post = crate::api::Method::Post;
        self.call_to(post, &path, body).await
    }

    async fn call_to(
        &self,
        method: crate::api::Method,
        path: &str,
        body: Value,
    ) -> Result<CallOutcome, Error> {
        let mut all = versions::of(self.version, &endpoints()).into_iter();
        let endpoint = all.find(|endpoint| endpoint.method == method && endpoint.path == path);
        let endpoint = endpoint.unwrap_or_else(|| panic!("there is no {path}"));
        let reply = json!({"reference_id": "ref", "callback_url": "http://client/"});
        let body = with(reply, body);
        if let Some(schema) = &endpoint.body {
            schema.check(&body, codes::BODY_VALIDATION_FAILED)?;
        }
        let path = [
            ("namespace", "citizen_id"),
            ("identifier", PERSON),
            ("reference_id", "ref"),
        ];
        let path = path.map(|(name, value)| (name.to_owned(), Value::from(value)));
        let run = endpoint.run;
        run(RawCall {
            context: self.node.context.clone(),
            node_id: "idp1".to_owned(),
            version: self.version,
            caller: Caller::new("test"),
            path: Map::from_iter(path),
            query: json!({}),
            body,
        })
        .await
    }

    /// Number of the error that a call is answered with.
    async fn refused(&self, path: &str, body: Value) -> u32 {
        match self.call(path, body).await {
            Err(error) => error.code().number,
            Ok(outcome) => panic!("{path} is not refused: {outcome:?}"),
        }
    }

    /// What a call that is answered 202 stores, not yet stored, and the answer.
    async fn accepted(&self, path: &str, body: Value) -> (Accept, Value) {
        match self.call(path, body).await {
            Ok(CallOutcome::Accepted { accept, body, .. }) => (accept, body.unwrap_or_default()),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// The same, stored: the transaction on its way, and the answer.
    async fn started(&self, path: &str, body: Value) -> (Transact, Value) {
        let (accept, answer) = self.accepted(path, body).await;
        assert!(self.node.accept(&accept));
        assert!(accept.jobs.is_empty(), "{:?}", accept.jobs);
        (only_transaction(&accept.writes), answer)
    }

    /// Runs a job and applies what it wants.
    async fn run(&self, job: &Job) -> Commit {
        self.node.is_not_ended_by_damage(job).await;
        match dispatch::run(&self.node.context, job).await.unwrap() {
            Run::Commit(commit) => {
                self.node.commit(&commit);
                commit
            }
            other => panic!("wants to run again: {other:?}"),
        }
    }

    async fn settle(&self, transact: &Transact, fate: Fate) -> Commit {
        self.run(&continuation(transact, fate)).await
    }

    /// What a look-up of the reference id finds.
    async fn referenced(&self) -> Option<Value> {
        let get = crate::api::Method::Get;
        let path = "/identity_request/request_references/:reference_id";
        match self.call_to(get, path, json!({})).await.unwrap() {
            CallOutcome::Ok(body) => Some(body),
            CallOutcome::NotFound => None,
            other => panic!("{other:?}"),
        }
    }

    /// Nothing is left but transactions whose outcome the test has told.
    fn assert_nothing_is_left(&self) {
        for table in Table::ALL {
            let kept = [Table::ExpectedTransaction, Table::PrivateMessage];
            if !kept.contains(table) {
                let rows = self.node.state.names(*table);
                assert!(rows.is_empty(), "{}: {rows:?}", table.name());
            }
        }
    }
}

fn only_transaction(writes: &[Write]) -> Transact {
    let mut found = transactions(writes);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Bodies of the callbacks of a commit.
fn told(commit: &Commit) -> Vec<Value> {
    let callbacks = callbacks(&commit.jobs).into_iter();
    callbacks.map(|(_, body)| body).collect()
}

fn committed(height: u64) -> Fate {
    Fate::Committed { height }
}

fn refused_by_ledger() -> Fate {
    Fate::Refused {
        code: 25068,
        message: "no".to_owned(),
    }
}

fn reference_row() -> String {
    row("idp1", "ref")
}
