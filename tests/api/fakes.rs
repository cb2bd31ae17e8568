//! What the API needs behind it, without a node.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use erawan::admission::QueueLimit;
use erawan::api::{CallOutcome, Endpoint, EndpointHandler, RawCall};
use erawan::config::*;
use erawan::context::{Context, Role};
use erawan::crypto::{Crypto, KeyUse};
use erawan::error::{Error, codes};
use erawan::flows::endpoints;
use erawan::http::{
    PATIENCE, ProcessStatus, Readiness, ReloadKeys, ServerHandle, ServerOptions, WaitingCalls,
    own_endpoints, serve,
};
use erawan::job::{Attempt, Column, Commit, Epoch, Job, JobId, Millis, Row, Table};
use erawan::ledger::types::NodeKey;
use erawan::ledger::{Broadcast, Inclusion, Ledger, TransactionHash};
use erawan::store::*;
use futures_util::FutureExt;
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
    /// What `accept` answers instead of storing.
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

    async fn commit(&self, _: Attempt, _: Arc<Commit>) -> Result<Committed, StoreError> {
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

    async fn known_sources(&self, _: &[String]) -> Result<Vec<bool>, StoreError> {
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

    async fn sign(&self, _: &str, _: KeyUse, _: &NodeKey, _: &[u8]) -> Result<Vec<u8>, Error> {
        Err(codes::NODE_KEY_NOT_FOUND.into())
    }

    async fn decrypt(&self, _: &str, _: &NodeKey, _: &[u8]) -> Result<Vec<u8>, Error> {
        Err(codes::NODE_KEY_NOT_FOUND.into())
    }
}

/// A call that reached its operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Reached {
    /// Method and path, as in the list of endpoints.
    pub operation: String,
    /// The acting node.
    pub node_id: String,
    /// Parameters of the path, in order.
    pub arguments: Vec<String>,
    /// The query string.
    pub query: Value,
    /// The body.
    pub body: Value,
}

/// Stands in for the operations: answers every call alike and writes down what
/// reached it.
pub struct FakeOperations {
    /// What every operation returns.
    pub outcome: Mutex<Result<CallOutcome, Error>>,
    /// What was called.
    pub reached: Mutex<Vec<Reached>>,
}

impl FakeOperations {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            outcome: Mutex::new(Ok(CallOutcome::NoContent)),
            reached: Mutex::default(),
        })
    }

    fn reach(&self, reached: Reached) -> Result<CallOutcome, Error> {
        self.reached.lock().push(reached);
        self.outcome.lock().clone()
    }

    /// The endpoints of the node with these operations. Plain look-ups of the
    /// ledger, and what is refused, stay as they are.
    fn endpoints(self: &Arc<Self>) -> Vec<Endpoint> {
        self.in_place_of(|endpoint| match endpoint.group() {
            "utility" => endpoint.path.starts_with("/utility/private_message"),
            group => group != "identity",
        })
    }

    /// The endpoints of the node, with these operations for some of them.
    fn in_place_of(self: &Arc<Self>, which: impl Fn(&Endpoint) -> bool) -> Vec<Endpoint> {
        let endpoints = endpoints::all().into_iter();
        let endpoints = endpoints.map(|endpoint| {
            if !which(&endpoint) {
                return endpoint;
            }
            let operations = self.clone();
            let operation = format!("{} {}", endpoint.method.as_str(), endpoint.path);
            let run: EndpointHandler = Arc::new(move |call: RawCall| {
                let outcome = operations.reach(Reached {
                    operation: operation.clone(),
                    node_id: call.node_id,
                    arguments: call.path.values().map(text).collect(),
                    query: call.query,
                    body: call.body,
                });
                std::future::ready(outcome).boxed()
            });
            Endpoint { run, ..endpoint }
        });
        endpoints.collect()
    }

    fn reload_keys(self: &Arc<Self>) -> ReloadKeys {
        let operations = self.clone();
        Arc::new(move || {
            let outcome = operations.reach(Reached {
                operation: "GET /reinit_node_keys".to_owned(),
                node_id: String::new(),
                arguments: Vec::new(),
                query: Value::Null,
                body: Value::Null,
            });
            std::future::ready(outcome.map(|_| ())).boxed()
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
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
    /// What it would see if it looked; `None`: the same.
    pub readiness_now: Arc<Mutex<Option<Readiness>>>,
    /// Jobs that were announced.
    pub submitted: Arc<Mutex<Vec<Job>>>,
    /// The endpoints of the process itself.
    pub own: Vec<Endpoint>,
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
        Self::serving(role, change, |operations| operations.endpoints()).await
    }

    /// Starts an API all of whose operations are fakes.
    pub async fn start_recording(role: Role, change: impl FnOnce(&mut Config)) -> Self {
        Self::serving(role, change, |operations| operations.in_place_of(|_| true)).await
    }

    /// Starts an API whose calls do what they do in a node.
    pub async fn start_real(role: Role) -> Self {
        Self::serving(role, |_| (), |_| endpoints::all()).await
    }

    async fn serving(
        role: Role,
        change: impl FnOnce(&mut Config),
        endpoints: impl FnOnce(&Arc<FakeOperations>) -> Vec<Endpoint>,
    ) -> Self {
        let mut config = config();
        config.node_id = format!("{}1", role.as_str());
        change(&mut config);
        let ledger = FakeLedger::empty();
        let store = Arc::new(FakeStore::default());
        let operations = FakeOperations::new();
        let readiness = Arc::new(Mutex::new(Readiness::READY));
        let submitted = Arc::new(Mutex::new(Vec::new()));
        let queue = Arc::new(QueueLimit::new(config.queue, config.dormant));
        let http = erawan::crypto::external::client(&config).unwrap();
        let context = Context {
            config: Arc::new(config),
            role,
            ledger: ledger.clone(),
            state: store.clone(),
            crypto: Arc::new(NoKeys),
            http,
            future_quota: Arc::default(),
        };
        let (gate, announced) = (readiness.clone(), submitted.clone());
        let readiness_now = Arc::new(Mutex::new(None));
        let (seen, now) = (readiness.clone(), readiness_now.clone());
        let options = ServerOptions {
            context,
            store: store.clone(),
            endpoints: endpoints(&operations),
            reload_keys: operations.reload_keys(),
            readiness: Arc::new(move || *gate.lock()),
            look: Arc::new(move || {
                let looked = now.lock().unwrap_or(*seen.lock());
                Box::pin(std::future::ready(looked))
            }),
            queue,
            status: Arc::new(ProcessStatus::default),
            submit: Arc::new(move |jobs| announced.lock().extend(jobs)),
            waiting: WaitingCalls::new("worker1", store.clone(), PATIENCE),
            addresses: vec!["127.0.0.1:0".parse().unwrap()],
            threads: 1,
            most_calls: MOST_CALLS,
            most_connections: MOST_CONNECTIONS,
        };
        let own = own_endpoints(&options);
        let server = serve(options).await.unwrap();
        let address = server.address();
        Self {
            ledger,
            store,
            operations,
            readiness,
            readiness_now,
            submitted,
            own,
            server,
            address,
        }
    }

    /// What every operation returns from now on.
    pub fn will_return(&self, outcome: Result<CallOutcome, Error>) {
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
