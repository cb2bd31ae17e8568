//! The ledger over RPC.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::freshness::{self, Freshness, Old};
use super::rpc::answers::{
    self, Announced, Attributes, BlockBody, LedgerStatus, TransactionResult,
};
use super::rpc::{BlockSubscription, RpcError, RpcOptions, SocketHandle, SocketPool};
use super::{Block, Broadcast, ChainUpdate, Inclusion, Ledger, TransactionHash, block};
use crate::error::{Error, codes};
use crate::proto::wire;

/// The application's code for bytes it has met before. Also used where CometBFT
/// itself says so (spec/ledger.md 2.8).
const ABCI_DUPLICATE_NONCE: u32 = 84;

/// Pause between tries to get what the ledger's node is about to have.
const SOON: Duration = Duration::from_millis(20);
/// How long to wait for the results of an announced block.
const RESULTS_PATIENCE: Duration = Duration::from_secs(5);

/// What the ledger has said about itself since the sockets opened.
#[derive(Debug, Clone, Default)]
struct LedgerFacts {
    chain: Option<Chain>,
    /// Its last answer to `status`, and the time of it.
    status: Option<(Instant, LedgerStatus)>,
    height: u64,
    freshness: Freshness,
}

impl LedgerFacts {
    /// Judges an answer by the state that it came from.
    fn judge(&mut self, state: Option<u64>, asked: Option<u64>) -> Result<(), Old> {
        let chain_id = self.chain.as_ref().map(|chain| chain.id.as_str());
        let now = Instant::now();
        let judged = self.freshness.judge(chain_id, state, asked, now);
        if judged.is_err() {
            metrics::counter!("erawan_ledger_old_answers_total").increment(1);
        }
        judged
    }
}

#[derive(Debug, Clone)]
struct Chain {
    id: String,
    attributes: Attributes,
}

/// [`Ledger`] by RPC. Its tasks end when it is dropped.
pub struct LedgerClient {
    pool: Arc<SocketPool>,
    known: Arc<RwLock<LedgerFacts>>,
    introduction: JoinHandle<()>,
}

impl LedgerClient {
    /// Starts to connect and returns at once. Must be called inside a Tokio
    /// runtime.
    pub fn start(options: RpcOptions) -> Arc<Self> {
        let pool = Arc::new(SocketPool::start(options));
        let known = Arc::new(RwLock::new(LedgerFacts::default()));
        let introduction = tokio::spawn(introduce(pool.clone(), known.clone()));
        Arc::new(Self {
            pool,
            known,
            introduction,
        })
    }

    /// How many sockets of the pool are open.
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.pool.connected()
    }

    /// Where the ledger is, and the limits in use.
    pub fn options(&self) -> &RpcOptions {
        self.pool.options()
    }

    /// Calls `status`, and remembers chain id and height.
    /// # Errors
    /// Temporary when the ledger cannot be reached; 10005 for an unsupported
    /// version.
    pub async fn status(&self) -> Result<LedgerStatus, Error> {
        Ok(ask_status(&self.pool, &self.known).await?)
    }

    /// The same, but accepts an answer that another caller got no longer than
    /// `age` ago.
    /// # Errors
    /// Those of [`Self::status`].
    pub async fn status_within(&self, age: Duration) -> Result<LedgerStatus, Error> {
        let told = self.known.read().status.clone();
        match told {
            Some((at, status)) if at.elapsed() <= age => Ok(status),
            _ => self.status().await,
        }
    }

    /// The member `response` of `abci_info`, for people.
    /// # Errors
    /// Temporary when the ledger cannot be reached.
    pub async fn abci_info(&self) -> Result<Value, Error> {
        let mut answer = self.pool.call("abci_info", json!([])).await?;
        Ok(answer["response"].take())
    }

    /// A block without its results.
    ///
    /// # Errors
    /// Temporary when the ledger cannot be reached or does not have it (yet).
    pub async fn block_body(&self, height: u64) -> Result<BlockBody, Error> {
        let answer = self.call_of_block("block", height).await?;
        let body = answers::block_body("block", &answer)?;
        if body.height != height {
            let problem = format!("asked for block {height}, got {}", body.height);
            return Err(RpcError::malformed("block", problem).into());
        }
        Ok(body)
    }

    /// A block with its results. `announced`: the part that is known already.
    /// # Errors
    /// Those of [`Self::block_body`].
    pub async fn block(&self, height: u64, announced: Option<&Announced>) -> Result<Block, Error> {
        let block = match announced {
            Some(Announced {
                body,
                results: Some(results),
            }) => block::assemble(body, results.clone()),
            Some(Announced { body, .. }) => {
                block::assemble(body, self.block_results(height).await?)
            }
            None => {
                let (body, results) =
                    tokio::join!(self.block_body(height), self.block_results(height));
                block::assemble(&body?, results?)
            }
        };
        Ok(block?)
    }

    async fn block_results(&self, height: u64) -> Result<Vec<TransactionResult>, Error> {
        let results = self.call_of_block("block_results", height).await?;
        let attributes = self.attributes().await?;
        Ok(answers::block_results(&results, attributes)?)
    }

    /// Asks about a known block until the answer is there: its node may not
    /// have stored the results yet, and another node behind the same address
    /// may be a block behind.
    async fn call_of_block(&self, method: &'static str, height: u64) -> Result<Value, Error> {
        let began = Instant::now();
        loop {
            let answer = self.pool.call(method, json!([height.to_string()])).await;
            let is_early = matches!(&answer, Err(error) if is_not_there_yet(error));
            if is_early && began.elapsed() < RESULTS_PATIENCE {
                tokio::time::sleep(SOON).await;
                continue;
            }
            let waited = began.elapsed();
            if waited >= SOON && answer.is_ok() {
                tracing::debug!(height, ?waited, method, "waited for the ledger's node");
            }
            metrics::histogram!("erawan_ledger_block_call_duration_ms", "method" => method)
                .record(waited.as_secs_f64() * 1000.0);
            return Ok(answer?);
        }
    }

    /// Sets what this node had seen of the ledger before its restart. Answers
    /// from below are distrusted. The master's news replaces it.
    pub fn remember(&self, chain_id: &str, height: u64) {
        let mut known = self.known.write();
        known.freshness.remember(chain_id, height);
    }

    /// Whether the ledger's node was behind at its last answer.
    pub fn is_behind(&self) -> bool {
        self.known.read().freshness.is_old()
    }

    /// Asks the application as [`Ledger::query`] does, but accepts an answer
    /// from an older state.
    /// # Errors
    /// Those of [`Ledger::query`].
    pub async fn query_as_it_is(
        &self,
        method: &str,
        params: &Value,
        height: Option<u64>,
    ) -> Result<Option<Arc<Value>>, Error> {
        let answer = self.abci_query(method, params, height).await?;
        query_answer(method, &answer)
    }

    async fn abci_query(
        &self,
        method: &str,
        params: &Value,
        height: Option<u64>,
    ) -> Result<Value, RpcError> {
        let mut rpc_params = json!({"data": hex::encode(query_bytes(method, params))});
        if let Some(height) = height.filter(|height| *height > 0) {
            rpc_params["height"] = json!(height.to_string());
        }
        self.pool.call("abci_query", rpc_params).await
    }

    /// Checks that the ledger node behind this socket is not behind what was
    /// seen.
    /// # Errors
    /// Temporary when it is.
    async fn check_node_behind(&self, lane: &SocketHandle) -> Result<(), Error> {
        let info = lane.call("abci_info", json!([])).await?;
        let state = answers::number(&info["response"]["last_block_height"]);
        let judged = self.known.write().judge(state, None);
        judged.map_err(|old| old.error)
    }

    /// Subscribes to new blocks, on a socket of its own.
    ///
    /// # Errors
    /// Temporary when the ledger cannot be reached.
    pub async fn subscribe(&self) -> Result<BlockSubscription, Error> {
        Ok(BlockSubscription::open(self.pool.options()).await?)
    }

    /// Notes what the master has seen of the chain.
    pub fn apply(&self, update: &ChainUpdate) {
        let mut known = self.known.write();
        known.freshness.tell(update);
        let same_chain = known
            .chain
            .as_ref()
            .is_none_or(|chain| chain.id == update.chain_id);
        // Heights of another chain would only confuse. This process learns the
        // new chain's id when its own sockets have reconnected.
        if !same_chain {
            return;
        }
        known.height = if update.reset {
            update.height
        } else {
            known.height.max(update.height)
        };
    }

    async fn attributes(&self) -> Result<Attributes, RpcError> {
        let known = self.known.read().chain.clone();
        if let Some(chain) = known {
            return Ok(chain.attributes);
        }
        let status = ask_status(&self.pool, &self.known).await?;
        Attributes::of_version(&status.version)
    }
}

impl Drop for LedgerClient {
    fn drop(&mut self) {
        self.introduction.abort();
    }
}

/// Asks for chain id and height whenever a socket has opened, and forgets the
/// chain id when none is open: the ledger that comes back may be another one,
/// and a transaction signed for the wrong chain is refused for good.
async fn introduce(pool: Arc<SocketPool>, known: Arc<RwLock<LedgerFacts>>) {
    let mut connected = pool.connected();
    loop {
        if *connected.borrow_and_update() == 0 {
            let mut known = known.write();
            known.chain = None;
            known.status = None;
        } else if let Err(error) = ask_status(&pool, &known).await {
            let options = pool.options();
            let delay = match &error {
                RpcError::UnsupportedVersion(_) => options.longest_reconnect,
                _ => options.first_reconnect,
            };
            tracing::warn!(%error, "asking the ledger for its chain");
            tokio::time::sleep(delay).await;
            continue;
        }
        if connected.changed().await.is_err() {
            return;
        }
    }
}

async fn ask_status(
    pool: &SocketPool,
    known: &RwLock<LedgerFacts>,
) -> Result<LedgerStatus, RpcError> {
    let status = answers::status(&pool.call("status", json!([])).await?)?;
    let attributes = Attributes::of_version(&status.version)?;
    let mut known = known.write();
    let same_chain = known
        .chain
        .as_ref()
        .is_none_or(|chain| chain.id == status.chain_id);
    known.height = if same_chain {
        known.height.max(status.height)
    } else {
        status.height
    };
    known.chain = Some(Chain {
        id: status.chain_id.clone(),
        attributes,
    });
    known.status = Some((Instant::now(), status.clone()));
    Ok(status)
}

/// Whether the ledger may soon answer this.
fn is_not_there_yet(error: &RpcError) -> bool {
    let text = error.remote_text().unwrap_or_default();
    text.contains("could not find results for height")
        || text.contains("must be less than or equal to the current blockchain height")
}

fn query_bytes(method: &str, params: &Value) -> Vec<u8> {
    let params = match params {
        Value::Null => Bytes::new(),
        params => Bytes::from(params.to_string()),
    };
    let query = wire::Query {
        method: method.to_owned(),
        params,
    };
    query.encode_to_vec()
}

/// spec/ledger.md 5.1, in its order.
fn query_answer(method: &str, answer: &Value) -> Result<Option<Arc<Value>>, Error> {
    let response = &answer["response"];
    let Some(log) = response["log"].as_str() else {
        let text = format!("{method}: answer without log");
        return Err(Error::with_message(codes::TENDERMINT_QUERY_ERROR, text));
    };
    if log.contains("not found") {
        return Ok(None);
    }
    let Some(encoded) = response["value"].as_str() else {
        let text = format!("{method}: {log}");
        return Err(Error::with_message(codes::TENDERMINT_QUERY_ERROR, text));
    };
    let value = BASE64
        .decode(encoded)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let unreadable = || {
        let text = format!("{method}: the value is not JSON");
        Error::with_message(codes::TENDERMINT_QUERY_RESULT_JSON_PARSE_ERROR, text)
    };
    value.map(Arc::new).map(Some).ok_or_else(unreadable)
}

#[async_trait]
impl Ledger for LedgerClient {
    async fn query(
        &self,
        method: &str,
        params: Value,
        height: Option<u64>,
    ) -> Result<Option<Arc<Value>>, Error> {
        loop {
            let answer = self.abci_query(method, &params, height).await?;
            let state = answers::number(&answer["response"]["height"]);
            let judged = self.known.write().judge(state, height);
            match judged {
                Ok(()) => return query_answer(method, &answer),
                Err(old) if old.since.elapsed() >= freshness::PATIENCE => return Err(old.error),
                Err(_) => tokio::time::sleep(SOON).await,
            }
        }
    }

    async fn broadcast(&self, transaction: &[u8]) -> Result<Broadcast, Error> {
        let params = json!({"tx": BASE64.encode(transaction)});
        let lane = self.pool.lane()?;
        let error = match lane.call("broadcast_tx_sync", params).await {
            Ok(answer) => {
                let (code, log) = answers::broadcast(&answer)?;
                // A node that is behind refuses what it does not know yet.
                let is_refusal = code != 0 && code != ABCI_DUPLICATE_NONCE;
                let is_premature = is_refusal && self.check_node_behind(&lane).await.is_err();
                return Ok(Broadcast {
                    code,
                    log,
                    is_premature,
                });
            }
            Err(error) => error,
        };
        let text = error.remote_text().unwrap_or_default();
        if text.starts_with("mempool is full") {
            return Err(Error::with_message(codes::TENDERMINT_MEMPOOL_FULL, text).temporary());
        }
        // CometBFT's own memory of transactions answers before the application
        // does.
        if text.contains("tx already exists in cache") {
            return Ok(Broadcast {
                code: ABCI_DUPLICATE_NONCE,
                log: text,
                is_premature: false,
            });
        }
        Err(error.into())
    }

    async fn transaction(&self, hash: &TransactionHash) -> Result<Option<Inclusion>, Error> {
        let bytes = hex::decode(hash)
            .map_err(|_| Error::with_message(codes::UNKNOWN_ERROR, format!("hash {hash:?}")))?;
        let attributes = self.attributes().await?;
        let params = json!({"hash": BASE64.encode(bytes)});
        let lane = self.pool.lane()?;
        match lane.call("tx", params).await {
            Ok(answer) => {
                let (height, result) = answers::transaction(&answer, attributes)?;
                Ok(Some(Inclusion {
                    height,
                    code: result.code,
                    log: result.log,
                }))
            }
            Err(error) => match error.remote_text() {
                Some(text) if text.contains("not found") => {
                    self.check_node_behind(&lane).await?;
                    Ok(None)
                }
                _ => Err(error.into()),
            },
        }
    }

    async fn waiting_transactions(&self) -> Result<u64, Error> {
        let answer = self.pool.call("num_unconfirmed_txs", json!([])).await?;
        Ok(answers::waiting_transactions(&answer)?)
    }

    fn chain_id(&self) -> Result<String, Error> {
        let known = self.known.read();
        let unknown = || Error::from(codes::TENDERMINT_NOT_CONNECTED).temporary();
        known
            .chain
            .as_ref()
            .map(|chain| chain.id.clone())
            .ok_or_else(unknown)
    }

    fn height(&self) -> u64 {
        self.known.read().height
    }

    fn era(&self) -> Result<u64, Error> {
        let known = self.known.read();
        let unknown = || Error::from(codes::TENDERMINT_NOT_CONNECTED).temporary();
        let chain = known.chain.as_ref().ok_or_else(unknown)?;
        known.freshness.era(&chain.id).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(log: &str, value: Value) -> Value {
        json!({"response": {"log": log, "value": value}})
    }

    /// spec/ledger.md 2.10.
    #[test]
    fn queries_are_encoded_as_specified() {
        assert_eq!(
            hex::encode(query_bytes("GetRequest", &json!({"request_id": "aa"}))),
            "0a0a4765745265717565737412137b22726571756573745f6964223a226161227d"
        );
        assert_eq!(
            hex::encode(query_bytes("IsInitEnded", &Value::Null)),
            "0a0b4973496e6974456e646564"
        );
    }

    #[test]
    fn not_found_wins_over_whatever_the_value_is() {
        let found = query_answer("Q", &answer("success", json!("eyJhIjoxfQ==")));
        assert_eq!(found, Ok(Some(Arc::new(json!({"a": 1})))));
        let not_found = query_answer("Q", &answer("request not found", json!("e30=")));
        assert_eq!(not_found, Ok(None));
    }

    #[test]
    fn unusable_answers_have_their_codes() {
        let code = |answer| query_answer("Q", &answer).unwrap_err().code().number;
        assert_eq!(code(answer("x", Value::Null)), 10003);
        assert_eq!(code(json!({"response": {"value": "e30="}})), 10003);
        assert_eq!(code(json!("rubbish")), 10003);
        assert_eq!(code(answer("success", json!("%%%"))), 10004);
        assert_eq!(code(answer("success", json!(""))), 10004);
    }
}
