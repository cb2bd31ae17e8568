//! A ledger that answers as it was recorded, or as a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;

use super::CHAIN;
use super::recordings::recorded;
use crate::error::{Error, codes};
use crate::ledger::{Broadcast, Inclusion, Ledger, TransactionHash};

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

    /// Answers a question from a height on, instead of the earlier answer.
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
