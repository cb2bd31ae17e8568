//! The inboxes of several processes, and a store that is away.

use super::*;

#[actix::test]
async fn what_the_master_stores_costs_the_others_a_question_and_nothing_else() {
    let service = service_options("idp1");
    start_service(&service);
    let mut master = Node::start(service.clone());
    let mut worker = Node::second(service, master.store.clone());
    master.until(|state| *state == InboxState::Ready).await;
    worker.until(|state| *state == InboxState::Ready).await;
    let client = sender();
    for number in 0..5 {
        send(&client, &master.message(&format!("m_{number}"))).await;
    }
    assert_eq!(master.dispatched.lock().len(), 5);
    let accepts = master.store.accepts.load(Ordering::SeqCst);
    let worker_has_kept = || worker.inbox_keeps();
    eventually("the worker drops them", || worker_has_kept() == 0).await;
    let questions = master.store.questions.load(Ordering::SeqCst);
    assert!((1..=5).contains(&questions), "{questions}");
    assert_eq!(master.store.accepts.load(Ordering::SeqCst), accepts);
    assert_eq!(worker.announced.lock().len(), 0);
}

#[actix::test]
async fn what_no_master_stores_is_stored_by_another_process_and_made_once() {
    let service = service_options("idp1");
    start_service(&service);
    let store = Arc::<FakeStore>::default();
    let mut second = Node::second(service.clone(), store.clone());
    let mut alone = Node::second(service, store.clone());
    alone.inbox.take(Duty::Alone);
    second.until(|state| *state == InboxState::Ready).await;
    alone.until(|state| *state == InboxState::Ready).await;
    let client = sender();
    send(&client, &second.message("m_1")).await;
    assert_eq!(alone.announced.lock().len(), 1, "it sees no master");
    eventually("the other one drops it", || second.inbox_keeps() == 0).await;
    assert_eq!(store.accepted.lock().len(), 1);

    // Also if it sees a master that does nothing.
    alone.inbox.stop().await;
    send(&client, &second.message("m_2")).await;
    assert_eq!(second.announced.lock().len(), 1);
    assert_eq!(store.accepted.lock().len(), 2);
}

/// The master died after storing and before acknowledging.
#[actix::test]
async fn what_is_stored_and_not_acknowledged_is_acknowledged_by_another_process() {
    let service = service_options("idp1");
    start_service(&service);
    let mut worker = Node::second(service, Arc::default());
    worker.until(|state| *state == InboxState::Ready).await;
    let client = sender();
    send(&client, &worker.message("m_1")).await;
    assert_eq!(worker.announced.lock().len(), 1);
    worker.inbox.take(Duty::Alone);
    // The store knows it, and the service does not.
    send(&client, &worker.message("m_1")).await;
    assert_eq!(worker.announced.lock().len(), 1);
    worker.inbox.take(Duty::Second);
    let message = worker.message("m_1");
    let sending = tokio::spawn(async move { send(&client, &message).await });
    eventually("it came", || worker.inbox_keeps() == 1).await;
    worker.inbox.take(Duty::Alone);
    tokio::time::timeout(PATIENCE, sending)
        .await
        .unwrap()
        .unwrap();
}

#[actix::test]
async fn what_came_while_the_store_was_away_is_stored_when_it_is_back() {
    let service = service_options("idp1");
    start_service(&service);
    let mut worker = Node::second(service, Arc::default());
    worker.inbox.take(Duty::Alone);
    worker.until(|state| *state == InboxState::Ready).await;
    *worker.store.failure.lock() = Some(StoreError::Unavailable("its master is away".to_owned()));
    let client = sender();
    let messages: Vec<_> = (0..3).map(|n| worker.message(&format!("m_{n}"))).collect();
    let sending = tokio::spawn(async move {
        let sent = messages.iter().map(|message| send(&client, message));
        futures_util::future::join_all(sent).await;
    });
    eventually("they came", || worker.inbox_keeps() == 3).await;
    assert_eq!(worker.store.accepted.lock().len(), 0);
    *worker.store.failure.lock() = None;
    worker.inbox.take(Duty::Second);
    tokio::time::timeout(PATIENCE, sending)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(worker.announced.lock().len(), 3);
    assert_eq!(worker.inbox_keeps(), 0);
}

#[actix::test]
async fn a_message_that_cannot_be_stored_does_not_hold_up_the_others() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    *node.store.unreadable.lock() = Some(message_key("rp1", "m_bad"));
    // All of them come in one batch.
    *node.store.failure.lock() = Some(StoreError::Unavailable("down".to_owned()));
    let client = sender();
    let refused = tokio::spawn({
        let (client, message) = (client.clone(), node.message("m_bad"));
        async move { send(&client, &message).await }
    });
    let messages: Vec<_> = (0..3).map(|n| node.message(&format!("m_{n}"))).collect();
    let sending = tokio::spawn(async move {
        let sent = messages.iter().map(|message| send(&client, message));
        futures_util::future::join_all(sent).await;
    });
    let came = || node.inbox_keeps() + node.store.accepted.lock().len();
    eventually("they came", || came() >= 3).await;
    *node.store.failure.lock() = None;
    tokio::time::timeout(PATIENCE, sending)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(node.dispatched.lock().len(), 3);
    eventually("it is given up", || node.inbox_keeps() == 0).await;
    assert!(!refused.is_finished(), "its sender must know");
    refused.abort();
}
