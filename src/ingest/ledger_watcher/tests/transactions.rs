//! The node's own transactions.

use super::*;

#[tokio::test]
async fn an_own_transaction_is_settled_with_its_block() {
    let node = Node::started(10).await;
    let own = transaction("CloseRequest");
    let record = expected(&own.bytes, Millis::now());
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), record);
    node.ledger
        .add(vec![transaction("CreateRequest"), own.clone()]);
    node.until_settled(11).await;
    assert_eq!(
        node.store.value(Table::ExpectedTransaction, &own.hash()),
        None
    );
    assert_eq!(node.store.payloads(rp::close_request::CLOSED).len(), 1);
    assert_eq!(node.store.acted(), [10], "acted on one block behind");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_neither_its_block_nor_others() {
    let node = Node::started(10).await;
    let own = transaction("CloseRequest");
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), vec![9, 9]);
    node.ledger.add(vec![own.clone()]);
    node.until_settled(11).await;
    let record = node.store.value(Table::ExpectedTransaction, &own.hash());
    assert_eq!(record, Some(vec![9, 9]), "kept for a release that reads it");
    let parked_by_it = node.store.payloads(transaction::CONFIRM);
    assert_eq!(parked_by_it.len(), 1, "an operator can see it");
}

#[tokio::test]
async fn a_transaction_settled_elsewhere_in_the_same_moment_is_not_settled_again() {
    let node = Node::started(10).await;
    let own = transaction("CloseRequest");
    let record = expected(&own.bytes, Millis::now());
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), record);
    *node.store.settled_elsewhere.lock() = Some(own.hash());
    node.ledger.add(vec![own]);
    node.until_settled(11).await;
    assert_eq!(node.store.payloads(rp::close_request::CLOSED).len(), 0);
    assert_eq!(node.store.acted(), [10]);
    assert!(node.watcher().state().borrow().ready);
}

#[tokio::test]
async fn a_transaction_refused_by_a_disabled_chain_is_kept_and_sent_again_later() {
    let node = Node::started(10).await;
    let mut own = transaction("CloseRequest");
    own.code = 82;
    own.log = "Chain is disabled".to_owned();
    let record = expected(&own.bytes, Millis::now());
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), record);
    node.ledger.add(vec![own.clone()]);
    node.until_settled(11).await;
    assert!(
        node.store
            .value(Table::DisabledTransaction, &own.hash())
            .is_some()
    );
    node.ledger.close_all();
    until("sent again", || {
        node.store.payloads(transaction::TRANSACT).len() == 1
    })
    .await;
    assert_eq!(
        node.store.value(Table::DisabledTransaction, &own.hash()),
        None
    );
}

#[tokio::test]
async fn every_transaction_is_looked_up_at_once_when_a_worker_is_lost() {
    let node = Node::started(10).await;
    // The look-up at the start is over by then.
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    let young = expected(b"1", Millis::now());
    node.store.put(Table::ExpectedTransaction, "aa", young);
    node.ledger.add(vec![]);
    node.until_settled(12).await;
    assert_eq!(
        node.store
            .payloads(crate::delivery::transaction::CONFIRM)
            .len(),
        0
    );
    node.losses.notify_one();
    until("looked up", || {
        !node
            .store
            .payloads(crate::delivery::transaction::CONFIRM)
            .is_empty()
    })
    .await;
}

#[tokio::test]
async fn transactions_of_a_disabled_chain_are_sent_again_once_per_trigger() {
    let node = Node::started(10).await;
    let disabled = |row: &str| {
        let record = codec::encode(&transact());
        node.store.put(Table::DisabledTransaction, row, record);
    };
    disabled("aa");
    let set_last_block = |height: i64| {
        FakeTransaction::successful("SetLastBlock", json!({"block_height": height}), "ndid1")
    };
    node.ledger.add(vec![set_last_block(5)]);
    node.until_settled(11).await;
    node.ledger.add(vec![]);
    node.until_settled(12).await;
    assert_eq!(node.store.payloads(transaction::TRANSACT).len(), 0);
    node.ledger
        .add(vec![set_last_block(-1), set_last_block(1000)]);
    until("sent again", || {
        node.store.payloads(transaction::TRANSACT).len() == 1
    })
    .await;
    assert_eq!(node.store.value(Table::DisabledTransaction, "aa"), None);
    disabled("bb");
    node.ledger.close_all();
    until("sent again after a reconnect", || {
        node.store.payloads(transaction::TRANSACT).len() == 2
    })
    .await;
}

#[tokio::test]
async fn old_transactions_that_no_block_shows_are_looked_up_once_a_period() {
    let node = Node::started(10).await;
    let old = Millis(Millis::now().0 - 60_000);
    node.store
        .put(Table::ExpectedTransaction, "aa", expected(b"1", old));
    node.store.put(
        Table::ExpectedTransaction,
        "bb",
        expected(b"2", Millis::now()),
    );
    until("looked up", || {
        !node.store.payloads(transaction::CONFIRM).is_empty()
    })
    .await;
    for _ in 0..3 {
        let before = node.ledger.called("status");
        until("time passes", || node.ledger.called("status") > before + 5).await;
    }
    let mut hashes: Vec<String> = node
        .store
        .payloads(transaction::CONFIRM)
        .iter()
        .map(|bytes| codec::decode(bytes).unwrap())
        .collect();
    // A period may have ended meanwhile.
    assert!(hashes.len() <= 2);
    hashes.dedup();
    assert_eq!(hashes, ["aa"]);
}
