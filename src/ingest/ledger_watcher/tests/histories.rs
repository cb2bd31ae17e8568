//! A ledger that was replaced, and one that is only behind.

use super::*;

#[tokio::test]
async fn another_chain_id_starts_at_the_first_block_of_the_new_chain() {
    let mut node = Node::started(10).await;
    node.stop();
    node.ledger.become_chain("chain-b", 4);
    node.events.lock().clear();
    node.start();
    node.until_settled(4).await;
    node.until_ready().await;
    assert_eq!(node.store.acted(), [1, 2, 3]);
    assert_eq!(node.store.progress().unwrap().chain_id, "chain-b");
    let first = &node.told()[0];
    assert!(first.era == 1 && first.reset && !first.ready, "{first:?}");
    assert_eq!((first.chain_id.as_str(), first.height), ("chain-b", 0));
}

#[tokio::test]
async fn a_chain_that_changes_while_running_is_noticed() {
    let node = Node::started(10).await;
    node.ledger.become_chain("chain-b", 30);
    until("the new chain", || {
        let progress = node.store.progress().unwrap();
        progress.chain_id == "chain-b" && progress.settled == 30
    })
    .await;
    assert_eq!(node.store.acted(), (1..=29).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ledger_reset_under_the_same_id_is_noticed_when_it_is_lower() {
    let node = Node::started(10).await;
    node.ledger.become_chain("chain-a", 3);
    node.until_settled(3).await;
    until("told", || {
        let told = node.told();
        told.iter()
            .any(|update| update.era == 1 && update.height == 3)
    })
    .await;
    node.until_ready().await;
    node.ledger.add(vec![]);
    node.until_settled(4).await;
    assert_eq!(node.store.acted(), [3]);
    assert_eq!(node.client.as_ref().unwrap().height(), 4);
}

#[tokio::test]
async fn a_ledger_reset_under_the_same_id_is_noticed_when_it_is_higher() {
    let mut node = Node::started(10).await;
    node.stop();
    node.ledger.become_chain("chain-a", 25);
    node.events.lock().clear();
    node.start();
    node.until_settled(25).await;
    assert_eq!(node.told()[0].era, 1);
    assert_eq!(node.store.acted(), [] as [u64; 0]);
}

#[tokio::test]
async fn every_transaction_is_looked_up_at_once_when_the_ledger_was_replaced() {
    let mut node = Node::started(10).await;
    node.stop();
    let young = expected(b"1", Millis::now());
    node.store.put(Table::ExpectedTransaction, "aa", young);
    node.ledger.become_chain("chain-a", 25);
    node.start();
    until("looked up", || {
        !node.store.payloads(transaction::CONFIRM).is_empty()
    })
    .await;
    assert_eq!(node.store.payloads(replaced::KIND).len(), 1);
}

/// The worst mistake would be to take it for a replaced ledger: requests would
/// be given up that the ledger knows.
#[tokio::test]
async fn a_ledger_that_is_behind_is_waited_for_however_long_it_takes() {
    let mut node = Node::started(10).await;
    for _ in 0..2 {
        node.ledger.add(vec![]);
    }
    node.until_settled(12).await;
    for restarts in [false, true] {
        node.events.lock().clear();
        let behind = node.ledger.fall_behind(2);
        if restarts {
            node.stop();
            node.start();
        }
        let mut state = node.watcher().state();
        let lower = state.wait_for(|state| state.lower == Some((10, 12)));
        let lower = tokio::time::timeout(PATIENCE, lower).await;
        lower.expect("it says so").unwrap();
        // Neither a count nor a clock may decide it.
        let asked = node.ledger.called("status");
        until("looked", || node.ledger.called("status") > asked + 20).await;
        assert!(!state.borrow().ready);
        assert!(node.watcher().state().borrow().reasons()[0].contains("block 10"));
        let client = node.client.as_ref().unwrap();
        let answer = client.query("GetRequestDetail", json!({}), None).await;
        assert!(answer.unwrap_err().is_temporary(), "it is not believed");
        node.ledger.catch_up(behind);
        node.until_ready().await;
        assert_eq!(node.watcher().state().borrow().lower, None);
        assert!(node.told().iter().all(|update| update.era == 0));
        assert_eq!(node.store.settled(), 12);
        assert_eq!(node.store.payloads(replaced::KIND).len(), 0);
    }
}

/// As a restored ledger may, whose machines' clock was set back.
#[tokio::test]
async fn a_ledger_that_comes_to_a_known_height_with_another_block_was_replaced() {
    let mut node = Node::started(10).await;
    for _ in 0..2 {
        node.ledger.add(vec![]);
    }
    node.until_settled(12).await;
    node.stop();
    node.ledger.fall_behind(2);
    node.ledger.script.lock().second -= 3600;
    node.start();
    let mut state = node.watcher().state();
    let lower = state.wait_for(|state| state.lower.is_some());
    tokio::time::timeout(PATIENCE, lower)
        .await
        .unwrap()
        .unwrap();
    node.ledger.add(vec![]);
    until("noticed", || node.store.payloads(replaced::KIND).len() == 1).await;
    node.until_ready().await;
    assert_eq!(node.store.progress().unwrap().era, 1);
    assert_eq!(node.store.settled(), 11);
}
