//! Two services, and the clients of their two nodes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Streaming;

use super::mq_service::{Options, Timing, serve_with};
use super::ports;
use crate::delivery::message::OutboundMessage;
use crate::error::codes;
use crate::mq::client::{MqClient, MqSender, SendError};
use crate::mq::testing;
use crate::proto::wire::InboundMessage;

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
    fn start(node_id: &str, timing: Timing) -> Self {
        let options = Options {
            node_id: node_id.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], free_port())),
            mq_port: free_port(),
            retransmit: timing.retransmit,
        };
        Self::start_with(options, timing)
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

    async fn subscribe(&self) -> Streaming<InboundMessage> {
        let client = self.client();
        let trying = async {
            loop {
                if let Ok(stream) = client.subscribe().await {
                    return stream;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, trying).await.unwrap()
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
    from.subscribe().await;
    let client = from.client();
    tokio::spawn(async move { client.send(&message).await })
}

async fn next(stream: &mut Streaming<InboundMessage>) -> InboundMessage {
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
