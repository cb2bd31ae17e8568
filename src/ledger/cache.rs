//! Caches answers of queries that change rarely, until a block changes them.
//!
//! Checking one API call asks the ledger five to ten questions. Every node sees
//! every block, so it knows when an answer may have changed. Rules:
//! - While new blocks are not being followed, nothing is served or stored.
//! - A block drops what the methods of its transactions can change.
//! - An answer that was asked for before a drop and arrives after it is not
//!   stored. It goes only to those who asked before the drop.
//! - Errors are never stored.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use serde_json::Value;

use super::dependence::{StateParts, is_versioned, parts_of_query, parts_of_transaction};
use super::{Broadcast, ChainUpdate, Inclusion, Ledger, TransactionHash};
use crate::error::{Error, codes};

/// Memory for questions and answers in each of the two [`Halves`].
const HALF_BYTES: usize = 16 << 20;
/// Cost of a stored answer without its question and content.
const ENTRY_BYTES: usize = 256;
/// Cost of an allocation without its content.
const ALLOCATION_BYTES: usize = 16;
/// Cost of an object's member without its name and value: its place in the
/// order and in the table, and room for growth.
const MEMBER_BYTES: usize = 64;

type CachedAnswer = Option<Arc<Value>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CacheKey {
    method: String,
    params: String,
    height: Option<u64>,
}

#[derive(Debug, Clone)]
struct CacheEntry {
    answer: CachedAnswer,
    /// 0: the answer never changes.
    parts: StateParts,
    bytes: usize,
}

/// Two halves of bounded size. When the new one is full, the old one is
/// dropped, so that frequent questions stay.
#[derive(Default)]
struct Halves {
    new: HashMap<CacheKey, CacheEntry>,
    old: HashMap<CacheKey, CacheEntry>,
    new_bytes: usize,
}

impl Halves {
    fn get(&mut self, question: &CacheKey) -> Option<CachedAnswer> {
        if let Some(kept) = self.new.get(question) {
            return Some(kept.answer.clone());
        }
        let kept = self.old.remove(question)?;
        let answer = kept.answer.clone();
        self.put(question.clone(), kept);
        Some(answer)
    }

    fn put(&mut self, question: CacheKey, kept: CacheEntry) {
        if self.new_bytes + kept.bytes > HALF_BYTES {
            self.old = std::mem::take(&mut self.new);
            self.new_bytes = 0;
        }
        self.new_bytes += kept.bytes;
        if let Some(replaced) = self.new.insert(question, kept) {
            self.new_bytes -= replaced.bytes;
        }
    }

    fn drop_parts(&mut self, parts: StateParts) {
        self.new.retain(|_, kept| kept.parts & parts == 0);
        self.old.retain(|_, kept| kept.parts & parts == 0);
        self.new_bytes = self.new.values().map(|kept| kept.bytes).sum();
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A question on its way. It continues even if nobody waits for it.
type Flight = Shared<BoxFuture<'static, Result<CachedAnswer, Error>>>;

#[derive(Default)]
struct State {
    live: bool,
    /// Every block up to here has been seen.
    complete: u64,
    /// Rises whenever answers are dropped.
    generation: u64,
    answers: Halves,
    /// Open questions of the current generation.
    flights: HashMap<CacheKey, Flight>,
}

impl State {
    /// Keeps answers that are on their way from those who ask from now on.
    fn next_generation(&mut self) {
        self.generation += 1;
        self.flights.clear();
    }

    fn forget_everything(&mut self) {
        self.answers.clear();
        self.next_generation();
    }
}

/// What to do about a question.
enum CachePlan {
    Serve(CachedAnswer),
    Begin(Flight),
    Join(Flight),
    Bypass,
}

/// A [`Ledger`] with a cache, which is off until [`Self::set_live`].
pub struct CachedLedger {
    inner: Arc<dyn Ledger>,
    state: Arc<Mutex<State>>,
}

impl CachedLedger {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Ledger>) -> Self {
        Self {
            inner,
            state: Arc::default(),
        }
    }

    /// Notes a block whose successful transactions have these methods. Every
    /// block before it must have been noted.
    pub fn on_block(&self, height: u64, methods: &[String]) {
        let changed = methods
            .iter()
            .fold(0, |parts, method| parts | parts_of_transaction(method));
        let mut state = self.state.lock();
        state.complete = state.complete.max(height);
        if changed != 0 {
            state.answers.drop_parts(changed);
            state.next_generation();
        }
    }

    /// Drops everything, after a gap, a reconnect or a change of the chain.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        state.complete = 0;
        state.forget_everything();
    }

    /// Says whether every new block is being followed. While it is not, every
    /// query goes to the ledger.
    pub fn set_live(&self, live: bool) {
        let mut state = self.state.lock();
        if state.live != live {
            state.live = live;
            state.complete = 0;
            state.forget_everything();
        }
    }

    /// Applies the master's news.
    pub fn apply(&self, update: &ChainUpdate) {
        if update.reset {
            self.reset();
        }
        self.set_live(update.ready);
        self.on_block(update.height, &update.methods);
    }

    fn plan(&self, question: &CacheKey, params: &Value) -> CachePlan {
        let mut state = self.state.lock();
        let parts = match question.height {
            _ if !state.live => return CachePlan::Bypass,
            Some(height) if is_versioned(&question.method) && height <= state.complete => 0,
            Some(_) => return CachePlan::Bypass,
            None => match parts_of_query(&question.method, params) {
                Some(parts) => parts,
                None => return CachePlan::Bypass,
            },
        };
        if let Some(answer) = state.answers.get(question) {
            return CachePlan::Serve(answer);
        }
        if let Some(flight) = state.flights.get(question) {
            return CachePlan::Join(flight.clone());
        }
        let flight = self.ask(question.clone(), params.clone(), parts, state.generation);
        state.flights.insert(question.clone(), flight.clone());
        CachePlan::Begin(flight)
    }

    fn ask(&self, question: CacheKey, params: Value, parts: StateParts, generation: u64) -> Flight {
        let inner = self.inner.clone();
        let shared = self.state.clone();
        let asking = tokio::spawn(async move {
            let asked = inner.query(&question.method, params, question.height);
            // A question that panics must not block later ones.
            let asked = AssertUnwindSafe(asked).catch_unwind().await;
            let result = asked.unwrap_or_else(|_| Err(broken_off()));
            let mut state = shared.lock();
            if state.generation == generation {
                state.flights.remove(&question);
                if let Ok(answer) = &result {
                    keep(&mut state, question, answer, parts);
                }
            }
            result
        });
        // Nobody aborts it; its runtime ends with the process.
        let result = asking.map(|ended| ended.unwrap_or_else(|_| Err(broken_off())));
        result.boxed().shared()
    }
}

fn broken_off() -> Error {
    let text = "the question to the ledger was interrupted";
    Error::with_message(codes::TENDERMINT_NOT_CONNECTED, text).temporary()
}

/// Stores an answer. A request that did not exist at a height may exist there
/// later: below its first version the ledger answers with the first
/// (spec/ledger.md 5.1).
fn keep(state: &mut State, question: CacheKey, answer: &CachedAnswer, parts: StateParts) {
    if answer.is_none() && question.height.is_some() {
        return;
    }
    let answer_bytes = answer.as_ref().map_or(0, |value| memory_of(value));
    let bytes = ENTRY_BYTES + question.params.len() + answer_bytes;
    let answer = answer.clone();
    let kept = CacheEntry {
        answer,
        parts,
        bytes,
    };
    state.answers.put(question, kept);
}

/// About how much memory a value takes: several times its text.
fn memory_of(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => ALLOCATION_BYTES + text.len(),
        Value::Array(values) => ALLOCATION_BYTES + values.iter().map(memory_of).sum::<usize>(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                MEMBER_BYTES + ALLOCATION_BYTES + name.len() + memory_of(value)
            };
            ALLOCATION_BYTES + members.iter().map(member).sum::<usize>()
        }
    };
    size_of::<Value>() + inside
}

#[async_trait]
impl Ledger for CachedLedger {
    async fn query(
        &self,
        method: &str,
        params: Value,
        height: Option<u64>,
    ) -> Result<Option<Arc<Value>>, Error> {
        let question = CacheKey {
            method: method.to_owned(),
            params: params.to_string(),
            height,
        };
        // A failure of a question that somebody asked earlier says little about the
        // ledger now, so those that joined it ask once more.
        for may_join in [true, false] {
            match self.plan(&question, &params) {
                CachePlan::Serve(answer) => {
                    metrics::counter!("ledger_query_cache_hits_total").increment(1);
                    return Ok(answer);
                }
                CachePlan::Bypass => break,
                CachePlan::Join(flight) if may_join => {
                    metrics::counter!("ledger_query_cache_misses_total").increment(1);
                    if let Ok(answer) = flight.await {
                        return Ok(answer);
                    }
                }
                CachePlan::Begin(flight) | CachePlan::Join(flight) => {
                    metrics::counter!("ledger_query_cache_misses_total").increment(1);
                    return flight.await;
                }
            }
        }
        self.inner.query(method, params, height).await
    }

    async fn broadcast(&self, transaction: &[u8]) -> Result<Broadcast, Error> {
        self.inner.broadcast(transaction).await
    }

    async fn transaction(&self, hash: &TransactionHash) -> Result<Option<Inclusion>, Error> {
        self.inner.transaction(hash).await
    }

    async fn waiting_transactions(&self) -> Result<u64, Error> {
        self.inner.waiting_transactions().await
    }

    fn chain_id(&self) -> Result<String, Error> {
        self.inner.chain_id()
    }

    fn height(&self) -> u64 {
        self.inner.height()
    }

    fn era(&self) -> Result<u64, Error> {
        self.inner.era()
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
