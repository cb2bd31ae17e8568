//! Reads the answers of RPC methods: leniently where versions differ, and
//! strictly where a wrong guess would do harm (spec/ledger.md 1.3, 1.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::RpcError;
use crate::ledger::Mark;

/// `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerStatus {
    /// `node_info.network`
    pub chain_id: String,
    /// `node_info.version`
    pub version: String,
    /// Whether it is still fetching old blocks.
    pub catching_up: bool,
    /// Newest block.
    pub height: u64,
    /// Of the newest block.
    pub mark: Mark,
    /// Oldest block that is kept.
    pub earliest_height: u64,
}

/// A block's header and transactions, without results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockBody {
    pub chain_id: String,
    /// From 1.
    pub height: u64,
    /// From its header.
    pub mark: Mark,
    /// Encoded `Tx` messages.
    pub transactions: Vec<Vec<u8>>,
}

/// The result of one executed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionResult {
    /// 0, or a code of spec/ledger.md 3.
    pub code: u32,
    /// `success`, or free text.
    pub log: String,
    /// Attributes of event `did.result`, decoded.
    pub attributes: Vec<(String, String)>,
}

impl TransactionResult {
    /// An attribute of `did.result`.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }
}

/// A block as the event NewBlock contains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub body: BlockBody,
    /// The results of its transactions, if the event has them: from 0.38 on,
    /// and for blocks without transactions.
    pub results: Option<Vec<TransactionResult>>,
}

/// How a version writes event attributes (spec/ledger.md 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes {
    /// 0.35 and later.
    Plain,
    /// 0.33 and 0.34.
    Base64,
}

impl Attributes {
    /// From `node_info.version`.
    ///
    /// # Errors
    /// [`RpcError::UnsupportedVersion`] for 0.32 and older.
    pub fn of_version(version: &str) -> Result<Self, RpcError> {
        let mut parts = version.trim_start_matches('v').split('.').map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
            return Ok(Self::Plain);
        };
        let (major, minor): (u32, u32) = (major, minor);
        match (major, minor) {
            (0, ..=32) => Err(RpcError::UnsupportedVersion(version.to_owned())),
            (0, 33 | 34) => Ok(Self::Base64),
            _ => Ok(Self::Plain),
        }
    }
}

/// A number that may be written as a decimal text.
pub fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

fn text<'a>(method: &str, value: &'a Value, name: &str) -> Result<&'a str, RpcError> {
    value
        .as_str()
        .ok_or_else(|| RpcError::malformed(method, format!("{name} is not a text")))
}

fn mark(hash: &Value, app_hash: &Value, time: &Value) -> Mark {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Mark {
        hash: text(hash),
        app_hash: text(app_hash),
        time: text(time),
    }
}

/// Reads the answer to `status`.
///
/// # Errors
/// [`RpcError::Malformed`].
pub fn status(answer: &Value) -> Result<LedgerStatus, RpcError> {
    const METHOD: &str = "status";
    let node = &answer["node_info"];
    let sync = &answer["sync_info"];
    let height = number(&sync["latest_block_height"])
        .ok_or_else(|| RpcError::malformed(METHOD, "latest_block_height is not a number"))?;
    let catching_up = sync["catching_up"]
        .as_bool()
        .ok_or_else(|| RpcError::malformed(METHOD, "catching_up is not a boolean"))?;
    Ok(LedgerStatus {
        chain_id: text(METHOD, &node["network"], "network")?.to_owned(),
        version: node["version"].as_str().unwrap_or_default().to_owned(),
        catching_up,
        height,
        mark: mark(
            &sync["latest_block_hash"],
            &sync["latest_app_hash"],
            &sync["latest_block_time"],
        ),
        earliest_height: number(&sync["earliest_block_height"]).unwrap_or(1),
    })
}

/// Reads the members `block` and `block_id` of an answer to `block` or of an
/// event; events of older versions lack the second.
///
/// # Errors
/// [`RpcError::Malformed`].
pub fn block_body(method: &str, answer: &Value) -> Result<BlockBody, RpcError> {
    let block = &answer["block"];
    let header = &block["header"];
    let height = number(&header["height"])
        .ok_or_else(|| RpcError::malformed(method, "block without height"))?;
    let encoded = match &block["data"]["txs"] {
        Value::Null => &[][..],
        Value::Array(transactions) => transactions.as_slice(),
        _ => return Err(RpcError::malformed(method, "txs is not a list")),
    };
    let decode = |transaction: &Value| {
        let encoded = text(method, transaction, "transaction")?;
        BASE64
            .decode(encoded)
            .map_err(|_| RpcError::malformed(method, "transaction is not base64"))
    };
    Ok(BlockBody {
        chain_id: text(method, &header["chain_id"], "chain id")?.to_owned(),
        height,
        mark: mark(
            &answer["block_id"]["hash"],
            &header["app_hash"],
            &header["time"],
        ),
        transactions: encoded.iter().map(decode).collect::<Result<_, _>>()?,
    })
}

/// Reads `data.value` of the event NewBlock.
///
/// # Errors
/// [`RpcError::Malformed`] without a block.
pub fn announced(value: &Value) -> Result<Announced, RpcError> {
    let body = block_body("subscribe", value)?;
    let results = if body.transactions.is_empty() {
        Some(Vec::new())
    } else {
        let results = &value["result_finalize_block"]["tx_results"];
        announced_results(results).filter(|results| results.len() == body.transactions.len())
    };
    Ok(Announced { body, results })
}

/// Versions with this member write attributes as plain text. If the results
/// lack anything that [`TransactionResult`] has, they are fetched instead.
fn announced_results(results: &Value) -> Option<Vec<TransactionResult>> {
    let read = |result: &Value| {
        result["log"].as_str()?;
        let result = transaction_result("subscribe", result, Attributes::Plain).ok()?;
        result.attribute("success").is_some().then_some(result)
    };
    results.as_array()?.iter().map(read).collect()
}

/// Reads the answer to `block_results`.
///
/// # Errors
/// [`RpcError::Malformed`].
pub fn block_results(
    answer: &Value,
    attributes: Attributes,
) -> Result<Vec<TransactionResult>, RpcError> {
    const METHOD: &str = "block_results";
    match &answer["txs_results"] {
        Value::Null if number(&answer["height"]).is_some() => Ok(Vec::new()),
        Value::Array(results) => results
            .iter()
            .map(|result| transaction_result(METHOD, result, attributes))
            .collect(),
        _ => Err(RpcError::malformed(METHOD, "no txs_results")),
    }
}

/// Reads the answer to `tx`: the block's height and the result.
///
/// # Errors
/// [`RpcError::Malformed`].
pub fn transaction(
    answer: &Value,
    attributes: Attributes,
) -> Result<(u64, TransactionResult), RpcError> {
    const METHOD: &str = "tx";
    let height =
        number(&answer["height"]).ok_or_else(|| RpcError::malformed(METHOD, "no height"))?;
    let result = transaction_result(METHOD, &answer["tx_result"], attributes)?;
    Ok((height, result))
}

fn transaction_result(
    method: &str,
    result: &Value,
    encoding: Attributes,
) -> Result<TransactionResult, RpcError> {
    if !result.is_object() {
        return Err(RpcError::malformed(method, "result is not an object"));
    }
    let empty = Vec::new();
    let events = result["events"].as_array().unwrap_or(&empty);
    let attributes = events
        .iter()
        .filter(|event| event["type"] == "did.result")
        .flat_map(|event| event["attributes"].as_array().unwrap_or(&empty))
        .filter_map(|attribute| attribute_of(attribute, encoding))
        .collect();
    Ok(TransactionResult {
        code: code(method, &result["code"])?,
        log: result["log"].as_str().unwrap_or_default().to_owned(),
        attributes,
    })
}

/// Absent means 0: some encoders leave defaults out.
fn code(method: &str, value: &Value) -> Result<u32, RpcError> {
    if value.is_null() {
        return Ok(0);
    }
    number(value)
        .and_then(|code| u32::try_from(code).ok())
        .ok_or_else(|| RpcError::malformed(method, "code is not a number"))
}

fn attribute_of(attribute: &Value, encoding: Attributes) -> Option<(String, String)> {
    let decode = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        match encoding {
            Attributes::Plain => Some(text.to_owned()),
            Attributes::Base64 => String::from_utf8(BASE64.decode(text).ok()?).ok(),
        }
    };
    Some((decode(&attribute["key"])?, decode(&attribute["value"])?))
}

/// Reads the answer to `broadcast_tx_sync`: code and log.
///
/// # Errors
/// [`RpcError::Malformed`].
pub fn broadcast(answer: &Value) -> Result<(u32, String), RpcError> {
    const METHOD: &str = "broadcast_tx_sync";
    if !answer.is_object() {
        return Err(RpcError::malformed(METHOD, "not an object"));
    }
    let log = answer["log"].as_str().unwrap_or_default().to_owned();
    Ok((code(METHOD, &answer["code"])?, log))
}

/// Reads the answer to `num_unconfirmed_txs`: their total.
/// # Errors
/// [`RpcError::Malformed`].
pub fn waiting_transactions(answer: &Value) -> Result<u64, RpcError> {
    number(&answer["total"])
        .ok_or_else(|| RpcError::malformed("num_unconfirmed_txs", "total is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes_are_read_by_version() {
        let plain =
            json!([{"type": "did.result", "attributes": [{"key": "success", "value": "true"}]}]);
        let encoded = json!([{"type": "did.result", "attributes": [{"key": "c3VjY2Vzcw==", "value": "dHJ1ZQ=="}]}]);
        for (version, events) in [
            ("0.38.6", &plain),
            ("0.37.5", &plain),
            ("1.0.0", &plain),
            ("v0.34.29", &encoded),
            ("0.33.4", &encoded),
        ] {
            let answer = json!({"height": "2", "txs_results": [{"code": 0, "log": "success", "events": events}]});
            let attributes = Attributes::of_version(version).unwrap();
            let results = block_results(&answer, attributes).unwrap();
            assert_eq!(results[0].attribute("success"), Some("true"), "{version}");
        }
        assert!(matches!(
            Attributes::of_version("0.32.9"),
            Err(RpcError::UnsupportedVersion(_))
        ));
    }

    #[test]
    fn an_announced_block_has_its_results_where_they_are_complete() {
        let result = json!({"code": 0, "log": "success", "events": [
            {"type": "did.result", "attributes": [{"key": "success", "value": "true"}]}]});
        let event = |txs: Value, results: Value| {
            let header = json!({"height": "7", "chain_id": "chain-a"});
            let event = json!({
                "block": {"header": header, "data": {"txs": txs}},
                "result_finalize_block": {"tx_results": results},
            });
            announced(&event).unwrap().results
        };
        let results = event(json!(["AA=="]), json!([result])).unwrap();
        assert_eq!(results[0].attribute("success"), Some("true"));
        assert_eq!(event(json!([]), Value::Null), Some(Vec::new()));
        for incomplete in [
            Value::Null,
            json!([]),
            json!([result, result]),
            json!([{"code": 0, "log": "success"}]),
            json!([{"code": 0, "events": result["events"]}]),
        ] {
            assert_eq!(event(json!(["AA=="]), incomplete), None);
        }
    }

    #[test]
    fn an_empty_block_has_no_results() {
        let answer = json!({"height": "7", "txs_results": null});
        assert_eq!(block_results(&answer, Attributes::Plain), Ok(Vec::new()));
        let body = block_body(
            "block",
            &json!({"block": {
                "header": {"height": "7", "chain_id": "chain-a"}, "data": {"txs": null},
            }}),
        );
        let body = body.unwrap();
        assert_eq!(
            (body.chain_id.as_str(), body.transactions.len()),
            ("chain-a", 0)
        );
    }

    #[test]
    fn rubbish_is_malformed_and_never_panics() {
        let rubbish = [
            json!(null),
            json!([]),
            json!("x"),
            json!({}),
            json!({"node_info": 3, "sync_info": []}),
            json!({"sync_info": {"latest_block_height": "-1", "catching_up": 0}}),
            json!({"block": 4, "block_id": 5}),
            json!({"block": {"header": {"height": {}}, "data": 4}}),
            json!({"block": {"header": {"height": "1"}, "data": {"txs": [1]}}}),
            json!({"block": {"header": {"height": "1"}, "data": {"txs": ["%"]}}}),
            json!({"txs_results": 1}),
            json!({"txs_results": [1]}),
            json!({"txs_results": [{"code": -1}]}),
            json!({"height": "x", "tx_result": {"code": "no"}}),
        ];
        for answer in rubbish {
            assert!(status(&answer).is_err(), "{answer}");
            assert!(block_body("block", &answer).is_err(), "{answer}");
            assert!(
                block_results(&answer, Attributes::Base64).is_err(),
                "{answer}"
            );
            assert!(transaction(&answer, Attributes::Plain).is_err(), "{answer}");
        }
        assert!(broadcast(&json!("x")).is_err());
        assert!(waiting_transactions(&json!({"total": -1})).is_err());
        assert!(broadcast(&json!({"code": "x"})).is_err());
    }
}
