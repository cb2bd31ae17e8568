//! A node of the recorded network for tests of messages: its keys, the recorded
//! answers of its ledger, and no state.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::config::{BehindProxyKeys, Config, KeyFile, Keys, Mq};
use crate::context::{Context, Role};
use crate::crypto::keyring::Keyring;
use crate::crypto::{Crypto, KeyUse};
use crate::error::{Error, codes};
use crate::http_client::HttpClient;
use crate::job::{Column, Job, Kind, Millis, NewJob, Row, Table};
use crate::ledger::types::NodeKey;
use crate::ledger::{Broadcast, Inclusion, Ledger, TransactionHash};
use crate::store::{State, StoreError};

/// Its era.
pub(super) const ERA: u64 = 3;

pub const CHAIN: &str = "test-chain-NDID";

/// A file of the recordings.
pub fn recording(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/wire/vectors/mode1").join(name)
}

/// The lines of a recording.
pub fn lines(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(recording(name)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Environment of a recorded node, with its message queue service at `mq_service`.
pub fn config(node_id: &str, mq_service: SocketAddr) -> Config {
    let key = |name| KeyFile {
        path: recording("keys").join(format!("{node_id}.{name}.pem")),
        passphrase: None,
    };
    let base = Config::for_test(node_id);
    Config {
        mq: Mq {
            service_host: mq_service.ip().to_string(),
            service_port: mq_service.port(),
            ..base.mq
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

/// Returns the last recorded answer, unless a test has set another.
pub struct FakeLedger {
    answers: Mutex<HashMap<(String, String), Value>>,
    pub unavailable: Mutex<bool>,
    pub height: Mutex<u64>,
}

impl FakeLedger {
    pub fn recorded() -> Arc<Self> {
        let mut answers = HashMap::new();
        for record in lines("queries.jsonl") {
            let value = record["value"].as_str().unwrap_or_default();
            let found = record["log"]
                .as_str()
                .is_none_or(|log| !log.contains("not found"));
            let key = (
                record["method"].as_str().unwrap().to_owned(),
                record["params"].to_string(),
            );
            if found && let Ok(value) = serde_json::from_str(value) {
                answers.insert(key, value);
            }
        }
        Arc::new(Self {
            answers: Mutex::new(answers),
            unavailable: Mutex::new(false),
            height: Mutex::new(1000),
        })
    }

    pub fn set(&self, method: &str, params: &Value, answer: Value) {
        let key = (method.to_owned(), params.to_string());
        self.answers.lock().insert(key, answer);
    }

    /// Changes what the ledger says of a node.
    pub fn change_node(&self, node_id: &str, change: impl FnOnce(&mut Value)) {
        let key = (
            "GetNodeInfo".to_owned(),
            json!({"node_id": node_id}).to_string(),
        );
        change(self.answers.lock().get_mut(&key).unwrap());
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
        if *self.unavailable.lock() {
            return Err(Error::from(codes::TENDERMINT_NOT_CONNECTED).temporary());
        }
        let key = (method.to_owned(), params.to_string());
        Ok(self.answers.lock().get(&key).cloned().map(Arc::new))
    }

    async fn broadcast(&self, _transaction: &[u8]) -> Result<Broadcast, Error> {
        Err(codes::UNKNOWN_ERROR.into())
    }

    async fn transaction(&self, _hash: &TransactionHash) -> Result<Option<Inclusion>, Error> {
        Err(codes::UNKNOWN_ERROR.into())
    }

    async fn waiting_transactions(&self) -> Result<u64, Error> {
        Ok(0)
    }

    fn chain_id(&self) -> Result<String, Error> {
        Ok(CHAIN.to_owned())
    }

    fn height(&self) -> u64 {
        *self.height.lock()
    }

    fn era(&self) -> Result<u64, Error> {
        Ok(ERA)
    }
}

/// State in memory, as a map of columns.
#[derive(Default)]
pub struct MemoryState {
    pub values: Mutex<HashMap<(Table, Row, Column), Vec<u8>>>,
}

impl MemoryState {
    pub fn put(&self, table: Table, row: &str, column: &str, value: &[u8]) {
        let key = (table, row.to_owned(), column.to_owned());
        self.values.lock().insert(key, value.to_vec());
    }
}

#[async_trait]
impl State for MemoryState {
    async fn get(
        &self,
        table: Table,
        row: &str,
        column: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let key = (table, row.to_owned(), column.to_owned());
        Ok(self.values.lock().get(&key).cloned())
    }

    async fn columns(&self, _: Table, _: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        Err(StoreError::Unavailable("not needed here".to_owned()))
    }

    async fn get_many(&self, _: Table, _: &[Row]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        Err(StoreError::Unavailable("not needed here".to_owned()))
    }

    async fn rows(&self, _: Table, _: &str) -> Result<Vec<Row>, StoreError> {
        Err(StoreError::Unavailable("not needed here".to_owned()))
    }
}

/// A crypto service that cannot be reached.
pub struct Away;

#[async_trait]
impl Crypto for Away {
    fn is_local(&self) -> bool {
        false
    }

    async fn sign(&self, _: &str, _: KeyUse, _: &NodeKey, _: &[u8]) -> Result<Vec<u8>, Error> {
        Err(Error::from(codes::UNKNOWN_ERROR)
            .temporary()
            .of_crypto_service())
    }

    async fn decrypt(&self, _: &str, _: &NodeKey, _: &[u8]) -> Result<Vec<u8>, Error> {
        Err(Error::from(codes::UNKNOWN_ERROR)
            .temporary()
            .of_crypto_service())
    }
}

/// A recorded node.
pub fn context(node_id: &str, role: Role, ledger: Arc<FakeLedger>) -> Context {
    let config = Arc::new(config(node_id, SocketAddr::from(([127, 0, 0, 1], 1))));
    let keyring = Keyring::load(config.clone(), &[]).unwrap();
    let http = HttpClient::new(&config, |client| client).unwrap();
    Context {
        config,
        role,
        ledger,
        state: Arc::new(MemoryState::default()),
        crypto: Arc::new(keyring),
        http,
        future_quota: Arc::default(),
    }
}

/// A job on its first run.
pub fn job<P: crate::job::Stored>(kind: Kind, payload: &P) -> Job {
    accepted(NewJob::new(kind, "key", payload))
}

/// A job as the store returns it.
pub fn accepted(new: NewJob) -> Job {
    Job {
        new,
        seq: 1,
        prev: 0,
        attempt: 1,
        tries: 0,
        strikes: 0,
        parked: false,
        accepted_at: Millis::now(),
    }
}
