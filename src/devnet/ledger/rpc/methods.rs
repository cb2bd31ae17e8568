//! The calls of spec/ledger.md 1.3, and the JSON-RPC envelope of 1.2.

use hyper::StatusCode;
use openssl::sha::sha256;
use prost::bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments::{Arguments, Encoding};
use super::shapes;
use crate::devnet::ledger::Shared;
use crate::devnet::ledger::chain::{Block, Chain};

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

/// Why a call has no result.
#[derive(Debug)]
pub struct Failure {
    code: i64,
    data: String,
}

impl Failure {
    /// The arguments are wrong.
    pub fn bad_params(reason: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, reason)
    }

    /// The call was understood and failed.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::new(INTERNAL_ERROR, reason)
    }

    fn new(code: i64, data: impl Into<String>) -> Self {
        let data = data.into();
        Self { code, data }
    }

    fn message(&self) -> &'static str {
        match self.code {
            PARSE_ERROR => "Parse error. Invalid JSON",
            INVALID_REQUEST => "Invalid Request",
            METHOD_NOT_FOUND => "Method not found",
            INVALID_PARAMS => "Invalid params",
            _ => "Internal error",
        }
    }

    /// Status of the answer to a GET.
    pub fn http_status(&self) -> StatusCode {
        match self.code {
            METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
            INTERNAL_ERROR => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// A JSON-RPC request.
#[derive(Deserialize)]
pub struct Request {
    /// Echoed with its type; a request without one is not answered.
    pub id: Option<Value>,
    /// Name of the call.
    #[serde(default)]
    pub method: String,
    /// Array, object, or nothing.
    pub params: Option<Value>,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// If it is not JSON, or not a request.
    pub fn read(text: &[u8]) -> Result<Self, Failure> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| Failure::new(PARSE_ERROR, error.to_string()))?;
        serde_json::from_value(value)
            .map_err(|error| Failure::new(INVALID_REQUEST, error.to_string()))
    }
}

/// The envelope of a result.
pub fn success(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// The envelope of a failure.
pub fn failed(id: &Value, failure: &Failure) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": id,
        "error": {"code": failure.code, "message": failure.message(), "data": failure.data},
    })
}

/// Answers a request as text; `None` for one that wants no answer.
pub fn answer_text(shared: &Shared, text: &[u8]) -> Option<Value> {
    match Request::read(text) {
        Ok(request) => answer(shared, request),
        Err(failure) => Some(failed(&Value::Null, &failure)),
    }
}

/// Answers a request; `None` for one that wants no answer.
pub fn answer(shared: &Shared, request: Request) -> Option<Value> {
    let id = request.id?;
    let arguments = Arguments::from_json(request.params);
    let result = arguments.and_then(|arguments| call(shared, &request.method, &arguments));
    Some(match result {
        Ok(result) => success(&id, result),
        Err(failure) => failed(&id, &failure),
    })
}

/// Makes a call.
///
/// # Errors
/// Why it has no result.
pub fn call(shared: &Shared, method: &str, arguments: &Arguments) -> Result<Value, Failure> {
    match method {
        "health" => Ok(json!({})),
        "status" => Ok(shapes::status(&shared.chain.read())),
        "abci_info" => Ok(shapes::abci_info(&shared.chain.read())),
        "num_unconfirmed_txs" => {
            let (count, bytes) = shared.chain.read().waiting();
            Ok(shapes::unconfirmed(count, bytes))
        }
        "abci_query" => abci_query(shared, arguments),
        "broadcast_tx_sync" => broadcast(shared, arguments),
        "block" => {
            let chain = shared.chain.read();
            Ok(shapes::block(&chain, block_at(&chain, arguments)?))
        }
        "block_results" => {
            let chain = shared.chain.read();
            let block = block_at(&chain, arguments)?;
            if chain.block(block.height).is_none() {
                let height = block.height;
                let text = format!("could not find results for height #{height}");
                return Err(Failure::internal(text));
            }
            Ok(shapes::block_results(block))
        }
        "tx" => transaction(shared, arguments),
        // No call of CometBFT: a development network makes its ledger late.
        "devnet_results_delay" => {
            let milliseconds = arguments.height(0, "ms")?.unwrap_or_default();
            let milliseconds = u64::try_from(milliseconds).unwrap_or_default();
            let delay = std::time::Duration::from_millis(milliseconds);
            shared.results_delay.send_replace(delay);
            Ok(json!({}))
        }
        _ => Err(Failure::new(METHOD_NOT_FOUND, method)),
    }
}

/// The block asked for, or the last one if no height is given; also one that is
/// not executed yet.
fn block_at<'a>(chain: &'a Chain, arguments: &Arguments) -> Result<&'a Block, Failure> {
    let stored = chain.stored();
    let tip = stored.map_or(chain.height(), |stored| stored.height);
    let height = arguments.height(0, "height")?.unwrap_or(tip);
    if height <= 0 {
        return Err(Failure::internal(format!(
            "height must be greater than 0, but got {height}"
        )));
    }
    let executed = chain.block(height).map(AsRef::as_ref);
    let block = executed.or_else(|| stored.filter(|stored| stored.height == height));
    block.ok_or_else(|| {
        Failure::internal(format!(
            "height {height} must be less than or equal to the current blockchain height {tip}"
        ))
    })
}

fn abci_query(shared: &Shared, arguments: &Arguments) -> Result<Value, Failure> {
    let data = arguments.bytes(1, "data", Encoding::Hex)?;
    let height = arguments.height(2, "height")?.unwrap_or(0);
    if height < 0 {
        return Err(Failure::internal("height must be non-negative"));
    }
    let chain = shared.chain.read();
    let answer = chain.query(&data, height);
    Ok(shapes::query_answer(&answer, chain.height()))
}

fn broadcast(shared: &Shared, arguments: &Arguments) -> Result<Value, Failure> {
    let transaction = Bytes::from(arguments.bytes(0, "tx", Encoding::Base64)?);
    let hash = sha256(&transaction);
    let result = match &shared.relay {
        None => {
            let result = shared.chain.write().broadcast(transaction);
            let result = result.map_err(Failure::internal)?;
            if result.code == 0 {
                shared.transaction_waits.notify_one();
            }
            result
        }
        Some(relay) => {
            let result = shared.chain.write().check(&transaction);
            if result.code == 0 {
                let relayed = relay.try_send(transaction);
                relayed.map_err(|_| Failure::internal("mempool is full"))?;
            }
            result
        }
    };
    Ok(shapes::broadcast(&result, &hash))
}

fn transaction(shared: &Shared, arguments: &Arguments) -> Result<Value, Failure> {
    let hash = arguments.bytes(0, "hash", Encoding::Base64)?;
    let known = <[u8; 32]>::try_from(hash.as_slice()).ok();
    let found = known.and_then(|hash| shared.chain.read().transaction(&hash));
    let included = found
        .ok_or_else(|| Failure::internal(format!("tx ({}) not found", hex::encode_upper(&hash))))?;
    Ok(shapes::transaction(&included, &hash))
}
