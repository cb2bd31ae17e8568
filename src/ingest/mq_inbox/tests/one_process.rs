//! One inbox with its service and its store.

use super::*;

#[actix::test]
async fn a_message_is_stored_dispatched_and_then_acknowledged() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    let client = sender();
    send(&client, &node.message("m_1")).await;

    let stored = node.store.accepted.lock().clone();
    assert_eq!(stored.len(), 1);
    assert_eq!(*node.dispatched.lock(), stored);
    let job = &stored[0];
    assert_eq!(job.kind(), inbound::RECEIVE);
    assert_eq!(job.key(), message_key("rp1", "m_1"));
    let source = job.new.source.clone().unwrap();
    assert!(source.starts_with("mq:rp1:m_1:"), "{source}");
    let raw: RawMessage = job.payload().unwrap();
    assert_eq!(raw.bytes, b"sealed");

    // Repeated: acknowledged again, not stored again.
    send(&client, &node.message("m_1")).await;
    assert_eq!(node.store.accepted.lock().len(), 1);
    // Another message under the same id is another message.
    let mut other = node.message("m_1");
    other.payload = b"other".to_vec();
    send(&client, &other).await;
    assert_eq!(node.store.accepted.lock().len(), 2);
}

#[actix::test]
async fn nothing_is_acknowledged_while_the_store_is_down() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    *node.store.failure.lock() = Some(StoreError::Unavailable("down".to_owned()));
    let client = sender();
    let message = node.message("m_1");
    let sending = tokio::spawn(async move { send(&client, &message).await });
    let store = node.store.clone();
    eventually("it tries again", || {
        store.accepts.load(Ordering::SeqCst) > 2
    })
    .await;
    assert!(!sending.is_finished());
    assert!(node.dispatched.lock().is_empty());
    assert_eq!(*node.state.borrow(), InboxState::Ready);

    *node.store.failure.lock() = None;
    tokio::time::timeout(PATIENCE, sending)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(node.dispatched.lock().len(), 1);
}

#[actix::test]
async fn nothing_is_taken_while_the_queue_is_full() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    // Room for one message.
    let many = vec![NewJob::new(noop::NOOP, "key", &()); 124];
    node.queue.note(&many);
    // The service hands each message to every subscriber.
    let config = testing::config("idp1", node.service.listen);
    let beside = MqClient::new(&config).unwrap();
    let mut beside = beside.subscribe();
    assert!(beside.message().now_or_never().is_none());
    let client = sender();
    let messages: Vec<OutboundMessage> = (0..3)
        .map(|number| node.message(&format!("m_{number}")))
        .collect();
    let sending = tokio::spawn(async move {
        for message in &messages {
            send(&client, message).await;
        }
    });
    let second_arrives =
        async { while beside.message().await.unwrap().unwrap().message_id != "m_1" {} };
    tokio::time::timeout(PATIENCE, second_arrives)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!sending.is_finished());
    assert_eq!(node.dispatched.lock().len(), 1);

    // The store reports them as ended.
    let store: SharedStore = node.store.clone();
    QueueLimit::follow(&node.queue, store, Arc::default());
    tokio::time::timeout(PATIENCE, sending)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(node.dispatched.lock().len(), 3);
}

#[actix::test]
async fn another_nodes_service_is_not_subscribed_to() {
    let service = service_options("idp2");
    start_service(&service);
    let mut node = Node::start(service);
    let mismatch = InboxState::NodeIdMismatch {
        found: "idp2".to_owned(),
    };
    node.until(|state| *state == mismatch).await;
}

#[actix::test]
async fn a_service_that_comes_later_is_found() {
    let service = service_options("idp1");
    let mut node = Node::start(service.clone());
    node.until(|state| matches!(state, InboxState::Connecting { reason } if !reason.is_empty()))
        .await;
    start_service(&service);
    node.until(|state| *state == InboxState::Ready).await;
}

#[actix::test]
async fn an_inbox_goes_on_after_a_defect() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    node.store.panics.store(true, Ordering::SeqCst);
    let client = sender();
    let message = node.message("m_1");
    let sending = tokio::spawn(async move { send(&client, &message).await });
    node.until(
        |state| matches!(state, InboxState::Connecting { reason } if reason.contains("defect")),
    )
    .await;
    node.until(|state| *state == InboxState::Ready).await;
    sending.abort();
    send(&sender(), &node.message("m_2")).await;
    assert_eq!(node.dispatched.lock().len(), 1);
}

#[actix::test]
async fn it_stops_when_asked() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    node.inbox.stop().await;
    assert_eq!(*node.state.borrow(), InboxState::Stopped);
}

#[actix::test]
async fn errors_of_the_queue_reach_the_error_callback() {
    use crate::delivery::callback::Callback;
    use tokio::io::AsyncWriteExt;

    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    let address = ("127.0.0.1", node.service.mq_port);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // A frame of one byte that is no protocol message.
    stream.write_all(&[0, 0, 0, 1, 0xff]).await.unwrap();
    let reported = async {
        while node.dispatched.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reported).await.unwrap();
    let job = node.dispatched.lock()[0].clone();
    assert_eq!(job.kind(), callback::DELIVER);
    let callback: Callback = job.payload().unwrap();
    let body: serde_json::Value = serde_json::from_str(&callback.body).unwrap();
    assert_eq!(body["action"], "onMessage");
    assert_eq!(body["error"]["code"], 10027);
}

/// The service sends the headers of its answer only with the first message.
#[actix::test]
async fn a_quiet_subscription_is_left_alone_whatever_the_time_limit_of_calls() {
    let service = service_options("idp1");
    start_service(&service);
    let limit = Duration::from_millis(100);
    let mut config = testing::config("idp1", service.listen);
    config.grpc.call_timeout = limit;
    let mut node = Node::with(service, Arc::default(), &config);
    node.lead = Some(node.inbox.lead(told(&node.dispatched)));
    node.until(|state| *state == InboxState::Ready).await;
    node.state.borrow_and_update();
    let changed = tokio::time::timeout(20 * limit, node.state.changed()).await;
    assert!(changed.is_err(), "{:?}", node.state.borrow());
    // At once, and not when its sender repeats it.
    send(&sender(), &node.message("m_1")).await;
    assert_eq!(node.dispatched.lock().len(), 1);
}
