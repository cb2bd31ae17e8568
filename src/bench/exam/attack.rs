//! The attacks on a node.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;
use serde_json::json;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::Attack;
use super::signs::most;
use crate::context::Role;
use crate::crypto::{encryption, envelope};
use crate::devnet::keys::GeneratedKeys;
use crate::devnet::network::{Network, NetworkNode};
use crate::job::{JobId, NewJob, noop};
use crate::mq::gzip;
use crate::proto::wire;
use crate::proto::wire::message_queue_client::MessageQueueClient;
use crate::store::{Accept, Accepted, SharedStore};

const MESSAGES: u64 = 64;
/// Size of an inflated message.
const INFLATED: usize = 23_000_000;
/// Compressed to about 46 KB.
const COMPRESSION: Compression = Compression::new(4);
const BODIES: usize = 200;
const BODY: usize = 3_000_000;
const STUCK: Duration = Duration::from_secs(10);
/// Longest wait until a node has dealt with an attack.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(100);

/// An attack that is ready to begin.
pub(super) enum Prepared {
    Calm,
    Messages {
        /// The service of another node, which sends the messages.
        service: MessageQueueClient<Channel>,
        address: wire::MqAddress,
        payload: Bytes,
    },
    Bodies(Bytes),
    Handler(SharedStore),
}

/// Prepares the attack; `None` if this network does not allow it.
/// # Errors
/// When a process that it needs does not answer.
pub(super) async fn prepare(
    network: &Network,
    node: &NetworkNode,
    attack: Attack,
) -> io::Result<Option<Prepared>> {
    Ok(Some(match attack {
        Attack::Calm => Prepared::Calm,
        Attack::Messages => {
            let other = network.node(Role::Idp);
            let other = other.ok_or_else(|| io::Error::other("the network has no IdP"))?;
            let info = service_at(&node.mq)?.get_info(wire::Empty {}).await;
            Prepared::Messages {
                service: service_at(&other.mq)?,
                address: wire::MqAddress {
                    ip: "127.0.0.1".to_owned(),
                    port: info.map_err(io::Error::other)?.into_inner().mq_binding_port,
                },
                payload: message(network, node, other)?,
            }
        }
        Attack::Bodies => Prepared::Bodies(body()),
        Attack::Handler => match network.running_store(node).await? {
            Some(store) => Prepared::Handler(store),
            None => return Ok(None),
        },
    }))
}

impl Prepared {
    /// Attacks, and waits until the node has dealt with it.
    /// # Errors
    /// When that takes too long.
    pub(super) async fn make(self, node: &NetworkNode) -> io::Result<()> {
        match self {
            Prepared::Calm => Ok(()),
            Prepared::Messages {
                service,
                address,
                payload,
            } => send(node, &service, &address, &payload).await,
            Prepared::Bodies(body) => call(node.api_urls(), body).await,
            Prepared::Handler(store) => stick(&store).await,
        }
    }
}

fn service_at(address: &str) -> io::Result<MessageQueueClient<Channel>> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.map_err(io::Error::other)?.connect_lazy();
    Ok(MessageQueueClient::new(channel))
}

/// A message that only its signature betrays as forged. The sender's name
/// stands at its end.
fn message(network: &Network, to: &NetworkNode, from: &NetworkNode) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), COMPRESSION);
    encoder.write_all(b"{\"type\":\"idp_response\",\"padding\":\"")?;
    encoder.write_all(&vec![b'a'; INFLATED])?;
    write!(encoder, "\",\"idp_id\":\"{}\"}}", from.node_id)?;
    let message = wire::MqMessage {
        version: 2,
        message_type: "idp_response".to_owned(),
        message: Bytes::from(encoder.finish()?),
        signature: Bytes::from(vec![7; 256]),
        message_compression_algorithm: gzip::NAME.to_owned(),
        ..Default::default()
    };
    let keys = GeneratedKeys::at(&network.directory.join("keys"), &to.node_id);
    let public = GeneratedKeys::public_pem(&keys.encryption)?;
    let key = envelope::generate_key();
    let wrapped = encryption::encrypt(&public, "RSAES_PKCS1_V1_5", &key);
    let encrypted = envelope::encrypt(&key, &message.encode_to_vec()).map_err(io::Error::other)?;
    let sealed = wire::EncryptedMqMessage {
        encrypted_symmetric_key: Bytes::from(wrapped.map_err(io::Error::other)?),
        encrypted_mq_message: Bytes::from(encrypted),
    };
    Ok(Bytes::from(sealed.encode_to_vec()))
}

/// Every rejected message ends as a failed job.
async fn send(
    node: &NetworkNode,
    service: &MessageQueueClient<Channel>,
    address: &wire::MqAddress,
    payload: &Bytes,
) -> io::Result<()> {
    const FAILED: &str = "erawan_jobs_failed";
    let before = most(node, FAILED).await;
    let mut sending = JoinSet::new();
    for _ in 0..MESSAGES {
        let mut service = service.clone();
        let message = wire::OutboundMessage {
            mq_address: Some(address.clone()),
            payload: payload.clone(),
            message_id: uuid::Uuid::new_v4().to_string(),
        };
        sending.spawn(async move { service.send_message(message).await });
    }
    for sent in sending.join_all().await {
        sent.map_err(io::Error::other)?;
    }
    let deadline = Instant::now() + PATIENCE;
    while most(node, FAILED).await < before + MESSAGES {
        in_time(deadline, "the messages")?;
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The body of a call that is refused at its end, because no such IdP exists.
fn body() -> Bytes {
    let body = json!({
        "reference_id": "large",
        "callback_url": "http://127.0.0.1:9/",
        "mode": 1,
        "idp_id_list": ["nobody"],
        "data_request_list": [],
        "request_message": "m".repeat(BODY),
        "min_ial": 1.1,
        "min_aal": 1,
        "min_idp": 1,
        "request_timeout": 86400,
    });
    Bytes::from(body.to_string())
}

/// From a thread of its own, because it copies 600 MB. The thread has the
/// lowest priority, because callers do not share a processor with the node they
/// call.
async fn call(urls: Vec<String>, body: Bytes) -> io::Result<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let calling = move || {
        rustix::process::nice(19)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(call_all(&urls, &body))
    };
    std::thread::spawn(move || {
        // If the benchmark was interrupted, nobody waits.
        let _ = tell.send(calling());
    });
    told.await.map_err(io::Error::other)?
}

async fn call_all(urls: &[String], body: &Bytes) -> io::Result<()> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build();
    let client = client.map_err(io::Error::other)?;
    let mut calls = JoinSet::new();
    for url in urls.iter().cycle().take(BODIES) {
        let call = client
            .post(format!("{url}/v6/rp/requests/citizen_id/1000000000017"))
            .header("content-type", "application/json")
            .body(body.clone());
        calls.spawn(async move { call.send().await });
    }
    for answer in calls.join_all().await {
        let status = match answer {
            Ok(answer) => answer.status(),
            Err(error) if error.is_connect() => return Err(io::Error::other(error)),
            // A sender that gets no time within a body is cut off, as it should
            // be.
            Err(error) => {
                tracing::info!(%error, "a call of 3 MB was cut off");
                continue;
            }
        };
        // 503: all bodies together have a bound.
        if !matches!(status.as_u16(), 400 | 503) {
            let text = format!("a call of 3 MB was answered {status}");
            return Err(io::Error::other(text));
        }
    }
    Ok(())
}

async fn stick(store: &SharedStore) -> io::Result<()> {
    let milliseconds = STUCK.as_millis() as u64;
    let key = format!("stuck:{}", uuid::Uuid::new_v4());
    let accept = Accept {
        jobs: vec![NewJob::new(noop::STUCK, key, &milliseconds)],
        ..Accept::default()
    };
    let accepted = store.accept(accept).await.map_err(io::Error::other)?;
    let Accepted::Stored { jobs, .. } = accepted else {
        return Err(io::Error::other("the job was refused"));
    };
    let ids: Vec<JobId> = jobs.iter().map(crate::job::Job::id).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let open = store.jobs(&ids).await.map_err(io::Error::other)?;
        // Parked: given up with its workers.
        if open.iter().flatten().all(|job| job.parked) {
            return Ok(());
        }
        in_time(deadline, "the stuck job")?;
        tokio::time::sleep(POLL).await;
    }
}

fn in_time(deadline: Instant, what: &str) -> io::Result<()> {
    if Instant::now() > deadline {
        return Err(io::Error::other(format!(
            "the node is not done with {what}"
        )));
    }
    Ok(())
}
