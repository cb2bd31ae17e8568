//! The development ledger over its RPC, as a node uses it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::ledger_keys::{CHAIN_ID, Keys};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use erawan::devnet::ledger::{DevLedger, Options, RunningLedger};
use erawan::proto::wire::Query;
use futures_util::{SinkExt, StreamExt};
use openssl::sha::sha256;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(20);

/// A node's connection to the ledger.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u64,
    events: Vec<Value>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let (socket, _) = connect_async(format!("ws://{address}/websocket"))
            .await
            .unwrap();
        Self {
            socket,
            last_id: 0,
            events: Vec::new(),
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match message.expect("an answer in time").unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    async fn send(&mut self, id: &str, method: &str, params: Value) {
        let request = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": id});
        self.socket
            .send(Message::text(request.to_string()))
            .await
            .unwrap();
    }

    /// Makes a call and gives the whole answer; events go aside.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id.to_string();
        self.send(&id, method, params).await;
        loop {
            let message = self.next().await;
            if message["id"] == json!(id) {
                return message;
            }
            self.events.push(message);
        }
    }

    async fn result(&mut self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await;
        assert_eq!(answer.get("error"), None, "{method}: {answer}");
        answer["result"].clone()
    }

    async fn subscribe(&mut self) {
        let query = json!(["tm.event = 'NewBlock'"]);
        self.send("newBlock_event", "subscribe", query).await;
        let acknowledgement = self.next().await;
        let expected = json!({"jsonrpc": "2.0", "id": "newBlock_event", "result": {}});
        assert_eq!(acknowledgement, expected);
    }

    async fn next_block(&mut self) -> Value {
        let event = match self.events.is_empty() {
            false => self.events.remove(0),
            true => self.next().await,
        };
        assert_eq!(event["id"], "newBlock_event");
        assert_eq!(event["result"]["data"]["type"], "tendermint/event/NewBlock");
        event["result"]["data"]["value"]["block"].clone()
    }

    async fn query(&mut self, method: &str, params: Value, height: Option<i64>) -> Value {
        let query = Query {
            method: method.to_owned(),
            params: params.to_string().into(),
        };
        let mut arguments = json!({"data": hex::encode(query.encode_to_vec())});
        if let Some(height) = height {
            arguments["height"] = json!(height.to_string());
        }
        self.result("abci_query", arguments).await["response"].clone()
    }

    async fn broadcast(&mut self, transaction: &[u8]) -> Value {
        let transaction = json!({"tx": STANDARD.encode(transaction)});
        self.result("broadcast_tx_sync", transaction).await
    }

    async fn height(&mut self) -> i64 {
        let status = self.result("status", json!([])).await;
        let height = status["sync_info"]["latest_block_height"].as_str();
        height.unwrap().parse().unwrap()
    }

    /// Broadcasts, and waits until the transaction is in a block that a
    /// further block has proved. Gives the height and the result.
    async fn execute(&mut self, transaction: &[u8]) -> (i64, Value) {
        let accepted = self.broadcast(transaction).await;
        assert_eq!(accepted["code"], 0, "{accepted}");
        let hash = json!({"hash": STANDARD.encode(sha256(transaction))});
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            assert!(
                tokio::time::Instant::now() < deadline,
                "not in a block in time"
            );
            let answer = self.call("tx", hash.clone()).await;
            let Some(height) = answer["result"]["height"].as_str() else {
                continue;
            };
            let height: i64 = height.parse().unwrap();
            if self.height().await > height {
                return (height, answer["result"]["tx_result"].clone());
            }
        }
    }
}

async fn start(directory: Option<&Path>) -> RunningLedger {
    let options = Options {
        directory: directory.map(Path::to_owned),
        ..Options::default()
    };
    DevLedger::start(options).await.unwrap()
}

/// A chain with NDID, initialised.
async fn initialise(client: &mut Client, keys: &Keys) {
    let init = keys.transaction("ndid1", "InitNDID", &keys.node("ndid1"));
    assert_eq!(client.execute(&init).await.1["log"], "success");
    let end = keys.transaction("ndid1", "EndInit", &json!({}));
    assert_eq!(client.execute(&end).await.1["log"], "success");
}

#[tokio::test]
async fn a_transaction_is_seen_in_a_block_and_proved_by_an_empty_one() {
    let ledger = start(None).await;
    let mut client = Client::connect(ledger.address).await;
    let keys = Keys::new();
    client.subscribe().await;
    let init = keys.transaction("ndid1", "InitNDID", &keys.node("ndid1"));
    let accepted = client.broadcast(&init).await;
    assert_eq!(
        (&accepted["code"], &accepted["log"]),
        (&json!(0), &json!(""))
    );
    let hash = hex::encode_upper(sha256(&init));
    assert_eq!(accepted["hash"], json!(hash));

    let mut block = client.next_block().await;
    while block["data"]["txs"] == json!([]) {
        block = client.next_block().await;
    }
    assert_eq!(block["data"]["txs"], json!([STANDARD.encode(&init)]));
    let height = block["header"]["height"].as_str().unwrap().to_owned();
    let results = client.result("block_results", json!([height])).await;
    let result = &results["txs_results"][0];
    assert_eq!(
        (&result["code"], &result["log"]),
        (&json!(0), &json!("success"))
    );
    assert_eq!(
        result["events"],
        json!([{"type": "did.result", "attributes": [{"key": "success", "value": "true", "index": false}]}])
    );
    let found = client
        .result("tx", json!({"hash": STANDARD.encode(sha256(&init))}))
        .await;
    assert_eq!(
        (&found["height"], &found["hash"]),
        (&json!(height), &json!(hash))
    );
    assert_eq!(found["tx_result"]["log"], "success");
    let stored = client.result("block", json!([height])).await;
    assert_eq!(stored["block"], block);

    let proof = client.next_block().await;
    let expected_height = (height.parse::<i64>().unwrap() + 1).to_string();
    assert_eq!(proof["header"]["height"], json!(expected_height));
    assert_eq!(proof["data"]["txs"], json!([]));
    assert_ne!(proof["header"]["app_hash"], block["header"]["app_hash"]);
    let results = client
        .result("block_results", json!([expected_height]))
        .await;
    assert_eq!(results["txs_results"], Value::Null);
    let status = client.result("status", json!([])).await;
    assert_eq!(status["node_info"]["network"], CHAIN_ID);
    assert_eq!(status["node_info"]["version"], "0.38.6");
    assert_eq!(
        status["sync_info"]["latest_block_height"],
        json!(expected_height)
    );
    assert_eq!(
        status["sync_info"]["latest_app_hash"],
        proof["header"]["app_hash"]
    );
    assert_eq!(status["sync_info"]["catching_up"], false);
    ledger.stop().await.unwrap();
}

#[tokio::test]
async fn no_block_is_made_while_nothing_happens() {
    let ledger = start(None).await;
    let mut client = Client::connect(ledger.address).await;
    let keys = Keys::new();
    initialise(&mut client, &keys).await;
    let height = client.height().await;
    // Many times the block interval; a refused broadcast is no reason either.
    assert_eq!(client.broadcast(b"rubbish").await["code"], 14);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(client.height().await, height);
    ledger.stop().await.unwrap();
}

#[tokio::test]
async fn refusals_come_at_the_stage_where_the_network_finds_them() {
    let ledger = start(None).await;
    let mut client = Client::connect(ledger.address).await;
    let keys = Keys::new();
    let early = keys.transaction("ndid1", "AddNamespace", &json!({"namespace": "n"}));
    assert_eq!(client.broadcast(&early).await["code"], 63);
    initialise(&mut client, &keys).await;

    let forged = Keys::new().transaction("ndid1", "AddNamespace", &json!({"namespace": "n"}));
    assert_eq!(client.broadcast(&forged).await["code"], 59);
    let wrong = keys.transaction("ndid1", "AddNamespace", &json!({"namespace": 1}));
    assert_eq!(client.broadcast(&wrong).await["code"], 5);
    let unknown = keys.transaction("ndid1", "MergeReferenceGroup", &json!({}));
    assert_eq!(client.broadcast(&unknown).await["code"], 49);

    let add = keys.transaction("ndid1", "AddNamespace", &json!({"namespace": "n"}));
    assert_eq!(client.execute(&add).await.1["code"], 0);
    assert_eq!(client.broadcast(&add).await["code"], 84);
    let again = keys.transaction("ndid1", "AddNamespace", &json!({"namespace": "n"}));
    let (_, result) = client.execute(&again).await;
    assert_eq!(result["code"], 21);
    assert_eq!(result["events"][0]["attributes"][0]["value"], "false");
    ledger.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_without_tokens_is_refused_at_broadcast() {
    let ledger = start(None).await;
    let mut client = Client::connect(ledger.address).await;
    let keys = Keys::new();
    initialise(&mut client, &keys).await;
    let mut rp = keys.node("rp1");
    rp["node_name"] = json!("{}");
    rp["role"] = json!("rp");
    client
        .execute(&keys.transaction("ndid1", "RegisterNode", &rp))
        .await;
    let addresses = json!({"addresses": [{"ip": "127.0.0.1", "port": 1}]});
    let set = keys.transaction("rp1", "SetMqAddresses", &addresses);
    assert_eq!(client.broadcast(&set).await["code"], 13);
    let tokens = json!({"node_id": "rp1", "amount": 1.5});
    client
        .execute(&keys.transaction("ndid1", "SetNodeToken", &tokens))
        .await;
    let set = keys.transaction("rp1", "SetMqAddresses", &addresses);
    assert_eq!(client.execute(&set).await.1["code"], 0);
    let left = client
        .query("GetNodeToken", json!({"node_id": "rp1"}), None)
        .await;
    assert_eq!(left["value"], json!(STANDARD.encode(r#"{"amount":0.5}"#)));
    ledger.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_with_the_same_directory_keeps_heights_and_answers() {
    let directory = tempfile::tempdir().unwrap();
    let keys = Keys::new();
    let ledger = start(Some(directory.path())).await;
    let mut client = Client::connect(ledger.address).await;
    initialise(&mut client, &keys).await;
    let add = keys.transaction("ndid1", "AddNamespace", &json!({"namespace": "n"}));
    let (height, result) = client.execute(&add).await;
    assert_eq!(result["code"], 0);
    let block = client.result("block", json!([height.to_string()])).await;
    // The empty block that proves it is executed a moment after it is shown.
    let proof = json!((height + 1).to_string());
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let namespaces = loop {
        assert!(tokio::time::Instant::now() < deadline, "never executed");
        let namespaces = client.query("GetNamespaceList", json!({}), None).await;
        if namespaces["height"] == proof {
            break namespaces;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    };
    let status = client.result("status", json!([])).await;
    ledger.stop().await.unwrap();

    let ledger = start(Some(directory.path())).await;
    let mut client = Client::connect(ledger.address).await;
    assert_eq!(client.result("status", json!([])).await, status);
    assert_eq!(
        client.result("block", json!([height.to_string()])).await,
        block
    );
    assert_eq!(
        client.query("GetNamespaceList", json!({}), None).await,
        namespaces
    );
    assert_eq!(client.broadcast(&add).await["code"], 84);
    let further = keys.transaction("ndid1", "DisableNamespace", &json!({"namespace": "n"}));
    assert!(client.execute(&further).await.0 > height);
    ledger.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_is_queried_as_it_was_at_a_height() {
    let ledger = start(None).await;
    let mut client = Client::connect(ledger.address).await;
    let keys = Keys::new();
    initialise(&mut client, &keys).await;
    let mut rp = keys.node("rp1");
    rp["role"] = json!("RP");
    client
        .execute(&keys.transaction("ndid1", "RegisterNode", &rp))
        .await;
    let tokens = json!({"node_id": "rp1", "amount": 100});
    client
        .execute(&keys.transaction("ndid1", "SetNodeToken", &tokens))
        .await;
    let request = json!({"mode": 1, "request_id": "aa", "min_idp": 0, "request_timeout": 60});
    let (created, result) = client
        .execute(&keys.transaction("rp1", "CreateRequest", &request))
        .await;
    assert_eq!(result["data"], json!(STANDARD.encode("aa")));
    let close = json!({"request_id": "aa", "response_valid_list": []});
    let (closed, _) = client
        .execute(&keys.transaction("rp1", "CloseRequest", &close))
        .await;
    let mut is_closed = Vec::new();
    for height in [None, Some(created), Some(closed - 1), Some(closed)] {
        let answer = client
            .query("GetRequest", json!({"request_id": "aa"}), height)
            .await;
        assert_eq!(answer["log"], "success");
        let value = STANDARD.decode(answer["value"].as_str().unwrap()).unwrap();
        let value: Value = serde_json::from_slice(&value).unwrap();
        is_closed.push(value["closed"].as_bool().unwrap());
    }
    assert_eq!(is_closed, [true, false, false, true]);
    ledger.stop().await.unwrap();
}

#[tokio::test]
async fn nonsense_is_answered_with_errors_and_harms_nobody() {
    let ledger = start(None).await;
    let mut client = Client::connect(ledger.address).await;
    for (text, code) in [
        ("{", -32700),
        ("[]", -32600),
        (r#"{"id":"1","method":"nope"}"#, -32601),
        (r#"{"id":"1","method":"block","params":["x"]}"#, -32602),
        (r#"{"id":"1","method":"block","params":7}"#, -32602),
        (r#"{"id":"1","method":"block","params":["0"]}"#, -32603),
        (
            r#"{"id":"1","method":"block_results","params":["999999"]}"#,
            -32603,
        ),
        (
            r#"{"id":"1","method":"tx","params":{"hash":"AAAA"}}"#,
            -32603,
        ),
        (
            r#"{"id":"1","method":"broadcast_tx_sync","params":{"tx":"!"}}"#,
            -32602,
        ),
        (
            r#"{"id":"1","method":"abci_query","params":{"data":"zz"}}"#,
            -32602,
        ),
        (
            r#"{"id":"1","method":"subscribe","params":["tm.event = 'Tx'"]}"#,
            -32603,
        ),
    ] {
        client.socket.send(Message::text(text)).await.unwrap();
        let answer = client.next().await;
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
    }
    let missing = client.call("tx", json!({"hash": "AAAA"})).await;
    assert_eq!(missing["error"]["data"], "tx (000000) not found");
    let answer = client.result("abci_query", json!({"data": "ffff"})).await;
    assert_eq!(answer["response"]["value"], Value::Null);
    assert_eq!(answer["response"]["code"], 49);

    // A tungstenite client takes up to 64 MiB; the ledger does not.
    let mut large = Client::connect(ledger.address).await;
    let mebibytes = |count: usize| Message::text("x".repeat(count << 20));
    large.socket.send(mebibytes(9)).await.unwrap();
    assert_eq!(large.next().await["error"]["code"], -32700);
    // The refusal may come while the message is still being sent.
    let _ = large.socket.send(mebibytes(20)).await;
    let end = tokio::time::timeout(PATIENCE, large.socket.next())
        .await
        .unwrap();
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    assert!(client.height().await >= 1);
    ledger.stop().await.unwrap();
}

#[tokio::test]
async fn tools_may_use_plain_http_on_the_same_port() {
    let ledger = start(None).await;
    let mut client = Client::connect(ledger.address).await;
    let keys = Keys::new();
    let init = keys.transaction("ndid1", "InitNDID", &keys.node("ndid1"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("http://{}/{path}", ledger.address);
    let get = async |path: String| -> Value {
        http.get(url(&path))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    let sent = get(format!("broadcast_tx_sync?tx=0x{}", hex::encode(&init))).await;
    assert_eq!(sent["result"]["code"], 0, "{sent}");
    let end = keys.transaction("ndid1", "EndInit", &json!({}));
    while client
        .call("tx", json!({"hash": STANDARD.encode(sha256(&init))}))
        .await["error"]
        != Value::Null
    {}
    let (height, _) = client.execute(&end).await;

    let status = get("status".to_owned()).await;
    assert_eq!(status["result"]["node_info"]["network"], CHAIN_ID);
    let block = get(format!("block?height={height}")).await;
    assert_eq!(
        block["result"]["block"]["data"]["txs"],
        json!([STANDARD.encode(&end)])
    );
    let results = get(format!("block_results?height=\"{height}\"")).await;
    assert_eq!(results["result"]["txs_results"][0]["log"], "success");
    let found = get(format!("tx?hash=0x{}", hex::encode(sha256(&end)))).await;
    assert_eq!(found["result"]["height"], json!(height.to_string()));
    let query = Query {
        method: "IsInitEnded".to_owned(),
        ..Query::default()
    };
    let answer = get(format!(
        "abci_query?data=0x{}",
        hex::encode(query.encode_to_vec())
    ))
    .await;
    let value = json!(STANDARD.encode(r#"{"init_ended":true}"#));
    assert_eq!(answer["result"]["response"]["value"], value);

    let request = json!({"jsonrpc": "2.0", "id": 7, "method": "health", "params": {}});
    let posted = http.post(url("")).json(&request).send().await.unwrap();
    let posted: Value = posted.json().await.unwrap();
    assert_eq!(posted, json!({"jsonrpc": "2.0", "id": 7, "result": {}}));
    ledger.stop().await.unwrap();
}
