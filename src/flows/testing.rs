//! What tests of handlers run against: a ledger that answers from the
//! recordings and from scripts, a state in memory, and a node with the
//! recorded keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Padding;
use openssl::sign::Signer;
use parking_lot::Mutex;
use serde_json::Value;

use crate::config::{Config, Mq};
use crate::context::{Context, Role};
use crate::crypto::{Crypto, KeyUse};
use crate::delivery::callback::{self, Callback, Target};
use crate::delivery::transaction::{Expected, Fate, Settled, Transact};
use crate::error::{Error, codes};
use crate::http_client::HttpClient;
use crate::job::{Column, Commit, Guard, Job, Kind, Millis, NewJob, Row, Run, Table, Write, codec};
use crate::ledger::types::NodeKey;
use crate::ledger::{Broadcast, Inclusion, Ledger, TransactionHash};
use crate::messaging::Received;
use crate::mq::message::Message;
use crate::store::{Accept, State, StoreError};

/// Chain of the recordings.
pub(crate) const CHAIN: &str = "test-chain-NDID";

/// A recorded file of the mode 1 network.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wire/vectors/mode1")
        .join(name)
}

/// The lines of a recorded file.
pub(crate) fn recorded(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fixture(name)).expect("the recording is in the repository");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("recordings are JSON lines"))
        .collect()
}

/// The records of a scenario in `http.jsonl`.
pub(crate) fn scenario(name: &str) -> Vec<Value> {
    let records = recorded("http.jsonl");
    let found: Vec<Value> = records
        .into_iter()
        .filter(|record| record["scenario"] == name)
        .collect();
    assert!(!found.is_empty(), "no scenario {name}");
    found
}

struct RecordedAnswer {
    height: u64,
    method: String,
    params: Value,
    value: Option<Arc<Value>>,
}

struct ScriptedAnswer {
    method: String,
    params: Value,
    from_height: u64,
    value: Option<Arc<Value>>,
}

/// A question the ledger was asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub method: String,
    pub params: Value,
    pub height: Option<u64>,
}

/// Answers from scripts first, then from the recordings.
#[derive(Default)]
pub(crate) struct FakeLedger {
    height: AtomicU64,
    unavailable: AtomicBool,
    without_chain: AtomicBool,
    recorded: Vec<RecordedAnswer>,
    scripted: Mutex<Vec<ScriptedAnswer>>,
    asked: Mutex<Vec<Asked>>,
}

impl FakeLedger {
    /// With every query of `queries.jsonl`.
    pub(crate) fn recorded() -> Self {
        let recorded = recorded("queries.jsonl")
            .into_iter()
            .filter(|record| record["code"] == 0)
            .map(|record| {
                let not_found = record["log"].as_str().unwrap().contains("not found");
                let value = record["value"].as_str().unwrap_or_default();
                RecordedAnswer {
                    height: record["height"].as_u64().unwrap(),
                    method: record["method"].as_str().unwrap().to_owned(),
                    params: record["params"].clone(),
                    value: (!not_found).then(|| Arc::new(serde_json::from_str(value).unwrap())),
                }
            })
            .collect();
        Self {
            recorded,
            ..Self::default()
        }
    }

    /// Sets the newest block.
    pub(crate) fn set_height(&self, height: u64) {
        self.height.store(height, Ordering::SeqCst);
    }

    /// Makes every question fail as if the ledger could not be reached.
    pub(crate) fn set_unavailable(&self, unavailable: bool) {
        self.unavailable.store(unavailable, Ordering::SeqCst);
    }

    /// Questions are answered (from the cache), but the chain is not known: the
    /// connection to the ledger is gone.
    pub(crate) fn set_without_chain(&self, without_chain: bool) {
        self.without_chain.store(without_chain, Ordering::SeqCst);
    }

    /// Answers a question, at any height; `Null`: not found.
    pub(crate) fn answer(&self, method: &str, params: Value, value: Value) {
        self.answer_from(method, params, 0, value);
    }

    /// Answers a question from a height on, in place of what was before.
    pub(crate) fn answer_from(&self, method: &str, params: Value, from_height: u64, value: Value) {
        self.scripted.lock().push(ScriptedAnswer {
            method: method.to_owned(),
            params,
            from_height,
            value: (!value.is_null()).then(|| Arc::new(value)),
        });
    }

    /// What a request looks like from a height on.
    pub(crate) fn request_from(&self, request_id: &str, from_height: u64, detail: Value) {
        let params = serde_json::json!({"request_id": request_id});
        self.answer_from("GetRequestDetail", params, from_height, detail);
    }

    /// Every question asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    fn scripted(&self, method: &str, params: &Value, height: u64) -> Option<Option<Arc<Value>>> {
        let scripted = self.scripted.lock();
        let mut found: Option<&ScriptedAnswer> = None;
        for answer in scripted.iter() {
            let fits = answer.method == method
                && answer.params == *params
                && answer.from_height <= height
                && found.is_none_or(|found| found.from_height <= answer.from_height);
            if fits {
                found = Some(answer);
            }
        }
        found.map(|answer| answer.value.clone())
    }

    /// A record's height is that of the newest block when it was answered, so
    /// the state at height h is in the first record above it.
    fn recording(&self, method: &str, params: &Value, height: u64) -> Option<Option<Arc<Value>>> {
        let mut found: Option<&RecordedAnswer> = None;
        for answer in &self.recorded {
            if answer.method != method || answer.params != *params {
                continue;
            }
            found = Some(answer);
            if answer.height > height {
                break;
            }
        }
        found.map(|answer| answer.value.clone())
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn query(
        &self,
        method: &str,
        params: Value,
        height: Option<u64>,
    ) -> Result<Option<Arc<Value>>, Error> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(Error::from(codes::TENDERMINT_NOT_CONNECTED).temporary());
        }
        self.asked.lock().push(Asked {
            method: method.to_owned(),
            params: params.clone(),
            height,
        });
        let at = height.unwrap_or_else(|| self.height());
        if let Some(answer) = self.scripted(method, &params, at) {
            return Ok(answer);
        }
        if let Some(answer) = self.recording(method, &params, at) {
            return Ok(answer);
        }
        Err(Error::with_message(
            codes::TENDERMINT_QUERY_ERROR,
            format!("the test has no answer to {method} {params}"),
        ))
    }

    async fn broadcast(&self, _transaction: &[u8]) -> Result<Broadcast, Error> {
        Ok(Broadcast {
            code: 0,
            log: String::new(),
            is_premature: false,
        })
    }

    async fn transaction(&self, _hash: &TransactionHash) -> Result<Option<Inclusion>, Error> {
        Ok(None)
    }

    async fn waiting_transactions(&self) -> Result<u64, Error> {
        Ok(0)
    }

    fn chain_id(&self) -> Result<String, Error> {
        if self.without_chain.load(Ordering::SeqCst) {
            return Err(Error::from(codes::TENDERMINT_NOT_CONNECTED).temporary());
        }
        Ok(CHAIN.to_owned())
    }

    fn height(&self) -> u64 {
        self.height.load(Ordering::SeqCst)
    }

    fn era(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

type Columns = BTreeMap<Column, Vec<u8>>;

/// Rows in memory.
#[derive(Default)]
pub(crate) struct MemoryState {
    rows: Mutex<BTreeMap<(Table, Row), Columns>>,
    damage: Mutex<Option<Damage>>,
}

/// What one read, after some others, meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoilt {
    /// The store cannot read it.
    Unreadable,
    /// It is there, but means nothing.
    Rubbish,
}

struct Damage {
    reads_before: usize,
    how: Spoilt,
}

const RUBBISH: &[u8] = b"\xffrubbish";

impl MemoryState {
    /// Spoils what will be read after so many other reads.
    fn spoil(&self, reads_before: usize, how: Spoilt) {
        *self.damage.lock() = Some(Damage { reads_before, how });
    }

    /// Whether something spoilt was read since; nothing is spoilt any more.
    fn mend(&self) -> bool {
        self.damage.lock().take().is_none()
    }

    /// Whether this read meets rubbish.
    fn look(&self) -> Result<bool, StoreError> {
        let mut damage = self.damage.lock();
        match damage.take() {
            Some(Damage {
                reads_before: 0,
                how,
            }) => match how {
                Spoilt::Unreadable => Err(StoreError::Corrupt("damaged".to_owned())),
                Spoilt::Rubbish => Ok(true),
            },
            Some(Damage { reads_before, how }) => {
                let reads_before = reads_before - 1;
                *damage = Some(Damage { reads_before, how });
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Applies state changes.
    pub(crate) fn apply(&self, writes: &[Write]) {
        let mut rows = self.rows.lock();
        for write in writes.iter().cloned() {
            match write {
                Write::Put {
                    table,
                    row,
                    column,
                    value,
                } => {
                    rows.entry((table, row)).or_default().insert(column, value);
                }
                Write::Delete { table, row } => {
                    rows.remove(&(table, row));
                }
                Write::DeleteColumn { table, row, column } => {
                    let key = (table, row);
                    if let Some(columns) = rows.get_mut(&key) {
                        columns.remove(&column);
                        if columns.is_empty() {
                            rows.remove(&key);
                        }
                    }
                }
            }
        }
    }

    /// Whether a guard holds.
    pub(crate) fn holds(&self, guard: &Guard) -> bool {
        let rows = self.rows.lock();
        match guard {
            Guard::Absent { table, row } => !rows.contains_key(&(*table, row.clone())),
            Guard::Equals { table, row, value } => {
                let found = rows
                    .get(&(*table, row.clone()))
                    .and_then(|columns| columns.get(""));
                found == value.as_ref()
            }
        }
    }

    /// Names of all rows of a table.
    pub(crate) fn names(&self, table: Table) -> Vec<Row> {
        let rows = self.rows.lock();
        rows.keys()
            .filter(|(of, _)| *of == table)
            .map(|(_, row)| row.clone())
            .collect()
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
        let is_rubbish = self.look()?;
        let rows = self.rows.lock();
        let columns = rows.get(&(table, row.to_owned()));
        let value = columns.and_then(|columns| columns.get(column)).cloned();
        Ok(value.map(|value| match is_rubbish {
            true => RUBBISH.to_vec(),
            false => value,
        }))
    }

    async fn columns(&self, table: Table, row: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        let is_rubbish = self.look()?;
        let rows = self.rows.lock();
        let columns = rows.get(&(table, row.to_owned())).cloned();
        let mut columns: Vec<_> = columns.unwrap_or_default().into_iter().collect();
        if is_rubbish {
            for (_, value) in &mut columns {
                *value = RUBBISH.to_vec();
            }
        }
        Ok(columns)
    }

    async fn get_many(
        &self,
        table: Table,
        rows: &[Row],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut values = Vec::new();
        for row in rows {
            values.push(self.get(table, row, "").await?);
        }
        Ok(values)
    }

    async fn rows(&self, table: Table, prefix: &str) -> Result<Vec<Row>, StoreError> {
        self.look()?;
        let names = self.names(table);
        Ok(names
            .into_iter()
            .filter(|row| row.starts_with(prefix))
            .collect())
    }
}

/// The recorded private keys, `RSASSA_PKCS1_V1_5_SHA_256` and `RSAES_PKCS1_V1_5`.
pub(crate) struct RecordedKeys;

impl RecordedKeys {
    fn key(node_id: &str, name: &str) -> Result<PKey<Private>, Error> {
        let path = fixture("keys").join(format!("{node_id}.{name}.pem"));
        let pem = std::fs::read(path).map_err(|_| codes::NODE_KEY_NOT_FOUND)?;
        Ok(PKey::private_key_from_pem(&pem).expect("recorded keys are PEM"))
    }
}

#[async_trait]
impl Crypto for RecordedKeys {
    fn is_local(&self) -> bool {
        true
    }

    async fn sign(
        &self,
        node_id: &str,
        key_use: KeyUse,
        key: &NodeKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        assert_eq!(key.algorithm, "RSASSA_PKCS1_V1_5_SHA_256");
        let name = match key_use {
            KeyUse::Signing => "signing",
            KeyUse::SigningMaster => "master",
        };
        let key = Self::key(node_id, name)?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        Ok(signer.sign_oneshot_to_vec(message).unwrap())
    }

    async fn decrypt(
        &self,
        node_id: &str,
        key: &NodeKey,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, Error> {
        assert_eq!(key.algorithm, "RSAES_PKCS1_V1_5");
        let key = Self::key(node_id, "encryption")?.rsa().unwrap();
        let mut plain = vec![0; key.size() as usize];
        let length = key
            .private_decrypt(encrypted, &mut plain, Padding::PKCS1)
            .map_err(|_| codes::DECRYPT_MESSAGE_ERROR)?;
        plain.truncate(length);
        Ok(plain)
    }
}

/// The configuration of a node, with the recorded address of rp1's message queue.
pub(crate) fn config(node_id: &str) -> Config {
    let base = Config::for_test(node_id);
    Config {
        mq: Mq {
            contact_ip: "127.0.0.1".to_owned(),
            binding_port: 5100,
            ..base.mq
        },
        ..base
    }
}

/// A node whose handlers are tested.
pub(crate) struct TestNode {
    /// Given to handlers.
    pub context: Context,
    /// The ledger behind it.
    pub ledger: Arc<FakeLedger>,
    /// The state behind it.
    pub state: Arc<MemoryState>,
}

impl TestNode {
    /// A node of the recorded network (`rp1`, `idp1`, `idp2`, `as1`).
    pub(crate) fn new(node_id: &str, role: Role) -> Self {
        let ledger = Arc::new(FakeLedger::recorded());
        let state = Arc::new(MemoryState::default());
        let config = Arc::new(config(node_id));
        let context = Context {
            http: HttpClient::new(&config, |client| client).unwrap(),
            config,
            role,
            ledger: ledger.clone(),
            state: state.clone(),
            crypto: Arc::new(RecordedKeys),
            future_quota: Arc::default(),
        };
        Self {
            context,
            ledger,
            state,
        }
    }

    /// Stores an accept as a store would; false when a guard refuses.
    pub(crate) fn accept(&self, accept: &Accept) -> bool {
        if !accept.guards.iter().all(|guard| self.state.holds(guard)) {
            return false;
        }
        self.state.apply(&accept.writes);
        true
    }

    /// Runs a job whose reads meet damage, one after the other: none of it
    /// may end the job, or be told to anybody.
    pub(crate) async fn is_not_ended_by_damage(&self, job: &Job) {
        let told = |commit: &Commit| -> Vec<String> {
            let callbacks = callbacks(&commit.jobs).into_iter();
            let kinds = callbacks.map(|(_, body)| body["type"].to_string());
            kinds.collect()
        };
        let run = async || crate::flows::dispatch::run(&self.context, job).await;
        let sound = match run().await {
            Ok(Run::Commit(commit)) => commit,
            other => panic!("the job does not end by itself: {other:?}"),
        };
        let kind = job.kind().name();
        for how in [Spoilt::Unreadable, Spoilt::Rubbish] {
            for read in 0.. {
                self.state.spoil(read, how);
                let ran = run().await;
                if !self.state.mend() {
                    break;
                }
                match ran {
                    Err(error) => assert!(error.is_unreadable(), "{kind}: {error}"),
                    // Only that something was there mattered.
                    Ok(Run::Commit(commit)) if how == Spoilt::Rubbish => {
                        assert_eq!(commit.outcome, sound.outcome, "{kind}, read {read}");
                        assert_eq!(told(&commit), told(&sound), "{kind}, read {read}");
                    }
                    Ok(_) => panic!("{kind} is ended by read {read} ({how:?})"),
                }
            }
        }
    }

    /// Applies a commit as a store would.
    pub(crate) fn commit(&self, commit: &Commit) {
        self.state.apply(&commit.writes);
    }
}

/// A job as handlers get it.
pub(crate) fn job(new: NewJob) -> Job {
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

/// The job that `mq.receive` makes of a message.
pub(crate) fn message_job(kind: Kind, receiver: &str, message: &Message) -> Job {
    let received = Received {
        receiver_node_id: receiver.to_owned(),
        message_id: format!("{}:1", message.sender()),
        message: serde_json::to_string(message).unwrap(),
    };
    let key = crate::job::request_key(message.request_id());
    job(NewJob::new(kind, key, &received))
}

/// The continuation of a transaction that settled like this.
pub(crate) fn continuation(transact: &Transact, fate: Fate) -> Job {
    let then = transact.then.as_ref().expect("it has a continuation");
    let settled = Settled {
        hash: "00".to_owned(),
        fate,
        context: then.context.clone(),
    };
    job(NewJob::new(then.kind, then.key.as_str(), &settled))
}

/// The transactions that these writes would send.
pub(crate) fn transactions(writes: &[Write]) -> Vec<Transact> {
    let mut found = Vec::new();
    for write in writes {
        if let Write::Put {
            table: Table::ExpectedTransaction,
            value,
            ..
        } = write
        {
            let expected: Expected = codec::decode(value).unwrap();
            found.push(expected.transact);
        }
    }
    found
}

/// Parameters of a transaction.
pub(crate) fn params(transact: &Transact) -> Value {
    serde_json::from_str(&transact.params).unwrap()
}

/// The callbacks among these jobs: where they go and what they say.
pub(crate) fn callbacks(jobs: &[NewJob]) -> Vec<(Target, Value)> {
    let mut found = Vec::new();
    for job in of_kind(jobs, callback::DELIVER) {
        let callback: Callback = codec::decode(&job.payload).unwrap();
        found.push((
            callback.target,
            serde_json::from_str(&callback.body).unwrap(),
        ));
    }
    found
}

/// The jobs of a kind.
pub(crate) fn of_kind(jobs: &[NewJob], kind: Kind) -> Vec<&NewJob> {
    jobs.iter().filter(|job| job.kind == kind).collect()
}
