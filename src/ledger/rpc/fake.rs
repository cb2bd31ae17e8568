//! A ledger for tests: a WebSocket server on loopback with a scripted chain and
//! faults that tests switch on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::RpcOptions;
use crate::ledger::transaction;

/// How long tests wait for something that takes moments.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for a condition that another task brings about.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what} in time"));
}

/// A transaction in a fake block.
#[derive(Clone)]
pub(crate) struct FakeTransaction {
    pub bytes: Vec<u8>,
    pub code: u32,
    pub log: String,
}

impl FakeTransaction {
    pub fn successful(method: &str, params: Value, node_id: &str) -> Self {
        let params = params.to_string();
        let signed = transaction::encode(method, params.as_bytes(), &[1; 32], &[2; 64], node_id);
        Self {
            bytes: signed.bytes,
            code: 0,
            log: "success".to_owned(),
        }
    }

    pub fn hash(&self) -> String {
        transaction::hash(&self.bytes)
    }
}

/// A block of the fake chain.
pub(crate) struct FakeBlock {
    app_hash: String,
    second: i64,
    transactions: Vec<FakeTransaction>,
}

impl FakeBlock {
    fn time(&self) -> String {
        let time = OffsetDateTime::from_unix_timestamp(self.second).unwrap();
        time.format(&Rfc3339).unwrap()
    }

    fn hash(&self) -> String {
        format!("B{}", self.app_hash)
    }
}

/// The fake chain and its faults.
pub(crate) struct Script {
    pub chain_id: String,
    pub version: String,
    pub catching_up: bool,
    pub initialised: bool,
    /// Block `index + 1`.
    pub blocks: Vec<FakeBlock>,
    /// The time of the next block.
    pub second: i64,
    /// How many calls find no results of an existing block.
    pub late_results: usize,
    /// The application's answer to whether it is initialised.
    pub found: Option<Value>,
    /// Whether the application finds anything.
    pub finds: bool,
    /// The code that refuses transactions; 0 accepts them.
    pub refusal: u32,
    pub earliest: u64,
    /// Subscriptions are acknowledged and then show nothing.
    pub silent_subscription: bool,
    /// Answers that replace those of methods.
    pub answers: HashMap<String, Value>,
    /// Text frames that replace the answers of methods.
    pub rubbish: HashMap<String, String>,
    /// Methods that are never answered.
    pub mute: Vec<String>,
    /// A call of this method closes its socket.
    pub close_on: Option<String>,
    /// Methods in the order called.
    pub calls: Vec<(String, Value)>,
}

impl Script {
    fn tip(&self) -> u64 {
        self.blocks.len() as u64
    }

    fn block(&self, height: u64) -> Option<&FakeBlock> {
        let kept = height >= self.earliest;
        self.blocks
            .get(usize::try_from(height.checked_sub(1)?).ok()?)
            .filter(|_| kept)
    }

    fn block_json(&self, height: u64) -> Option<Value> {
        let block = self.block(height)?;
        let encoded: Vec<String> = block
            .transactions
            .iter()
            .map(|transaction| BASE64.encode(&transaction.bytes))
            .collect();
        let header = json!({
            "height": height.to_string(), "app_hash": block.app_hash, "time": block.time(),
            "chain_id": self.chain_id,
        });
        Some(json!({
            "block_id": {"hash": block.hash()},
            "block": {"header": header, "data": {"txs": encoded}},
        }))
    }

    fn push(&mut self, app_hash: String, transactions: Vec<FakeTransaction>) {
        self.blocks.push(FakeBlock {
            app_hash,
            second: self.second,
            transactions,
        });
        self.second += 1;
    }

    fn answer(&self, method: &str, params: &Value) -> Option<Value> {
        if let Some(answer) = self.answers.get(method) {
            return Some(answer.clone());
        }
        let height = || params[0].as_str()?.parse::<u64>().ok();
        let result = |transaction: &FakeTransaction| {
            let success = (transaction.log == "success").to_string();
            json!({"code": transaction.code, "log": transaction.log, "events": [
                {"type": "did.result", "attributes": [{"key": "success", "value": success}]}]})
        };
        match method {
            "status" => {
                let last = self.blocks.last();
                Some(json!({
                    "node_info": {"network": self.chain_id, "version": self.version},
                    "sync_info": {"catching_up": self.catching_up, "latest_block_height": self.tip().to_string(),
                        "latest_block_hash": last.map_or(String::new(), FakeBlock::hash),
                        "latest_app_hash": last.map_or("", |last| &last.app_hash),
                        "latest_block_time": last.map_or(String::new(), FakeBlock::time),
                        "earliest_block_height": self.earliest.to_string()}}))
            }
            "abci_info" => {
                let height = self.tip().to_string();
                Some(json!({"response": {"last_block_height": height}}))
            }
            "block" => self.block_json(height()?),
            "block_results" => {
                let transactions = &self.block(height()?)?.transactions;
                let results: Vec<Value> = transactions.iter().map(result).collect();
                Some(json!({"height": params[0], "txs_results": results}))
            }
            "tx" => {
                let wanted = BASE64.decode(params["hash"].as_str()?).ok()?;
                let wanted = hex::encode(wanted);
                let mut heights = 1..=self.tip();
                heights.find_map(|height| {
                    let transactions = &self.block(height)?.transactions;
                    let found = transactions.iter().find(|one| one.hash() == wanted)?;
                    Some(json!({"height": height.to_string(), "tx_result": result(found)}))
                })
            }
            "abci_query" => {
                let found = json!({"init_ended": self.initialised});
                let found = self.found.as_ref().unwrap_or(&found).to_string();
                let log = match self.finds {
                    true => "success",
                    false => "not found",
                };
                Some(json!({"response": {
                    "log": log, "value": BASE64.encode(found), "height": self.tip().to_string(),
                }}))
            }
            "num_unconfirmed_txs" => Some(json!({"n_txs": "0", "total": "0", "total_bytes": "0"})),
            "broadcast_tx_sync" => Some(json!({"code": self.refusal, "log": "", "hash": "AB"})),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq)]
enum Order {
    Show(u64),
    Close,
    Ping,
    Send(String),
}

/// The server. Its port stays the same for its life.
pub(crate) struct FakeLedger {
    pub port: u16,
    pub script: Arc<Mutex<Script>>,
    orders: broadcast::Sender<Order>,
    server: JoinHandle<()>,
}

impl FakeLedger {
    /// A chain of `height` empty blocks.
    pub async fn start(height: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(Script {
            chain_id: "chain-a".to_owned(),
            version: "0.38.6".to_owned(),
            catching_up: false,
            initialised: true,
            blocks: Vec::new(),
            second: 1_700_000_000,
            late_results: 0,
            found: None,
            finds: true,
            refusal: 0,
            earliest: 1,
            silent_subscription: false,
            answers: HashMap::new(),
            rubbish: HashMap::new(),
            mute: Vec::new(),
            close_on: None,
            calls: Vec::new(),
        }));
        let (orders, _) = broadcast::channel(1024);
        let server = tokio::spawn(accept(listener, script.clone(), orders.clone()));
        let ledger = Self {
            port,
            script,
            orders,
            server,
        };
        ledger.become_chain("chain-a", height);
        ledger
    }

    /// Options with short pauses.
    pub fn options(&self) -> RpcOptions {
        let mut options = RpcOptions::new("127.0.0.1", self.port, 3);
        options.first_reconnect = std::time::Duration::from_millis(10);
        options.longest_reconnect = std::time::Duration::from_millis(50);
        options
    }

    /// Replaces the chain without an event.
    pub fn become_chain(&self, chain_id: &str, height: u64) {
        let mut script = self.script.lock();
        script.chain_id = chain_id.to_owned();
        let salt = rand::random::<u32>();
        script.blocks.clear();
        for height in 1..=height {
            script.push(format!("{salt}-{height}"), Vec::new());
        }
    }

    /// Replaces the node by one of the same chain that lacks the last blocks.
    /// They are returned for [`Self::catch_up`].
    pub fn fall_behind(&self, blocks: usize) -> Vec<FakeBlock> {
        let behind = {
            let mut script = self.script.lock();
            let height = script.blocks.len() - blocks;
            script.blocks.split_off(height)
        };
        self.close_all();
        behind
    }

    /// Replaces the node by one that has these blocks.
    pub fn catch_up(&self, blocks: Vec<FakeBlock>) {
        self.script.lock().blocks.extend(blocks);
        self.close_all();
    }

    /// Adds a block without an event.
    pub fn add_quietly(&self, transactions: Vec<FakeTransaction>) -> u64 {
        let mut script = self.script.lock();
        script.push(format!("{}", rand::random::<u64>()), transactions);
        script.tip()
    }

    /// Adds a block and announces it.
    pub fn add(&self, transactions: Vec<FakeTransaction>) -> u64 {
        let height = self.add_quietly(transactions);
        self.show(height);
        height
    }

    pub fn show(&self, height: u64) {
        self.orders.send(Order::Show(height)).ok();
    }

    pub fn close_all(&self) {
        self.orders.send(Order::Close).ok();
    }

    pub fn ping_all(&self) {
        self.orders.send(Order::Ping).ok();
    }

    /// Sends a text frame on every socket.
    pub fn send_to_all(&self, text: &str) {
        self.orders.send(Order::Send(text.to_owned())).ok();
    }

    pub fn called(&self, method: &str) -> usize {
        let script = self.script.lock();
        script
            .calls
            .iter()
            .filter(|(name, _)| name == method)
            .count()
    }
}

impl Drop for FakeLedger {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(
    listener: TcpListener,
    script: Arc<Mutex<Script>>,
    orders: broadcast::Sender<Order>,
) {
    let mut sockets = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        sockets.spawn(serve(stream, script.clone(), orders.subscribe()));
    }
}

async fn serve(
    stream: TcpStream,
    script: Arc<Mutex<Script>>,
    mut orders: broadcast::Receiver<Order>,
) {
    let Ok(mut socket) = accept_async(stream).await else {
        return;
    };
    let mut subscribed = false;
    loop {
        let frames: Vec<String> = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => match handle(&script, text.as_str(), &mut subscribed) {
                    Some(frames) => frames,
                    None => return,
                },
                Some(Ok(_)) => continue,
                _ => return,
            },
            order = orders.recv() => match order {
                Ok(Order::Close) | Err(_) => return,
                Ok(Order::Ping) => {
                    if socket.send(Message::Ping(Vec::new().into())).await.is_err() {
                        return;
                    }
                    continue;
                }
                Ok(Order::Send(text)) => vec![text],
                Ok(Order::Show(height)) => event(&script, height, subscribed),
            },
        };
        for frame in frames {
            if socket.send(Message::text(frame)).await.is_err() {
                return;
            }
        }
    }
}

fn event(script: &Mutex<Script>, height: u64, subscribed: bool) -> Vec<String> {
    let script = script.lock();
    if !subscribed || script.silent_subscription {
        return Vec::new();
    }
    let block = script.block_json(height);
    let value = json!({"data": {"type": "tendermint/event/NewBlock", "value": block}});
    vec![json!({"jsonrpc": "2.0", "id": "newBlock_event", "result": value}).to_string()]
}

/// Frames to send; `None`: close the socket.
fn handle(script: &Mutex<Script>, text: &str, subscribed: &mut bool) -> Option<Vec<String>> {
    let call: Value = serde_json::from_str(text).unwrap();
    let method = call["method"].as_str().unwrap().to_owned();
    assert!(call["id"].is_string(), "ids are strings: {call}");
    let mut script = script.lock();
    script.calls.push((method.clone(), call["params"].clone()));
    if script.close_on.as_ref() == Some(&method) {
        return None;
    }
    if script.mute.contains(&method) {
        return Some(Vec::new());
    }
    if let Some(rubbish) = script.rubbish.get(&method) {
        return Some(vec![rubbish.clone()]);
    }
    let id = &call["id"];
    if method == "subscribe" {
        *subscribed = true;
        return Some(vec![
            json!({"jsonrpc": "2.0", "id": id, "result": {}}).to_string(),
        ]);
    }
    if method == "block_results" && script.late_results > 0 {
        script.late_results -= 1;
        let data = format!("could not find results for height #{}", call["params"][0]);
        let error = json!({"code": -32603, "message": "Internal error", "data": data});
        let answer = json!({"jsonrpc": "2.0", "id": id, "error": error});
        return Some(vec![answer.to_string()]);
    }
    let answer = match script.answer(&method, &call["params"]) {
        Some(Value::Object(answer)) if answer.contains_key("error") => {
            json!({"jsonrpc": "2.0", "id": id, "error": answer["error"]})
        }
        Some(answer) => json!({"jsonrpc": "2.0", "id": id, "result": answer}),
        None => json!({"jsonrpc": "2.0", "id": id, "error":
            {"code": -32603, "message": "Internal error", "data": "tx (AB) not found"}}),
    };
    Some(vec![answer.to_string()])
}
