//! The inbox between a real development service and a store of the test.

mod fake_store;
mod one_process;
mod several;

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
use fake_store::FakeStore;

const PATIENCE: Duration = Duration::from_secs(20);

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
    /// Jobs that its dispatcher was told of, as the master.
    dispatched: Arc<Mutex<Vec<Job>>>,
    /// Jobs that it announced otherwise.
    announced: Arc<Mutex<Vec<Job>>>,
    inbox: Inbox,
    lead: Option<Lead>,
    state: watch::Receiver<InboxState>,
    service: mq_service::Options,
    queue: Arc<QueueLimit>,
}

impl Node {
    /// The inbox of idp1's master. The service is started separately.
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

/// Waits until the condition holds.
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
