//! The inbox between a real development service and a store of the test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::Addr;
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::mq_inbox::{InboxState, MqInbox, Options, Stop};
use crate::config::QueueLimits;
use crate::delivery::message::OutboundMessage;
use crate::devnet::{mq_service, ports};
use crate::job::{Column, Commit, Job, JobId, Kind, Millis, NewJob, Row, Table};
use crate::mq::client::{MqClient, MqSender};
use crate::mq::inbound::RawMessage;
use crate::mq::testing;
use crate::node::{QueueLimit, Role};
use crate::store::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers what it accepted; can be down, or know a later master.
#[derive(Default)]
struct FakeStore {
    accepted: Mutex<Vec<Job>>,
    failure: Mutex<Option<StoreError>>,
    panics: AtomicBool,
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
        assert_eq!(accept.epoch, Some(Epoch(7)));
        assert!(!self.panics.load(Ordering::SeqCst), "a defect");
        if let Some(failure) = self.failure.lock().clone() {
            return Err(failure);
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
    async fn commit(&self, _: Attempt, _: Commit) -> Result<Committed, StoreError> {
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
    }
}

fn start_service(options: &mq_service::Options) {
    tokio::spawn(mq_service::serve(options.clone(), std::future::pending()));
}

struct Node {
    store: Arc<FakeStore>,
    dispatched: Arc<Mutex<Vec<Job>>>,
    inbox: Addr<MqInbox>,
    state: watch::Receiver<InboxState>,
    service: mq_service::Options,
    queue: Arc<QueueLimit>,
}

impl Node {
    /// An inbox of idp1 at this service, which is started separately.
    fn start(service: mq_service::Options) -> Self {
        let store = Arc::new(FakeStore::default());
        let dispatched = Arc::new(Mutex::new(Vec::new()));
        let on_accepted = {
            let dispatched = dispatched.clone();
            Arc::new(move |jobs: Vec<Job>| dispatched.lock().extend(jobs))
        };
        let config = testing::config("idp1", service.listen);
        let limits = QueueLimits {
            jobs: 100,
            bytes: 1_000_000,
        };
        let queue = Arc::new(QueueLimit::new(limits, limits));
        let (inbox, state) = MqInbox::launch(Options {
            node_id: "idp1".to_owned(),
            role: Role::Idp,
            binding_port: Some(service.mq_port),
            store: store.clone(),
            epoch: Epoch(7),
            client: MqClient::new(&config).unwrap(),
            queue: queue.clone(),
            on_accepted,
        });
        Self {
            store,
            dispatched,
            inbox,
            state,
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
    assert_eq!(job.kind(), Kind::MqReceive);
    assert_eq!(job.key(), "receive:rp1:m_1");
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
    node.until(
        |state| matches!(state, InboxState::Connecting { reason } if reason.contains("down")),
    )
    .await;
    assert!(!sending.is_finished());
    assert!(node.dispatched.lock().is_empty());

    *node.store.failure.lock() = None;
    tokio::time::timeout(PATIENCE, sending)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(node.dispatched.lock().len(), 1);
    node.until(|state| *state == InboxState::Ready).await;
}

#[actix::test]
async fn nothing_is_taken_while_the_queue_is_full() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    // Room for one message.
    let many = vec![NewJob::new(Kind::Noop, "key", &()); 124];
    node.queue.note(&many);
    // The service hands each message to every subscriber.
    let config = testing::config("idp1", node.service.listen);
    let beside = MqClient::new(&config).unwrap();
    let mut beside = beside.subscribe().await.unwrap();
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
async fn a_deposed_master_takes_nothing_more() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    *node.store.failure.lock() = Some(StoreError::Deposed { current: Epoch(8) });
    let client = sender();
    let message = node.message("m_1");
    let sending = tokio::spawn(async move { send(&client, &message).await });
    node.until(|state| *state == InboxState::Deposed).await;
    assert!(!sending.is_finished());
    sending.abort();
}

#[actix::test]
async fn an_inbox_that_ends_by_a_defect_says_that_it_has_ended() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    node.store.panics.store(true, Ordering::SeqCst);
    let client = sender();
    let message = node.message("m_1");
    let sending = tokio::spawn(async move { send(&client, &message).await });
    node.until(|state| *state == InboxState::Stopped).await;
    sending.abort();
}

#[actix::test]
async fn it_stops_when_asked() {
    let service = service_options("idp1");
    start_service(&service);
    let mut node = Node::start(service);
    node.until(|state| *state == InboxState::Ready).await;
    let stopping = node.inbox.send(Stop);
    tokio::time::timeout(PATIENCE, stopping)
        .await
        .unwrap()
        .unwrap();
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
    assert_eq!(job.kind(), Kind::DeliverCallback);
    let callback: Callback = job.payload().unwrap();
    let body: serde_json::Value = serde_json::from_str(&callback.body).unwrap();
    assert_eq!(body["action"], "onMessage");
    assert_eq!(body["error"]["code"], 10027);
}
