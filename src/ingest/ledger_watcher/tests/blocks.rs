//! Following blocks, whatever ledger and store do.

use super::*;

#[tokio::test]
async fn blocks_wait_while_there_is_no_room_and_nothing_is_answered_from_memory() {
    let node = Node::started(10).await;
    node.is_full.send_replace(true);
    node.ledger.add(vec![transaction("CreateRequest")]);
    until("it is told that nothing is known", || {
        node.told().last().is_some_and(|update| !update.ready)
    })
    .await;
    assert_eq!(node.store.settled(), 10);
    node.is_full.send_replace(false);
    node.until_settled(11).await;
    node.until_ready().await;
    // The jobs of a block are stored with the next one.
    assert_eq!(node.store.acted(), [10]);
}

#[tokio::test]
async fn the_first_start_begins_at_the_current_height() {
    let node = Node::started(10).await;
    assert_eq!(node.store.settled(), 10);
    assert_eq!(node.store.acted(), [] as [u64; 0]);
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    assert_eq!(node.store.acted(), [10]);
}

#[tokio::test]
async fn a_block_is_told_then_stored_then_handed_over() {
    let node = Node::started(10).await;
    node.events.lock().clear();
    let mut refused = transaction("AddNamespace");
    refused.log = "no".to_owned();
    node.ledger.add(vec![transaction("UpdateNode"), refused]);
    until("handed over", || node.events.lock().len() >= 2).await;
    let events = node.events.lock().clone();
    let update = ChainUpdate {
        chain_id: "chain-a".to_owned(),
        height: 11,
        ready: true,
        methods: vec!["UpdateNode".to_owned()],
        reset: false,
        era: 0,
    };
    assert_eq!(events[..2], [Event::Told(update), Event::Handed(1)]);
    assert_eq!(node.client.as_ref().unwrap().height(), 11);
}

#[tokio::test]
async fn blocks_missed_while_stopped_are_caught_up_in_order_and_once() {
    let mut node = Node::started(10).await;
    node.stop();
    for _ in 0..120 {
        node.ledger.add_quietly(vec![]);
    }
    node.start();
    node.until_settled(130).await;
    assert_eq!(node.store.acted(), (10..=129).collect::<Vec<_>>());
    node.ledger.add(vec![]);
    node.until_settled(131).await;
    assert_eq!(node.store.acted().last(), Some(&130));
    node.stop();
    node.start();
    node.until_ready().await;
    assert_eq!(node.store.acted(), (10..=130).collect::<Vec<_>>());
}

#[tokio::test]
async fn empty_blocks_are_stored_later_and_read_again_after_a_crash() {
    let mut node = Node::new(10).await;
    node.timing.empty = Duration::from_secs(600);
    node.start();
    node.until_ready().await;
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    for height in [12, 13] {
        node.ledger.add(vec![]);
        until("told", || node.height() == height).await;
    }
    assert_eq!(node.store.settled(), 11, "nothing is lost with them");
    // The end of a subscription is no crash: what is in memory remains.
    node.ledger.close_all();
    node.ledger.add(vec![]);
    until("told", || node.height() == 14 && node.is_ready()).await;
    let told = node.told();
    assert!(told.is_sorted_by_key(|update| update.height), "{told:?}");
    node.stop();
    node.start();
    node.until_ready().await;
    assert_eq!(node.height(), 14, "read again");
    node.ledger.add(vec![transaction("CreateRequest")]);
    node.until_settled(15).await;
    node.ledger.add(vec![]);
    node.until_settled(16).await;
    let acted = node.store.acted();
    assert!(acted.ends_with(&[15]), "{acted:?}");
    assert!(
        acted.is_sorted_by(|one, next| one < next),
        "none twice: {acted:?}"
    );
}

#[tokio::test]
async fn a_gap_between_events_is_filled() {
    let node = Node::started(10).await;
    for _ in 0..5 {
        node.ledger.add_quietly(vec![]);
    }
    node.ledger.add(vec![]);
    node.until_settled(16).await;
    assert_eq!(node.store.acted(), (10..=15).collect::<Vec<_>>());
}

#[tokio::test]
async fn sockets_that_close_do_not_lose_blocks() {
    let node = Node::started(10).await;
    for _ in 0..5 {
        node.ledger.add_quietly(vec![]);
        node.ledger.close_all();
        node.ledger.add(vec![]);
    }
    node.until_settled(20).await;
    assert_eq!(node.store.acted(), (10..=19).collect::<Vec<_>>());
    let told = node.told();
    assert!(
        told.iter().any(|update| !update.ready && update.reset),
        "caches are stopped while the subscription is lost: {told:?}"
    );
}

#[tokio::test]
async fn a_subscription_that_shows_nothing_is_replaced_and_blocks_go_on() {
    let node = Node::started(10).await;
    node.ledger.script.lock().silent_subscription = true;
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    until("subscribed anew", || node.ledger.called("subscribe") >= 2).await;
    node.ledger.script.lock().silent_subscription = false;
    node.ledger.add(vec![]);
    node.until_settled(12).await;
}

#[tokio::test]
async fn a_block_that_cannot_be_read_is_tried_until_it_can() {
    let node = Node::started(10).await;
    let answers = |value| {
        let mut script = node.ledger.script.lock();
        script.answers.insert("block_results".to_owned(), value);
    };
    answers(json!({"height": "11", "txs_results": [{"code": 0}, {"code": 0}]}));
    node.ledger.add(vec![transaction("CreateRequest")]);
    until("no longer ready", || !node.watcher().state().borrow().ready).await;
    assert_eq!(node.store.settled(), 10);
    node.ledger.script.lock().answers.clear();
    node.until_settled(11).await;
    node.until_ready().await;
    assert_eq!(node.store.acted(), [10]);
}

#[tokio::test]
async fn a_block_whose_jobs_cannot_be_made_is_tried_until_they_can() {
    let node = Node::started(10).await;
    *node.block_jobs.failures.lock() = 3;
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    assert_eq!(*node.block_jobs.failures.lock(), 0);
    assert_eq!(node.store.acted(), [10]);
}

#[tokio::test]
async fn a_store_that_is_away_delays_and_loses_nothing() {
    let node = Node::started(10).await;
    node.store.unavailable.store(true, Ordering::SeqCst);
    node.ledger.add(vec![]);
    node.ledger.add(vec![]);
    until("no longer ready", || !node.watcher().state().borrow().ready).await;
    node.store.unavailable.store(false, Ordering::SeqCst);
    node.until_settled(12).await;
    assert_eq!(node.store.acted(), [10, 11]);
}

#[tokio::test]
async fn a_store_that_stored_without_answering_does_not_lead_to_a_second_time() {
    let node = Node::started(10).await;
    node.store.forgets_to_answer.store(true, Ordering::SeqCst);
    node.ledger.add(vec![]);
    node.until_settled(11).await;
    node.ledger.add(vec![]);
    node.until_settled(12).await;
    assert_eq!(node.store.acted(), [10, 11]);
}

#[tokio::test]
async fn a_deposed_master_stops_and_says_so() {
    let node = Node::started(10).await;
    node.store.deposed.store(true, Ordering::SeqCst);
    node.ledger.add(vec![]);
    let end = tokio::time::timeout(PATIENCE, node.watcher().ended()).await;
    assert_eq!(end.expect("ended in time"), WatcherEnd::Deposed);
    assert_eq!(node.store.settled(), 10);
}

/// A block is known to exist before the ledger's node has stored what it did.
#[tokio::test]
async fn results_that_come_late_are_waited_for_in_silence() {
    let node = Node::started(10).await;
    let own = transaction("CloseRequest");
    let record = expected(&own.bytes, Millis::now());
    node.store
        .put(Table::ExpectedTransaction, &own.hash(), record);
    node.events.lock().clear();
    node.ledger.script.lock().late_results = 5;
    node.ledger.add(vec![own]);
    node.until_settled(11).await;
    assert_eq!(node.store.payloads(rp::close_request::CLOSED).len(), 1);
    assert_eq!(node.ledger.script.lock().late_results, 0);
    assert!(
        node.told().iter().all(|update| update.ready),
        "nothing was wrong: {:?}",
        node.told()
    );
}

#[tokio::test]
async fn nothing_is_followed_until_the_ledger_is_synchronised_and_initialised() {
    let mut node = Node::new(10).await;
    node.ledger.script.lock().catching_up = true;
    node.ledger.script.lock().initialised = false;
    node.start();
    let mut state = node.watcher().state();
    state
        .wait_for(|state| state.syncing == Some(true))
        .await
        .unwrap();
    node.ledger.script.lock().catching_up = false;
    state
        .wait_for(|state| state.initialised == Some(false))
        .await
        .unwrap();
    assert_eq!(node.store.progress(), None);
    node.ledger.script.lock().initialised = true;
    node.until_ready().await;
    assert_eq!(node.store.settled(), 10);
}

#[tokio::test]
async fn pruned_blocks_do_not_stop_the_node_for_ever() {
    let mut node = Node::started(10).await;
    node.stop();
    for _ in 0..10 {
        node.ledger.add_quietly(vec![]);
    }
    node.ledger.script.lock().earliest = 15;
    node.start();
    node.until_settled(20).await;
    assert_eq!(node.store.acted(), (15..=19).collect::<Vec<_>>());
}
