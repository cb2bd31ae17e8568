use super::*;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

/// Answers every query with a running number, once the test allows it.
struct Counting {
    asked: AtomicUsize,
    allowed: Semaphore,
    /// How many of the first questions fail.
    failures: usize,
    finds: bool,
}

impl Counting {
    fn new(allowed: usize) -> Arc<Self> {
        Arc::new(Self {
            asked: AtomicUsize::new(0),
            allowed: Semaphore::new(allowed),
            failures: 0,
            finds: true,
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn until_asked(&self, times: usize) {
        let waiting = async {
            while self.asked() < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .expect("asked in time");
    }
}

#[async_trait]
impl Ledger for Counting {
    async fn query(&self, _: &str, _: Value, _: Option<u64>) -> Result<CachedAnswer, Error> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.allowed.acquire().await.unwrap().forget();
        if number <= self.failures {
            return Err(codes::TENDERMINT_NOT_CONNECTED.into());
        }
        Ok(self.finds.then(|| Arc::new(json!(number))))
    }

    async fn broadcast(&self, _: &[u8]) -> Result<Broadcast, Error> {
        Err(codes::TENDERMINT_NOT_CONNECTED.into())
    }

    async fn transaction(&self, _: &TransactionHash) -> Result<Option<Inclusion>, Error> {
        Ok(None)
    }

    async fn waiting_transactions(&self) -> Result<u64, Error> {
        Ok(0)
    }

    fn chain_id(&self) -> Result<String, Error> {
        Ok("chain".to_owned())
    }

    fn height(&self) -> u64 {
        0
    }

    fn era(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

fn live(inner: &Arc<Counting>) -> Arc<CachedLedger> {
    let cache = CachedLedger::new(inner.clone());
    cache.set_live(true);
    Arc::new(cache)
}

async fn ask(cache: &CachedLedger, method: &str) -> Value {
    let answer = cache.query(method, json!({"node_id": "rp1"}), None).await;
    answer.unwrap().unwrap().as_ref().clone()
}

async fn ask_at(cache: &CachedLedger, height: u64) -> CachedAnswer {
    let params = json!({"request_id": "r"});
    let answer = cache.query("GetRequestDetail", params, Some(height)).await;
    answer.unwrap()
}

fn methods(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn an_answer_is_served_until_a_block_can_change_it() {
    let inner = Counting::new(100);
    let cache = live(&inner);
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(1));
    cache.on_block(5, &methods(&["CreateRequest", "AddNamespace"]));
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(1));
    cache.on_block(6, &methods(&["UpdateNode"]));
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(2));
    cache.on_block(7, &methods(&["NeverHeardOf"]));
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(3));
    cache.reset();
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(4));
}

#[tokio::test]
async fn nothing_is_served_or_kept_while_blocks_are_not_followed() {
    let inner = Counting::new(100);
    let cache = live(&inner);
    ask(&cache, "GetNodeInfo").await;
    cache.set_live(false);
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(2));
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(3));
    cache.set_live(true);
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(4));
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(4));
}

#[tokio::test]
async fn questions_about_requests_are_always_asked() {
    let inner = Counting::new(100);
    let cache = live(&inner);
    for expected in 1..=3 {
        assert_eq!(ask(&cache, "GetRequest").await, json!(expected));
    }
}

#[tokio::test]
async fn one_question_is_in_flight_once() {
    let inner = Counting::new(0);
    let cache = live(&inner);
    let askers: Vec<_> = (0..20)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { ask(&cache, "GetNodeInfo").await })
        })
        .collect();
    inner.until_asked(1).await;
    inner.allowed.add_permits(100);
    for asker in askers {
        assert_eq!(asker.await.unwrap(), json!(1));
    }
    assert_eq!(inner.asked(), 1);
}

#[tokio::test]
async fn an_answer_overtaken_by_a_block_is_neither_kept_nor_shared() {
    let inner = Counting::new(0);
    let cache = live(&inner);
    let early = tokio::spawn({
        let cache = cache.clone();
        async move { ask(&cache, "GetNodeInfo").await }
    });
    inner.until_asked(1).await;
    cache.on_block(5, &methods(&["UpdateNode"]));
    let late = tokio::spawn({
        let cache = cache.clone();
        async move { ask(&cache, "GetNodeInfo").await }
    });
    inner.until_asked(2).await;
    inner.allowed.add_permits(100);
    assert_eq!(early.await.unwrap(), json!(1));
    assert_eq!(late.await.unwrap(), json!(2));
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(2));
}

#[tokio::test]
async fn an_answer_that_arrives_after_the_subscription_was_lost_and_found_is_not_kept() {
    let inner = Counting::new(0);
    let cache = live(&inner);
    let early = tokio::spawn({
        let cache = cache.clone();
        async move { ask(&cache, "GetNodeInfo").await }
    });
    inner.until_asked(1).await;
    cache.set_live(false);
    cache.set_live(true);
    inner.allowed.add_permits(100);
    assert_eq!(early.await.unwrap(), json!(1));
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(2));
}

#[tokio::test]
async fn a_flight_whose_askers_gave_up_does_not_block_the_question() {
    let inner = Counting::new(0);
    let cache = live(&inner);
    let asker = tokio::spawn({
        let cache = cache.clone();
        async move { ask(&cache, "GetNodeInfo").await }
    });
    inner.until_asked(1).await;
    asker.abort();
    assert!(asker.await.unwrap_err().is_cancelled());
    inner.allowed.add_permits(100);
    assert_eq!(ask(&cache, "GetNodeInfo").await, json!(1));
}

/// The time-out of a question counts from its first asker.
#[tokio::test]
async fn what_an_abandoned_question_met_is_not_handed_to_who_asks_later() {
    let inner = Arc::new(Counting {
        asked: AtomicUsize::new(0),
        allowed: Semaphore::new(0),
        failures: 1,
        finds: true,
    });
    let cache = live(&inner);
    let early = tokio::spawn({
        let cache = cache.clone();
        async move { ask(&cache, "GetNodeInfo").await }
    });
    inner.until_asked(1).await;
    early.abort();
    assert!(early.await.unwrap_err().is_cancelled());
    let late = tokio::spawn({
        let cache = cache.clone();
        async move { ask(&cache, "GetNodeInfo").await }
    });
    tokio::task::yield_now().await;
    inner.allowed.add_permits(100);
    assert_eq!(late.await.unwrap(), json!(2));
}

#[tokio::test]
async fn a_question_that_everybody_gave_up_ends_by_itself() {
    let inner = Counting::new(0);
    let cache = live(&inner);
    let asker = tokio::spawn({
        let cache = cache.clone();
        async move { ask(&cache, "GetNodeInfo").await }
    });
    inner.until_asked(1).await;
    asker.abort();
    assert!(asker.await.unwrap_err().is_cancelled());
    assert_eq!(cache.state.lock().flights.len(), 1);
    inner.allowed.add_permits(1);
    let ended = async {
        while !cache.state.lock().flights.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), ended);
    ended.await.expect("nobody has to ask for it to end");
}

#[tokio::test]
async fn a_request_at_a_complete_height_is_asked_once_and_survives_blocks() {
    let inner = Counting::new(100);
    let cache = live(&inner);
    cache.on_block(10, &[]);
    let first = ask_at(&cache, 10).await;
    cache.on_block(11, &methods(&["CloseRequest", "UpdateNode", "InitNDID"]));
    assert_eq!(ask_at(&cache, 10).await, first);
    assert_eq!(inner.asked(), 1);
    ask_at(&cache, 12).await;
    ask_at(&cache, 12).await;
    assert_eq!(inner.asked(), 3, "height 12 is not complete");
}

#[tokio::test]
async fn a_request_not_found_at_a_height_is_asked_again() {
    let inner = Arc::new(Counting {
        asked: AtomicUsize::new(0),
        allowed: Semaphore::new(100),
        failures: 0,
        finds: false,
    });
    let cache = live(&inner);
    cache.on_block(10, &[]);
    assert_eq!(ask_at(&cache, 10).await, None);
    assert_eq!(ask_at(&cache, 10).await, None);
    assert_eq!(inner.asked(), 2);
}

#[tokio::test]
async fn errors_are_not_kept() {
    let inner = Arc::new(Counting {
        asked: AtomicUsize::new(0),
        allowed: Semaphore::new(100),
        failures: usize::MAX,
        finds: true,
    });
    let cache = live(&inner);
    for _ in 0..2 {
        assert!(cache.query("GetNodeInfo", json!({}), None).await.is_err());
    }
    assert_eq!(inner.asked(), 2);
}

#[test]
fn size_is_bounded_and_what_is_asked_often_stays() {
    let question = |number: usize| CacheKey {
        method: "GetNodeInfo".to_owned(),
        params: number.to_string(),
        height: None,
    };
    let kept = || CacheEntry {
        answer: None,
        parts: 1,
        bytes: HALF_BYTES / 10,
    };
    let mut halves = Halves::default();
    for number in 0..1000 {
        halves.put(question(number), kept());
        halves.get(&question(0));
        let stored = halves.new.len() + halves.old.len();
        assert!(stored <= 20, "{stored} entries");
    }
    assert!(halves.get(&question(0)).is_some());
    assert!(halves.get(&question(500)).is_none());
}

#[test]
fn an_update_of_the_master_sets_everything() {
    let cache = CachedLedger::new(Counting::new(0));
    let mut update = ChainUpdate {
        chain_id: "chain".to_owned(),
        height: 7,
        ready: true,
        methods: Vec::new(),
        reset: true,
        era: 0,
    };
    cache.apply(&update);
    assert!(cache.state.lock().live);
    assert_eq!(cache.state.lock().complete, 7);
    update.ready = false;
    cache.apply(&update);
    assert!(!cache.state.lock().live);
}

#[test]
fn the_memory_of_answers_is_counted_not_their_text() {
    let answer = serde_json::json!({"list": [{"a": 1, "b": "text"}, {"a": 2, "b": "text"}]});
    let text = answer.to_string().len();
    let counted = memory_of(&answer);
    // Six values of an object or array, five names.
    let least = 9 * size_of::<Value>();
    assert!(counted > least && counted > 4 * text, "{counted} {text}");
    assert_eq!(memory_of(&Value::Null), size_of::<Value>());
}
