//! The development ledger gives every recorded transaction its recorded
//! result, and every recorded query its recorded answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use erawan::devnet::ledger::app::{App, QueryResponse, TxResult};
use erawan::proto::wire::Tx;
use flate2::read::GzDecoder;
use prost::Message;
use prost::bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Block {
    height: i64,
    app_hash: String,
    chain_id: String,
    txs: Option<Vec<RecordedTx>>,
}

#[derive(Deserialize)]
struct RecordedTx {
    tx: String,
    code: u32,
    log: String,
    data: Option<String>,
    events: Vec<RecordedEvent>,
}

#[derive(Deserialize)]
struct RecordedEvent {
    r#type: String,
    attributes: Vec<RecordedAttribute>,
}

#[derive(Deserialize)]
struct RecordedAttribute {
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct RecordedQuery {
    height: i64,
    method: String,
    data: String,
    code: u32,
    log: String,
    value: Option<String>,
}

/// The recordings: in this repository, or where `ERAWAN_VECTORS` says.
fn vectors() -> PathBuf {
    std::env::var_os("ERAWAN_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/vectors")),
        PathBuf::from,
    )
}

fn records<T: for<'de> Deserialize<'de>>(name: &str) -> Vec<T> {
    let path = vectors().join(name);
    let file = File::open(&path)
        .unwrap_or_else(|error| panic!("no recording at {}: {error}", path.display()));
    let bytes: Box<dyn Read> = if name.ends_with(".gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    BufReader::new(bytes)
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

/// What a replay compared, and what differed.
#[derive(Default)]
struct Comparison {
    transactions: usize,
    methods: BTreeMap<String, usize>,
    queries: usize,
    query_methods: BTreeSet<String>,
    /// Queries answered while a block was being committed, equal to the state
    /// before or after it.
    queries_of_neighbour: usize,
    /// Queries for an earlier version of a request; the recording does not
    /// tell the height asked for.
    queries_of_version: usize,
    differences: Vec<String>,
    executing: Duration,
}

impl Comparison {
    fn compare_transaction(&mut self, height: i64, recorded: &RecordedTx, ours: &TxResult) {
        let tx = Tx::decode(STANDARD.decode(&recorded.tx).unwrap().as_slice()).unwrap();
        self.transactions += 1;
        *self.methods.entry(tx.method.clone()).or_default() += 1;
        let recorded_event = &recorded.events[0];
        let recorded_attributes: Vec<(&str, &str)> = recorded_event
            .attributes
            .iter()
            .map(|attribute| (attribute.key.as_str(), attribute.value.as_str()))
            .collect();
        let attributes: Vec<(&str, &str)> = ours
            .attributes
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let data = ours.data.as_ref().map(|data| STANDARD.encode(data));
        let equal = ours.code == recorded.code
            && ours.log == recorded.log
            && data == recorded.data
            && recorded.events.len() == 1
            && recorded_event.r#type == "did.result"
            && attributes == recorded_attributes;
        if !equal {
            self.differences.push(format!(
                "height {height} {}: recorded {} {:?} {:?} {recorded_attributes:?}, ours {ours:?}",
                tx.method, recorded.code, recorded.log, recorded.data,
            ));
        }
    }
}

fn answers_equally(recorded: &RecordedQuery, ours: &QueryResponse) -> bool {
    let value = ours
        .value
        .as_deref()
        .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    let same_value = match (&recorded.value, &value) {
        (Some(recorded), Some(ours)) => as_json(recorded) == as_json(ours),
        (recorded, ours) => recorded == ours,
    };
    recorded.code == ours.code && recorded.log == ours.log && same_value
}

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn replay(ledger: &str, queries: &str) -> Comparison {
    let blocks: Vec<Block> = records(ledger);
    let queries: Vec<RecordedQuery> = records(queries);
    let mut queries_at: BTreeMap<i64, Vec<RecordedQuery>> = BTreeMap::new();
    for query in queries {
        queries_at.entry(query.height).or_default().push(query);
    }
    let mut app = App::new(&blocks[0].chain_id, []);
    let mut comparison = Comparison::default();
    // Answers not found at their height wait for the next block.
    let mut waiting: Vec<(RecordedQuery, QueryResponse)> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let recorded = block.txs.as_deref().unwrap_or_default();
        let txs: Vec<Bytes> = recorded
            .iter()
            .map(|recorded| STANDARD.decode(&recorded.tx).unwrap().into())
            .collect();
        let hash_before = app.app_hash();
        let here = queries_at.remove(&block.height).unwrap_or_default();
        let before: Vec<QueryResponse> = here.iter().map(|query| ask(&app, query)).collect();

        let begin = Instant::now();
        let checks: Vec<TxResult> = txs.iter().map(|tx| app.check_tx(tx)).collect();
        let result = app.finalize_block(block.height, &txs);
        comparison.executing += begin.elapsed();

        for (recorded, (check, ours)) in
            recorded.iter().zip(checks.iter().zip(&result.transactions))
        {
            if txs.len() == 1 && check.code != 0 {
                comparison.differences.push(format!(
                    "height {}: was broadcast, but CheckTx says {check:?}",
                    block.height
                ));
            }
            comparison.compare_transaction(block.height, recorded, ours);
        }
        if let Some(next) = blocks.get(index + 1) {
            let changed = next.app_hash != block.app_hash;
            if changed != (app.app_hash() != hash_before) {
                comparison.differences.push(format!(
                    "height {}: recorded app hash changed: {changed}, ours differs",
                    block.height
                ));
            }
        }
        for (query, earlier) in std::mem::take(&mut waiting) {
            let ours = ask(&app, &query);
            comparison.settle_neighbour(&query, &earlier, &ours);
        }
        for (query, before) in here.into_iter().zip(before) {
            comparison.queries += 1;
            comparison.query_methods.insert(query.method.clone());
            let ours = ask(&app, &query);
            if answers_equally(&query, &ours) {
                continue;
            }
            if answers_equally(&query, &before) {
                comparison.queries_of_neighbour += 1;
            } else if answered_at_earlier_height(&app, &query) {
                comparison.queries_of_version += 1;
            } else {
                waiting.push((query, ours));
            }
        }
    }
    for (query, earlier) in waiting {
        comparison.settle_neighbour(&query, &earlier, &earlier);
    }
    for query in queries_at.into_values().flatten() {
        comparison.differences.push(format!(
            "query {} at {} was not asked",
            query.method, query.height
        ));
    }
    comparison
}

impl Comparison {
    fn settle_neighbour(
        &mut self,
        query: &RecordedQuery,
        earlier: &QueryResponse,
        later: &QueryResponse,
    ) {
        if answers_equally(query, later) {
            self.queries_of_neighbour += 1;
            return;
        }
        let value = earlier.value.as_deref().map(String::from_utf8_lossy);
        self.differences.push(format!(
            "height {} query {} {}:\n  recorded {} {:?} {:?}\n  ours     {} {:?} {value:?}",
            query.height,
            query.method,
            String::from_utf8_lossy(&hex::decode(&query.data).unwrap()),
            query.code,
            query.log,
            query.value,
            earlier.code,
            earlier.log,
        ));
    }

    fn conclude(&self, name: &str, transactions: usize, queries: usize) {
        assert!(
            self.differences.is_empty(),
            "{} differences, the first:\n{}",
            self.differences.len(),
            self.differences[..self.differences.len().min(20)].join("\n")
        );
        println!(
            "{name}: {} transactions of {} methods and {} queries of {} methods compared, \
             {} answered by the state one block beside, {} by an earlier version of the request, \
             none unsupported; {:.0} transactions/s checked and executed",
            self.transactions,
            self.methods.len(),
            self.queries,
            self.query_methods.len(),
            self.queries_of_neighbour,
            self.queries_of_version,
            self.transactions as f64 / self.executing.as_secs_f64(),
        );
        assert_eq!((self.transactions, self.queries), (transactions, queries));
    }
}

fn ask(app: &App, query: &RecordedQuery) -> QueryResponse {
    app.query_bytes(&hex::decode(&query.data).unwrap(), 0)
}

fn answered_at_earlier_height(app: &App, query: &RecordedQuery) -> bool {
    const MOST_BLOCKS_BACK: i64 = 10;
    if !["GetRequest", "GetRequestDetail"].contains(&query.method.as_str()) {
        return false;
    }
    let data = hex::decode(&query.data).unwrap();
    (1..=MOST_BLOCKS_BACK)
        .any(|back| answers_equally(query, &app.query_bytes(&data, query.height - back)))
}

#[test]
fn the_recorded_mode_1_network_is_replayed_without_a_difference() {
    let comparison = replay("mode1/ledger.jsonl", "mode1/queries.jsonl");
    comparison.conclude("mode1", 131, 134);
}

#[test]
fn the_recorded_network_with_everything_is_replayed_without_a_difference() {
    let comparison = replay("full/ledger.jsonl.gz", "full/queries.jsonl.gz");
    comparison.conclude("full", 1_613, 3_010);
}
