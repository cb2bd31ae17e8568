//! The client against a ledger that misbehaves.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::fake::{FakeLedger, FakeTransaction, PATIENCE, until};
use super::{BlockSubscription, RpcOptions};
use crate::error::Error;
use crate::ledger::{ChainUpdate, Ledger, LedgerClient, TolerantLedger};

async fn client_of(options: RpcOptions) -> Arc<LedgerClient> {
    let sockets = options.connections;
    let client = LedgerClient::start(options);
    let mut connected = client.connected();
    let opening = connected.wait_for(|count| *count == sockets);
    tokio::time::timeout(PATIENCE, opening)
        .await
        .expect("connected in time")
        .unwrap();
    client
}

fn remote_error(data: &str) -> serde_json::Value {
    json!({"error": {"code": -32603, "message": "Internal error", "data": data}})
}

#[tokio::test]
async fn chain_id_and_height_are_known_once_connected_and_forgotten_when_not() {
    let ledger = FakeLedger::start(7).await;
    let client = client_of(ledger.options()).await;
    until("introduced", || client.chain_id().is_ok()).await;
    assert_eq!(client.chain_id().unwrap(), "chain-a");
    assert_eq!(client.height(), 7);
    drop(ledger);
    until("forgotten", || client.chain_id().is_err()).await;
    let error = client.chain_id().unwrap_err();
    assert!(error.is_temporary() && error.code().number == 10008);
}

#[tokio::test]
async fn calls_go_over_every_socket_and_answers_find_their_callers() {
    let ledger = FakeLedger::start(60).await;
    let client = client_of(ledger.options()).await;
    let calls = (1..=60).map(|height| {
        let client = client.clone();
        async move { (height, client.block(height, None).await.unwrap().height) }
    });
    for (asked, got) in futures_util::future::join_all(calls).await {
        assert_eq!(asked, got);
    }
}

#[tokio::test]
async fn a_socket_that_closes_in_the_middle_fails_its_calls_and_comes_back() {
    let ledger = FakeLedger::start(3).await;
    let client = client_of(ledger.options()).await;
    ledger.script.lock().close_on = Some("broadcast_tx_sync".to_owned());
    let error = client.broadcast(b"tx").await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    ledger.script.lock().close_on = None;
    let mut connected = client.connected();
    connected.wait_for(|count| *count == 3).await.unwrap();
    assert_eq!(client.broadcast(b"tx").await.unwrap().code, 0);
}

#[tokio::test]
async fn a_ledger_that_never_answers_fails_the_call_in_time() {
    let ledger = FakeLedger::start(3).await;
    let mut options = ledger.options();
    options.call_timeout = Duration::from_millis(50);
    let client = client_of(options).await;
    ledger.script.lock().mute.push("abci_query".to_owned());
    let error = client.query("GetNodeInfo", json!({}), None).await;
    assert!(error.unwrap_err().is_temporary());
}

#[tokio::test]
async fn a_call_without_any_socket_fails_at_once() {
    let mut options = RpcOptions::new("127.0.0.1", 1, 2);
    options.call_timeout = PATIENCE;
    let client = LedgerClient::start(options);
    let asking = client.query("GetNodeInfo", json!({}), None);
    let error: Error = tokio::time::timeout(PATIENCE / 2, asking)
        .await
        .expect("at once")
        .unwrap_err();
    assert!(error.is_temporary() && error.code().number == 10008);
}

#[tokio::test]
async fn rubbish_fails_the_call_and_nothing_else() {
    let ledger = FakeLedger::start(3).await;
    let mut options = ledger.options();
    options.call_timeout = Duration::from_millis(100);
    let client = client_of(options).await;
    for rubbish in [
        "",
        "null",
        "[1]",
        "{\"id\":\"1\"}",
        "\u{0}\u{1}",
        "{\"result\":",
    ] {
        let text = rubbish.to_owned();
        ledger
            .script
            .lock()
            .rubbish
            .insert("block".to_owned(), text);
        assert!(client.block(1, None).await.is_err(), "{rubbish}");
    }
    ledger.script.lock().rubbish.clear();
    for answer in [json!(null), json!([]), json!({"block": 7}), json!("x")] {
        ledger
            .script
            .lock()
            .answers
            .insert("block".to_owned(), answer);
        assert!(client.block(1, None).await.is_err());
    }
    ledger.script.lock().answers.clear();
    // On a very busy machine 100 ms may be too short for this call too.
    let answered = async {
        loop {
            if let Ok(block) = client.block(1, None).await {
                return block.height;
            }
        }
    };
    let height = tokio::time::timeout(PATIENCE, answered).await;
    assert_eq!(height.expect("it goes on"), 1);
}

#[tokio::test]
async fn a_block_of_another_height_is_not_taken() {
    let ledger = FakeLedger::start(3).await;
    let client = client_of(ledger.options()).await;
    let block =
        json!({"block": {"header": {"height": "2", "chain_id": "chain-a"}, "data": {"txs": []}}});
    ledger
        .script
        .lock()
        .answers
        .insert("block".to_owned(), block);
    assert!(client.block(3, None).await.is_err());
}

#[tokio::test]
async fn a_full_mempool_is_recognised_in_any_spelling() {
    let ledger = FakeLedger::start(3).await;
    let client = client_of(ledger.options()).await;
    for data in [
        "Mempool is full",
        "mempool is full: number of txs 5000 (max: 5000)",
    ] {
        let answer = remote_error(data);
        ledger
            .script
            .lock()
            .answers
            .insert("broadcast_tx_sync".to_owned(), answer);
        let error = client.broadcast(b"tx").await.unwrap_err();
        assert_eq!(error.code().number, 10049);
        assert!(error.is_temporary());
    }
}

#[tokio::test]
async fn bytes_the_ledger_has_met_before_count_as_a_repeated_nonce() {
    let ledger = FakeLedger::start(3).await;
    let client = client_of(ledger.options()).await;
    let answer = remote_error("tx already exists in cache");
    ledger
        .script
        .lock()
        .answers
        .insert("broadcast_tx_sync".to_owned(), answer);
    assert_eq!(client.broadcast(b"tx").await.unwrap().code, 84);
}

#[tokio::test]
async fn a_transaction_is_found_by_hash_or_not_at_all() {
    let ledger = FakeLedger::start(3).await;
    let client = client_of(ledger.options()).await;
    let transaction = FakeTransaction::successful("CloseRequest", json!({}), "rp1");
    ledger.add_quietly(vec![transaction.clone()]);
    let inclusion = client.transaction(&transaction.hash()).await.unwrap();
    assert_eq!(inclusion.unwrap().height, 4);
    let unknown = client.transaction(&"00".repeat(32)).await.unwrap();
    assert_eq!(unknown, None);
    ledger
        .script
        .lock()
        .answers
        .insert("tx".to_owned(), remote_error("indexing is disabled"));
    assert!(client.transaction(&transaction.hash()).await.is_err());
}

fn seen(height: u64) -> ChainUpdate {
    ChainUpdate {
        chain_id: "chain-a".to_owned(),
        height,
        ready: true,
        methods: Vec::new(),
        reset: false,
        era: 0,
    }
}

/// A ledger node that is behind: what it does not know may exist.
#[tokio::test]
async fn what_a_node_that_is_behind_does_not_know_is_not_unknown() {
    let ledger = FakeLedger::start(7).await;
    let client = client_of(ledger.options()).await;
    until("introduced", || client.chain_id().is_ok()).await;
    let tolerant = TolerantLedger::new(client.clone(), client.clone());
    let query = |ledger: Arc<dyn Ledger>, height| async move {
        ledger.query("GetRequestDetail", json!({}), height).await
    };
    let (jobs, calls): (Arc<dyn Ledger>, Arc<dyn Ledger>) = (client.clone(), Arc::new(tolerant));
    for ledger in [&jobs, &calls] {
        assert!(query(ledger.clone(), None).await.unwrap().is_some());
    }
    client.apply(&seen(9));
    let error = query(jobs.clone(), None).await.unwrap_err();
    assert!(error.is_temporary() && client.is_behind(), "{error}");
    assert!(error.message().contains("block 7, although block 9"));
    assert!(query(calls.clone(), None).await.unwrap().is_some(), "found");
    assert!(
        query(calls.clone(), Some(9)).await.is_err(),
        "not of block 9"
    );
    ledger.script.lock().finds = false;
    assert!(query(calls.clone(), None).await.unwrap_err().is_temporary());
    let hash = FakeTransaction::successful("A", json!({}), "rp1").hash();
    assert!(client.transaction(&hash).await.unwrap_err().is_temporary());

    for _ in 0..2 {
        ledger.add_quietly(vec![]);
    }
    for ledger in [&jobs, &calls] {
        assert_eq!(query(ledger.clone(), None).await, Ok(None));
    }
    assert!(!client.is_behind());
    assert_eq!(client.transaction(&hash).await, Ok(None));
    // The next block is waited for, for a moment.
    client.apply(&seen(10));
    let asked = tokio::spawn(query(jobs, None));
    until("asked again", || ledger.called("abci_query") > 20).await;
    ledger.add_quietly(vec![]);
    assert_eq!(asked.await.unwrap(), Ok(None));
}

#[tokio::test]
async fn a_refusal_by_a_node_that_is_behind_is_premature() {
    let ledger = FakeLedger::start(7).await;
    let client = client_of(ledger.options()).await;
    until("introduced", || client.chain_id().is_ok()).await;
    client.apply(&seen(9));
    assert!(!client.broadcast(b"tx").await.unwrap().is_premature);
    ledger.script.lock().refusal = 7;
    let refused = client.broadcast(b"tx").await.unwrap();
    assert!(refused.is_premature && refused.code == 7);
    client.apply(&seen(7));
    assert!(!client.broadcast(b"tx").await.unwrap().is_premature);
}

#[tokio::test]
async fn an_old_ledger_is_refused_with_its_version() {
    let ledger = FakeLedger::start(3).await;
    ledger.script.lock().version = "0.32.1".to_owned();
    let client = client_of(ledger.options()).await;
    let error = client.status().await.unwrap_err();
    assert!(error.message().contains("0.32.1"), "{error}");
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn a_subscription_shows_new_blocks_and_says_why_it_ended() {
    let ledger = FakeLedger::start(3).await;
    let mut subscription = BlockSubscription::open(&ledger.options()).await.unwrap();
    ledger.add(vec![FakeTransaction::successful("A", json!({}), "rp1")]);
    let sighting = subscription.changed().await;
    let newest = &sighting.newest().unwrap().body;
    assert_eq!((newest.height, newest.transactions.len()), (4, 1));
    ledger.close_all();
    assert!(subscription.changed().await.ended.is_some());
}

#[tokio::test]
async fn a_subscription_that_gets_rubbish_or_an_error_ends() {
    let ledger = FakeLedger::start(3).await;
    for text in [
        "rubbish",
        r#"{"id":"newBlock_event","result":{"data":1}}"#,
        r#"{"id":"newBlock_event","error":{"code":-32000,"message":"Server error","data":"slow"}}"#,
    ] {
        let mut subscription = BlockSubscription::open(&ledger.options()).await.unwrap();
        ledger.send_to_all(text);
        let ended = async { while subscription.changed().await.ended.is_none() {} };
        tokio::time::timeout(PATIENCE, ended).await.expect(text);
    }
}

#[tokio::test]
async fn a_silent_subscription_ends_after_the_limit() {
    let ledger = FakeLedger::start(3).await;
    let mut options = ledger.options();
    options.silence_limit = Duration::from_millis(50);
    let mut subscription = BlockSubscription::open(&options).await.unwrap();
    let sighting = tokio::time::timeout(PATIENCE, subscription.changed()).await;
    assert!(sighting.unwrap().ended.unwrap().contains("silent"));
}

#[tokio::test]
async fn pings_keep_a_subscription_alive_that_has_no_blocks_to_show() {
    let ledger = FakeLedger::start(3).await;
    let mut options = ledger.options();
    options.silence_limit = Duration::from_millis(1500);
    let mut subscription = BlockSubscription::open(&options).await.unwrap();
    for _ in 0..10 {
        ledger.ping_all();
        let quiet = tokio::time::timeout(Duration::from_millis(300), subscription.changed()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
    ledger.add(vec![]);
    let sighting = subscription.changed().await;
    assert_eq!(sighting.newest().unwrap().body.height, 4);
}
