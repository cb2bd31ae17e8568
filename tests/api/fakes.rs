//! What the API needs behind it, without a node.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use erawan::config::*;
use erawan::crypto::{Crypto, KeyUse};
use erawan::error::{Error, codes};
use erawan::http::{
    CallbackOwner, Operations, Outcome, Readiness, ServerHandle, ServerOptions, Status, serve,
};
use erawan::job::{Column, Commit, Job, JobId, Millis, Row, Table};
use erawan::ledger::{Broadcast, Inclusion, Ledger, TransactionHash};
use erawan::node::{Context, QueueLimit, Role};
use erawan::store::*;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

/// Calls that an API works on at one time.
pub const MOST_CALLS: usize = 3;

/// Connections that an API has open at one time.
pub const MOST_CONNECTIONS: usize = 24;

/// A configuration for tests; the API listens on a free port.
pub fn config() -> Config {
    let key = |name: &str| KeyFile {
        path: name.into(),
        passphrase: Some("a secret passphrase".to_owned().into()),
    };
    let base = Config::for_test("rp1");
    Config {
        environment: Environment::Production,
        api: Api {
            port: 0,
            config_routes: true,
            ..base.api
        },
        redis: Redis {
            password: Some("a secret password".to_owned().into()),
            ..base.redis
        },
        keys: Keys::Files {
            signing: key("signing"),
            signing_master: key("master"),
            encryption: key("encryption"),
            behind_proxy: BehindProxyKeys::default(),
        },
        ..base
    }
}

type Answers = Box<dyn Fn(&str, &Value) -> Result<Option<Value>, Error> + Send + Sync>;

/// A ledger that answers queries from a function.
pub struct FakeLedger {
    answers: Mutex<Answers>,
}

impl FakeLedger {
    /// Finds nothing.
    pub fn empty() -> Arc<Self> {
        let fake = Self {
            answers: Mutex::new(Box::new(|_, _| Ok(None))),
        };
        Arc::new(fake)
    }

    /// Answers from now on with this.
    pub fn answer_with(
        &self,
        answers: impl Fn(&str, &Value) -> Result<Option<Value>, Error> + Send + Sync + 'static,
    ) {
        *self.answers.lock() = Box::new(answers);
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn query(
        &self,
        method: &str,
        params: Value,
        _height: Option<u64>,
    ) -> Result<Option<Arc<Value>>, Error> {
        let answer = (self.answers.lock())(method, &params)?;
        Ok(answer.map(Arc::new))
    }

    async fn broadcast(&self, _transaction: &[u8]) -> Result<Broadcast, Error> {
        Err(codes::TENDERMINT_NOT_CONNECTED.into())
    }

    async fn transaction(&self, _hash: &TransactionHash) -> Result<Option<Inclusion>, Error> {
        Ok(None)
    }

    async fn waiting_transactions(&self) -> Result<u64, Error> {
        Ok(0)
    }

    fn chain_id(&self) -> Result<String, Error> {
        Ok("test-chain-NDID".to_owned())
    }

    fn height(&self) -> u64 {
        181
    }

    fn era(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

/// A store in memory that takes what it is given, unless told otherwise.
#[derive(Default)]
pub struct FakeStore {
    /// What `accept` was given.
    pub accepted: Mutex<Vec<Accept>>,
    /// While true, `accept` does not answer.
    pub is_silent: watch::Sender<bool>,
    /// What `accept` answers in place of storing.
    pub refusal: Mutex<Option<Result<Accepted, StoreError>>>,
    /// Columns of rows.
    pub columns: Mutex<HashMap<(Table, Row, Column), Vec<u8>>>,
}

#[async_trait]
impl State for FakeStore {
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let key = (table, row.to_owned(), column.to_owned());
        Ok(self.columns.lock().get(&key).cloned())
    }

    async fn columns(&self, _: Table, _: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        Ok(Vec::new())
    }

    async fn get_many(&self, _: Table, rows: &[Row]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        Ok(vec![None; rows.len()])
    }

    async fn rows(&self, _: Table, _: &str) -> Result<Vec<Row>, StoreError> {
        Ok(Vec::new())
    }
}

fn not_asked<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable(
        "the API does not ask this".to_owned(),
    ))
}

#[async_trait]
impl Store for FakeStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        let mut is_silent = self.is_silent.subscribe();
        is_silent.wait_for(|is_silent| !is_silent).await.unwrap();
        if let Some(refusal) = self.refusal.lock().clone() {
            return refusal;
        }
        let jobs = accept.jobs.iter().enumerate().map(|(index, new)| Job {
            new: new.clone(),
            seq: index as u64 + 1,
            prev: 0,
            attempt: 1,
            tries: 0,
            strikes: 0,
            parked: false,
            accepted_at: Millis::now(),
        });
        let jobs = jobs.collect();
        self.accepted.lock().push(accept);
        Ok(Accepted::Stored {
            jobs,
            duplicates: Vec::new(),
        })
    }

    async fn commit(&self, _: Attempt, _: Commit) -> Result<Committed, StoreError> {
        not_asked()
    }

    async fn reschedule(&self, _: Attempt, _: Millis, _: &str) -> Result<bool, StoreError> {
        not_asked()
    }

    async fn strike(&self, _: Attempt, _: Millis, _: &str) -> Result<Struck, StoreError> {
        not_asked()
    }

    async fn park(&self, _: Attempt, _: &str) -> Result<bool, StoreError> {
        not_asked()
    }

    async fn operate(&self, _: Operation) -> Result<Operated, StoreError> {
        not_asked()
    }

    async fn audit(&self, _: usize) -> Result<Vec<Audited>, StoreError> {
        not_asked()
    }

    async fn last_errors(&self, _: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        not_asked()
    }

    async fn parked_ids(&self, _: usize) -> Result<Vec<JobId>, StoreError> {
        not_asked()
    }

    async fn release(&self, _: Epoch, _: &[Release]) -> Result<Vec<Released>, StoreError> {
        not_asked()
    }

    async fn claim(&self, _: Attempt) -> Result<bool, StoreError> {
        not_asked()
    }

    async fn open_jobs(&self, _: u64, _: usize) -> Result<Vec<Job>, StoreError> {
        not_asked()
    }

    async fn open_ids(&self, _: u64, _: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        not_asked()
    }

    async fn jobs(&self, _: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        not_asked()
    }

    async fn failed_jobs(&self, _: u64, _: usize) -> Result<Vec<(u64, FailedJob)>, StoreError> {
        not_asked()
    }

    async fn failed_job(&self, _: JobId) -> Result<Option<FailedJob>, StoreError> {
        not_asked()
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        not_asked()
    }

    async fn acquire_lease(&self, _: &str, _: Duration, _: Epoch) -> Result<Lease, StoreError> {
        not_asked()
    }

    async fn release_lease(&self, _: &str) -> Result<(), StoreError> {
        not_asked()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Has no keys.
pub struct NoKeys;

#[async_trait]
impl Crypto for NoKeys {
    fn is_local(&self) -> bool {
        true
    }

    async fn sign(&self, _: &str, _: KeyUse, _: &str, _: u64, _: &[u8]) -> Result<Vec<u8>, Error> {
        Err(codes::NODE_KEY_NOT_FOUND.into())
    }

    async fn decrypt(&self, _: &str, _: &str, _: u64, _: &[u8]) -> Result<Vec<u8>, Error> {
        Err(codes::NODE_KEY_NOT_FOUND.into())
    }
}

/// A call that reached the operations.
#[derive(Debug, Clone, PartialEq)]
pub struct Reached {
    /// Which operation.
    pub operation: &'static str,
    /// The acting node; empty where there is none.
    pub node_id: String,
    /// What the path and the query gave.
    pub arguments: Vec<String>,
    /// The body; null where there is none.
    pub body: Value,
}

/// Answers every operation alike and writes down what reached it.
pub struct FakeOperations {
    /// What every operation returns.
    pub outcome: Mutex<Result<Outcome, Error>>,
    /// What was called.
    pub reached: Mutex<Vec<Reached>>,
}

impl FakeOperations {
    fn reach(
        &self,
        operation: &'static str,
        node_id: &str,
        arguments: &[&str],
        body: Value,
    ) -> Result<Outcome, Error> {
        self.reached.lock().push(Reached {
            operation,
            node_id: node_id.to_owned(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            body,
        });
        self.outcome.lock().clone()
    }
}

fn or_dash(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

type Answered = Result<Outcome, Error>;

#[async_trait]
#[rustfmt::skip]
impl Operations for FakeOperations {
    async fn create_request(&self, node: &str, namespace: &str, identifier: &str, body: Value) -> Answered {
        self.reach("create_request", node, &[namespace, identifier], body)
    }
    async fn request_reference(&self, node: &str, reference: &str) -> Answered {
        self.reach("request_reference", node, &[reference], Value::Null)
    }
    async fn request_data(&self, node: &str, request: &str) -> Answered {
        self.reach("request_data", node, &[request], Value::Null)
    }
    async fn remove_request_data(&self, node: &str, request: Option<&str>) -> Answered {
        self.reach("remove_request_data", node, &[or_dash(request)], Value::Null)
    }
    async fn close_request(&self, node: &str, body: Value) -> Answered {
        self.reach("close_request", node, &[], body)
    }
    async fn idp_response(&self, node: &str, body: Value) -> Answered {
        self.reach("idp_response", node, &[], body)
    }
    async fn idp_error_response(&self, node: &str, body: Value) -> Answered {
        self.reach("idp_error_response", node, &[], body)
    }
    async fn padded_hash(&self, node: &str, request: &str, accessor: &str) -> Answered {
        self.reach("padded_hash", node, &[request, accessor], Value::Null)
    }
    async fn offer_service(&self, node: &str, service: &str, body: Value) -> Answered {
        self.reach("offer_service", node, &[service], body)
    }
    async fn offered_service(&self, node: &str, service: &str) -> Answered {
        self.reach("offered_service", node, &[service], Value::Null)
    }
    async fn as_data(&self, node: &str, request: &str, service: &str, body: Value) -> Answered {
        self.reach("as_data", node, &[request, service], body)
    }
    async fn as_error(&self, node: &str, request: &str, service: &str, body: Value) -> Answered {
        self.reach("as_error", node, &[request, service], body)
    }
    async fn payment_received(&self, node: &str, request: &str, service: &str) -> Answered {
        self.reach("payment_received", node, &[request, service], Value::Null)
    }
    async fn callback_urls(&self, owner: CallbackOwner) -> Answered {
        self.reach("callback_urls", "", &[owner.row()], Value::Null)
    }
    async fn set_callback_urls(&self, owner: CallbackOwner, body: Value) -> Answered {
        self.reach("set_callback_urls", "", &[owner.row()], body)
    }
    async fn private_messages(&self, node: &str, request: &str, kind: Option<&str>) -> Answered {
        self.reach("private_messages", node, &[request, or_dash(kind)], Value::Null)
    }
    async fn remove_private_messages(&self, node: &str, request: Option<&str>, kind: Option<&str>) -> Answered {
        self.reach("remove_private_messages", node, &[or_dash(request), or_dash(kind)], Value::Null)
    }
    async fn reload_keys(&self) -> Result<(), Error> {
        self.reach("reload_keys", "", &[], Value::Null).map(|_| ())
    }
}

/// A running API with its fakes.
pub struct Node {
    /// Behind the look-ups.
    pub ledger: Arc<FakeLedger>,
    /// Behind everything that is stored.
    pub store: Arc<FakeStore>,
    /// Behind the operations.
    pub operations: Arc<FakeOperations>,
    /// What the gate sees.
    pub readiness: Arc<Mutex<Readiness>>,
    /// Jobs that were announced.
    pub submitted: Arc<Mutex<Vec<Job>>>,
    /// The server.
    pub server: ServerHandle,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Node {
    /// Starts an API for a node of this role; its id is the role's name and `1`.
    pub async fn start(role: Role) -> Self {
        Self::start_with(role, |_| ()).await
    }

    /// Starts an API with a configuration of its own.
    pub async fn start_with(role: Role, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        config.node_id = format!("{}1", role.as_str());
        change(&mut config);
        let ledger = FakeLedger::empty();
        let store = Arc::new(FakeStore::default());
        let operations = Arc::new(FakeOperations {
            outcome: Mutex::new(Ok(Outcome::NoContent)),
            reached: Mutex::default(),
        });
        let readiness = Arc::new(Mutex::new(Readiness::READY));
        let submitted = Arc::new(Mutex::new(Vec::new()));
        let queue = Arc::new(QueueLimit::new(config.queue));
        let context = Context {
            config: Arc::new(config),
            role,
            ledger: ledger.clone(),
            state: store.clone(),
            crypto: Arc::new(NoKeys),
            held: Arc::default(),
        };
        let (gate, announced) = (readiness.clone(), submitted.clone());
        let server = serve(ServerOptions {
            context,
            store: store.clone(),
            operations: operations.clone(),
            readiness: Arc::new(move || *gate.lock()),
            queue,
            status: Arc::new(Status::default),
            submit: Arc::new(move |jobs| announced.lock().extend(jobs)),
            address: "127.0.0.1:0".parse().unwrap(),
            threads: 1,
            most_calls: MOST_CALLS,
            most_connections: MOST_CONNECTIONS,
        })
        .await
        .unwrap();
        let address = server.address();
        Self {
            ledger,
            store,
            operations,
            readiness,
            submitted,
            server,
            address,
        }
    }

    /// What every operation returns from now on.
    pub fn will_return(&self, outcome: Result<Outcome, Error>) {
        *self.operations.outcome.lock() = outcome;
    }

    /// What reached the operations since the last time.
    pub fn take_reached(&self) -> Vec<Reached> {
        std::mem::take(&mut *self.operations.reached.lock())
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
