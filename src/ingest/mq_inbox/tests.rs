//! The inbox between a real development service and a store of the test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Duty, Inbox, InboxState, Lead, MqInbox, OnAccepted, Options};
use crate::admission::QueueLimit;
use crate::config::{Config, QueueLimits};
use crate::context::Role;
use crate::delivery::callback;
use crate::devnet::{mq_service, ports};
use crate::job::{
    Attempt, Column, Commit, Epoch, Job, JobId, Millis, NewJob, Row, Table, message_key, noop,
};
use crate::messaging::inbound::RawMessage;
use crate::messaging::{inbound, testing};
use crate::mq::OutboundMessage;
use crate::mq::client::{MqClient, MqSender};
use crate::store::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers what it accepted; can be down.
#[derive(Default)]
struct FakeStore {
    accepted: Mutex<Vec<Job>>,
    failure: Mutex<Option<StoreError>>,
    /// An accept that has a job of this key meets something unreadable.
    unreadable: Mutex<Option<String>>,
    panics: AtomicBool,
    accepts: AtomicUsize,
    questions: AtomicUsize,
}

fn unused() -> StoreError {
    StoreError::Unavailable("not needed here".to_owned())
}

#[async_trait]
impl State for FakeStore {
    async fn get(&self, _: Table, _: &str, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Err(unused())
    }
    async fn columns(&self, _: Table, _: &str) -> Result<Vec<(Column, Vec<u8>)>, StoreError> {
        Err(unused())
    }
    async fn get_many(&self, _: Table, _: &[Row]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        Err(unused())
    }
    async fn rows(&self, _: Table, _: &str) -> Result<Vec<Row>, StoreError> {
        Err(unused())
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        assert_eq!(accept.epoch, None, "any process of the node may");
        self.accepts.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.swap(false, Ordering::SeqCst), "a defect");
        if let Some(failure) = self.failure.lock().clone() {
            return Err(failure);
        }
        let unreadable = self.unreadable.lock().clone();
        let mut keys = accept.jobs.iter().map(|job| &*job.key);
        if keys.any(|key| Some(key) == unreadable.as_deref()) {
            return Err(StoreError::Corrupt("its line".to_owned()));
        }
        let mut accepted = self.accepted.lock();
        let (mut jobs, mut duplicates) = (Vec::new(), Vec::new());
        for new in accept.jobs {
            let is_known = accepted
                .iter()
                .any(|job| job.new.source.is_some() && job.new.source == new.source);
            if is_known {
                duplicates.push(new.id);
            } else {
                let job = testing::accepted(new);
                accepted.push(job.clone());
                jobs.push(job);
            }
        }
        Ok(Accepted::Stored { jobs, duplicates })
    }
    async fn commit(&self, _: Attempt, _: Arc<Commit>) -> Result<Committed, StoreError> {
        Err(unused())
    }
    async fn reschedule(&self, _: Attempt, _: Millis, _: &str) -> Result<bool, StoreError> {
        Err(unused())
    }
    async fn strike(&self, _: Attempt, _: Millis, _: &str) -> Result<Struck, StoreError> {
        Err(unused())
    }

    async fn park(&self, _: Attempt, _: &str) -> Result<bool, StoreError> {
        Err(unused())
    }

    async fn operate(&self, _: Operation) -> Result<Operated, StoreError> {
        Err(unused())
    }

    async fn audit(&self, _: usize) -> Result<Vec<Audited>, StoreError> {
        Err(unused())
    }

    async fn last_errors(&self, _: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        Err(unused())
    }

    async fn parked_ids(&self, _: usize) -> Result<Vec<JobId>, StoreError> {
        Err(unused())
    }

    async fn release(&self, _: Epoch, _: &[Release]) -> Result<Vec<Released>, StoreError> {
        Err(unused())
    }
    async fn claim(&self, _: Attempt) -> Result<bool, StoreError> {
        Err(unused())
    }
    async fn open_jobs(&self, _: u64, _: usize) -> Result<Vec<Job>, StoreError> {
        Err(unused())
    }
    async fn open_ids(&self, _: u64, _: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        Err(unused())
    }
    async fn jobs(&self, _: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        Err(unused())
    }
    async fn failed_jobs(&self, _: u64, _: usize) -> Result<Vec<(u64, FailedJob)>, StoreError> {
        Err(unused())
    }
    async fn failed_job(&self, _: JobId) -> Result<Option<FailedJob>, StoreError> {
        Err(unused())
    }

    async fn known_sources(&self, sources: &[String]) -> Result<Vec<bool>, StoreError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        if let Some(failure) = self.failure.lock().clone() {
            return Err(failure);
        }
        let accepted = self.accepted.lock();
        let is_known = |source: &String| {
            let mut known = accepted.iter().map(|job| job.new.source.as_ref());
            known.any(|known| known == Some(source))
        };
        Ok(sources.iter().map(is_known).collect())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        Ok(Counts::default())
    }
    async fn acquire_lease(&self, _: &str, _: Duration, _: Epoch) -> Result<Lease, StoreError> {
        Err(unused())
    }
    async fn release_lease(&self, _: &str) -> Result<(), StoreError> {
        Err(unused())
    }
    async fn ping(&self) -> Result<(), StoreError> {
        Err(unused())
    }
}

fn free_port() -> u16 {
    ports::free().unwrap()
}

fn service_options(node_id: &str) -> mq_service::Options {
    mq_service::Options {
        node_id: node_id.to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], free_port())),
        mq_port: free_port(),
        retransmit: Duration::from_secs(60),
        record: None,
    }
}

fn start_service(options: &mq_service::Options) {
    tokio::spawn(mq_service::serve(options.clone(), std::future::pending()));
}

struct Node {
    store: Arc<FakeStore>,
    /// What its dispatcher was told, as the master.
    dispatched: Arc<Mutex<Vec<Job>>>,
    /// What it announced otherwise.
    announced: Arc<Mutex<Vec<Job>>>,
    inbox: Inbox,
    lead: Option<Lead>,
    state: watch::Receiver<InboxState>,
    service: mq_service::Options,
    queue: Arc<QueueLimit>,
}

impl Node {
    /// The inbox of idp1's master at this service, which is started separately.
    fn start(service: mq_service::Options) -> Self {
        let mut node = Self::second(service, Arc::default());
        node.lead = Some(node.inbox.lead(told(&node.dispatched)));
        node
    }

    /// The inbox of another process of idp1.
    fn second(service: mq_service::Options, store: Arc<FakeStore>) -> Self {
        let config = testing::config("idp1", service.listen);
        Self::with(service, store, &config)
    }

    fn with(service: mq_service::Options, store: Arc<FakeStore>, config: &Config) -> Self {
        let announced = Arc::default();
        let limits = QueueLimits {
            jobs: 100,
            bytes: 1_000_000,
        };
        let queue = Arc::new(QueueLimit::new(limits, limits));
        let inbox = MqInbox::launch(Options {
            opener: None,
            node_id: "idp1".to_owned(),
            role: Role::Idp,
            binding_port: Some(service.mq_port),
            store: store.clone(),
            client: MqClient::new(config).unwrap(),
            queue: queue.clone(),
            on_accepted: told(&announced),
        });
        Self {
            store,
            dispatched: Arc::default(),
            announced,
            state: inbox.state(),
            inbox,
            lead: None,
            service,
            queue,
        }
    }

    async fn until(&mut self, expected: impl Fn(&InboxState) -> bool) {
        let reached = self.state.wait_for(|state| expected(state));
        tokio::time::timeout(PATIENCE, reached)
            .await
            .unwrap()
            .unwrap();
    }

    /// How many messages are kept by its inbox.
    fn inbox_keeps(&self) -> usize {
        self.inbox.shared.kept.lock().len()
    }

    fn message(&self, message_id: &str) -> OutboundMessage {
        OutboundMessage {
            message_id: message_id.to_owned(),
            sender_node_id: "rp1".to_owned(),
            destination_node_id: "idp1".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: i32::from(self.service.mq_port),
            payload: b"sealed".to_vec(),
            request_id: "request".to_owned(),
        }
    }
}

fn told(jobs: &Arc<Mutex<Vec<Job>>>) -> OnAccepted {
    let jobs = jobs.clone();
    Arc::new(move |more| jobs.lock().extend(more))
}

/// Waits until something is so.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "never: {what}");
}

/// A client of rp1's service.
fn sender() -> MqClient {
    let options = service_options("rp1");
    start_service(&options);
    MqClient::new(&testing::config("rp1", options.listen)).unwrap()
}

/// Sends until acknowledged; the sender's own service may still be starting.
async fn send(client: &MqClient, message: &OutboundMessage) {
    let sending = async {
        while client.send(message).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.unwrap();
}

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

    // The store says that they have ended.
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
    eventually("the worker lets go of them", || worker_has_kept() == 0).await;
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
    eventually("the other one lets go", || second.inbox_keeps() == 0).await;
    assert_eq!(store.accepted.lock().len(), 1);

    // Also if it sees a master who does nothing.
    alone.inbox.stop().await;
    send(&client, &second.message("m_2")).await;
    assert_eq!(second.announced.lock().len(), 1);
    assert_eq!(store.accepted.lock().len(), 2);
}

/// The master died between storing and acknowledging.
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
    // Known to the store, and new to the service.
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
