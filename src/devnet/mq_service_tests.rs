//! Two services, and the clients of their two nodes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::mq_record::{self, NotedEvent};
use super::mq_service::{Options, Timing, serve_with};
use super::ports;
use crate::error::codes;
use crate::messaging::testing;
use crate::mq::OutboundMessage;
use crate::mq::client::{MqClient, MqSender, SendError, Subscription};
use crate::proto::wire::message_queue_client::MessageQueueClient;
use crate::proto::wire::{Empty, InboundMessage};

const PATIENCE: Duration = Duration::from_secs(20);

const TIMING: Timing = Timing {
    retransmit: Duration::from_millis(200),
    give_up: Duration::from_secs(60),
};

fn free_port() -> u16 {
    ports::free().unwrap()
}

struct Service {
    options: Options,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Service {
    fn options(node_id: &str, timing: Timing) -> Options {
        Options {
            node_id: node_id.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], free_port())),
            mq_port: free_port(),
            retransmit: timing.retransmit,
            record: None,
        }
    }

    fn start(node_id: &str, timing: Timing) -> Self {
        Self::start_with(Self::options(node_id, timing), timing)
    }

    fn start_with(options: Options, timing: Timing) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let stop_signal = async move {
            let _ = stopped.await;
        };
        let serving = serve_with(options.clone(), timing, stop_signal);
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self {
            options,
            stop: Some(stop),
            task: Some(task),
        }
    }

    async fn stop(mut self) -> Options {
        drop(self.stop.take());
        self.task.take().unwrap().await.unwrap();
        self.options.clone()
    }

    fn client(&self) -> MqClient {
        MqClient::new(&testing::config(&self.options.node_id, self.options.listen)).unwrap()
    }

    /// Waits until the service answers.
    async fn up(&self) {
        let client = self.client();
        let trying = async {
            while client.get_info().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, trying).await.unwrap();
    }

    async fn subscribe(&self) -> Subscription {
        self.up().await;
        let client = self.client();
        let mut subscription = client.subscribe();
        // Asked for, but not answered before there is a message; the answer to
        // the call behind it tells that the service has it.
        let info = tokio::select! {
            biased;
            _ = subscription.message() => panic!("nobody has sent anything"),
            info = client.get_info() => info,
        };
        info.unwrap();
        subscription
    }
}

fn message_to(service: &Service, message_id: &str) -> OutboundMessage {
    OutboundMessage {
        message_id: message_id.to_owned(),
        sender_node_id: "rp1".to_owned(),
        destination_node_id: service.options.node_id.clone(),
        ip: "127.0.0.1".to_owned(),
        port: i32::from(service.options.mq_port),
        payload: b"sealed".to_vec(),
        request_id: "request".to_owned(),
    }
}

async fn send(from: &Service, message: OutboundMessage) -> JoinHandle<Result<(), SendError>> {
    // Connected first, so that a refused connection is not taken for the answer.
    from.up().await;
    let client = from.client();
    tokio::spawn(async move { client.send(&message).await })
}

async fn next(stream: &mut Subscription) -> InboundMessage {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await;
    message.unwrap().unwrap().unwrap()
}

async fn outcome(sending: JoinHandle<Result<(), SendError>>) -> Result<(), SendError> {
    tokio::time::timeout(PATIENCE, sending)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn sending_ends_when_the_receiver_acknowledges() {
    let (rp, idp) = (
        Service::start("rp1", TIMING),
        Service::start("idp1", TIMING),
    );
    let mut first = idp.subscribe().await;
    let mut second = idp.subscribe().await;
    let sending = send(&rp, message_to(&idp, "m_1")).await;
    let message = next(&mut first).await;
    assert_eq!(message.sender_id, "rp1");
    assert_eq!(message.message_id, "m_1");
    assert_eq!(message.message.as_ref(), b"sealed");
    assert_eq!(message.error, None);
    assert_eq!(next(&mut second).await.message_id, "m_1");
    assert!(!sending.is_finished());

    // Not acknowledged: it comes again.
    assert_eq!(next(&mut first).await.message_id, "m_1");
    idp.client().acknowledge("m_1").await.unwrap();
    assert_eq!(outcome(sending).await, Ok(()));

    let error = idp.client().acknowledge("nothing").await.unwrap_err();
    let expected = codes::MQ_SEND_ACK_UNKNOWN_MESSAGE_ID.message;
    assert_eq!(error.message(), expected);
}

#[tokio::test]
async fn a_message_is_delivered_again_when_its_receiver_comes_back() {
    let (rp, idp) = (
        Service::start("rp1", TIMING),
        Service::start("idp1", TIMING),
    );
    let mut stream = idp.subscribe().await;
    let sending = send(&rp, message_to(&idp, "m_2")).await;
    assert_eq!(next(&mut stream).await.message_id, "m_2");
    let options = idp.stop().await;
    drop(stream);
    assert!(!sending.is_finished());

    let idp = Service::start_with(options, TIMING);
    let mut stream = idp.subscribe().await;
    assert_eq!(next(&mut stream).await.message_id, "m_2");
    idp.client().acknowledge("m_2").await.unwrap();
    assert_eq!(outcome(sending).await, Ok(()));
}

/// As real services do: a node that is not subscribed at that moment hears of
/// the message when the sender's clock says so, and not before.
#[tokio::test]
async fn what_no_subscriber_takes_is_gone_until_it_is_transmitted_again() {
    let timing = Timing {
        retransmit: Duration::from_secs(2),
        ..TIMING
    };
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("idp1.jsonl");
    let rp = Service::start("rp1", timing);
    let options = Options {
        record: Some(record.clone()),
        ..Service::options("idp1", timing)
    };
    let idp = Service::start_with(options, timing);
    idp.up().await;
    let came = || {
        let noted = mq_record::read(&record).unwrap();
        let came = noted.into_iter().filter_map(|noted| match noted.event {
            NotedEvent::Came { subscribers, .. } => Some(subscribers),
            NotedEvent::Acknowledged { .. } => None,
        });
        came.collect::<Vec<_>>()
    };
    let sent = std::time::Instant::now();
    let sending = send(&rp, message_to(&idp, "m_8")).await;
    let first = async {
        while came().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, first).await.unwrap();
    let mut one = idp.subscribe().await;
    let mut other = idp.subscribe().await;
    assert_eq!(next(&mut one).await.message_id, "m_8");
    assert!(sent.elapsed() >= timing.retransmit, "{:?}", sent.elapsed());
    assert_eq!(next(&mut other).await.message_id, "m_8");
    idp.client().acknowledge("m_8").await.unwrap();
    assert_eq!(outcome(sending).await, Ok(()));
    assert_eq!(came(), [0, 2]);
}

/// Nobody can tell a quiet subscription from a call that is not answered.
#[tokio::test]
async fn a_subscription_is_answered_with_its_first_message_only() {
    let (rp, idp) = (
        Service::start("rp1", TIMING),
        Service::start("idp1", TIMING),
    );
    idp.up().await;
    let address = format!("http://{}", idp.options.listen);
    let mut client = MessageQueueClient::connect(address).await.unwrap();
    let mut answer = std::pin::pin!(client.subscribe_to_recv_messages(Empty {}));
    let quiet = tokio::time::timeout(Duration::from_millis(300), &mut answer).await;
    assert!(quiet.is_err(), "headers came without a message");
    let sending = send(&rp, message_to(&idp, "m_9")).await;
    let answered = tokio::time::timeout(PATIENCE, answer).await.unwrap();
    let mut messages = answered.unwrap().into_inner();
    let message = messages.message().await.unwrap().unwrap();
    assert_eq!(message.message_id, "m_9");
    sending.abort();
}

#[tokio::test]
async fn a_message_nobody_acknowledges_is_given_up() {
    let timing = Timing {
        give_up: Duration::from_millis(300),
        ..TIMING
    };
    let (rp, idp) = (
        Service::start("rp1", timing),
        Service::start("idp1", TIMING),
    );
    let sending = send(&rp, message_to(&idp, "m_3")).await;
    let expected = SendError::Retry(codes::MQ_SEND_TIMEOUT.message.to_owned());
    assert_eq!(outcome(sending).await, Err(expected));
}

#[tokio::test]
async fn a_later_call_with_the_same_id_takes_over() {
    let (rp, idp) = (
        Service::start("rp1", TIMING),
        Service::start("idp1", TIMING),
    );
    let mut stream = idp.subscribe().await;
    let earlier = send(&rp, message_to(&idp, "m_4")).await;
    next(&mut stream).await;
    let mut message = message_to(&idp, "m_4");
    message.payload = b"later".to_vec();
    let later = send(&rp, message).await;
    while next(&mut stream).await.message.as_ref() != b"later" {}
    idp.client().acknowledge("m_4").await.unwrap();
    assert_eq!(outcome(later).await, Ok(()));
    assert!(!earlier.is_finished());
    earlier.abort();
}

#[tokio::test]
async fn what_real_services_could_not_carry_is_refused() {
    let (rp, idp) = (
        Service::start("rp1", TIMING),
        Service::start("idp1", TIMING),
    );
    let mut message = message_to(&idp, "m_5");
    message.payload = vec![0; 3_300_000];
    let sending = send(&rp, message).await;
    assert!(matches!(outcome(sending).await, Err(SendError::GiveUp(_))));
    let sending = send(&rp, message_to(&idp, "")).await;
    assert!(matches!(outcome(sending).await, Err(SendError::Retry(_))));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_apart() {
    let idp = Service::start("idp1", TIMING);
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let client = MqClient::new(&testing::config("rp1", nobody)).unwrap();
    let result = client.send(&message_to(&idp, "m_6")).await;
    assert!(
        matches!(result, Err(SendError::Unreachable(_))),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_service_stops_while_calls_wait() {
    let (rp, idp) = (
        Service::start("rp1", TIMING),
        Service::start("idp1", TIMING),
    );
    let mut stream = idp.subscribe().await;
    let sending = send(&rp, message_to(&idp, "m_7")).await;
    next(&mut stream).await;
    tokio::time::timeout(PATIENCE, rp.stop()).await.unwrap();
    assert!(outcome(sending).await.is_err());
}
