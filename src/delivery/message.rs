//! Messages to other nodes (spec/messaging-and-crypto.md 3.7).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::callback::{Persistence, Target, callback_job};
use super::{backoff, reconnect_backoff};
use crate::actors::Run;
use crate::error::Error;
use crate::job::{Commit, Job, Millis, NewJob, Table};
use crate::mq::client::{MqSender, SendError};
use crate::node::Context;

/// How long a message is tried.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(600);

/// Payload of `deliver.message`: sealed, under the same id on every try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboundMessage {
    /// Unique per sending node.
    pub message_id: String,
    /// Node the message is from (behind a proxy: that node).
    pub sender_node_id: String,
    /// Node the message is for.
    pub destination_node_id: String,
    /// Host of its message queue (or its proxy's).
    pub ip: String,
    /// Port of it.
    pub port: i32,
    /// Encoded `EncryptedMqMessage`.
    pub payload: Vec<u8>,
    /// Request it belongs to.
    pub request_id: String,
}

/// How long one try waits for the acknowledgement. The message queue service
/// goes on retransmitting while the call is open; the next try has the same id.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

const SUCCESS_URL_ROLE: &str = "node";
const SUCCESS_URL_NAME: &str = "message_queue_send_success_url";

/// Handler of `deliver.message`.
///
/// # Errors
/// Temporary ones of the store, before anything is sent.
pub async fn run_deliver(context: &Context, mq: &dyn MqSender, job: &Job) -> Result<Run, Error> {
    let message: OutboundMessage = job.payload()?;
    let deadline = job.new.deadline.unwrap_or(Millis(u64::MAX));
    let remaining = Millis::now().until(deadline);
    if remaining.is_zero() {
        return Ok(Run::Commit(given_up(&message, job, "its time is up")));
    }
    // Read before sending: a store that fails now must not cause a second sending.
    let reports_success = context
        .state
        .get(Table::CallbackUrl, SUCCESS_URL_ROLE, SUCCESS_URL_NAME)
        .await?
        .is_some();
    let attempt = tokio::time::timeout(remaining.min(ATTEMPT_TIMEOUT), mq.send(&message));
    let (after, reason) = match attempt.await {
        Ok(Ok(())) => {
            let mut commit = Commit::nothing();
            commit
                .jobs
                .extend(reports_success.then(|| success_callback(&message)));
            return Ok(Run::Commit(commit));
        }
        Ok(Err(SendError::GiveUp(reason))) => {
            return Ok(Run::Commit(given_up(&message, job, &reason)));
        }
        Ok(Err(error @ SendError::Unreachable(_))) => {
            (reconnect_backoff(job.tries), error.to_string())
        }
        Ok(Err(error @ SendError::Retry(_))) => (backoff(job.tries), error.to_string()),
        Err(_) => (backoff(job.tries), "not acknowledged in time".to_owned()),
    };
    Ok(Run::Retry {
        // Not beyond the deadline, so that giving up is seen when it happens.
        after: after.min(Millis::now().until(deadline)),
        reason,
    })
}

fn given_up(message: &OutboundMessage, job: &Job, reason: &str) -> Commit {
    Commit::failed(format!(
        "message {} of request {} to {} ({}:{}) not delivered after {} tries: {reason}",
        message.message_id,
        message.request_id,
        message.destination_node_id,
        message.ip,
        message.port,
        job.tries,
    ))
}

/// `message_queue_send_success` (spec/http-api.md 4.6).
fn success_callback(message: &OutboundMessage) -> NewJob {
    let mut body = Map::new();
    body.insert("node_id".into(), message.sender_node_id.clone().into());
    body.insert("type".into(), "message_queue_send_success".into());
    body.insert(
        "destination_node_id".into(),
        message.destination_node_id.clone().into(),
    );
    body.insert("destination_ip".into(), message.ip.clone().into());
    body.insert("destination_port".into(), message.port.into());
    body.insert("request_id".into(), message.request_id.clone().into());
    let target = Target::Setting {
        role: SUCCESS_URL_ROLE.to_owned(),
        name: SUCCESS_URL_NAME.to_owned(),
    };
    callback_job(target, &message.request_id, body, Persistence::Single, None)
}
