//! Messages to other nodes (spec/messaging-and-crypto.md 3.7).

use std::time::Duration;

use serde_json::Map;

use super::callback::{CallbackTarget, Persistence, callback_job};
use super::failing::Failing;
use super::{backoff, reconnect_backoff};
use crate::context::Context;
use crate::error::Error;
use crate::job::{Commit, Gauge, Job, Kind, Millis, NewJob, Run, Spec, Table, receiver_of};
use crate::mq::OutboundMessage;
use crate::mq::client::{MqSender, SendError};

/// Sends an encrypted message to another node.
pub const DELIVER: Kind =
    Kind::new(&Spec::delivery(23, "deliver.message").counts_in(OUTBOUND_MESSAGES));

/// Messages to other nodes that are not acknowledged yet.
pub const OUTBOUND_MESSAGES: Gauge = Gauge::new(0, "pending_outbound_mq_messages_total");

/// How long a message is tried.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(600);

/// Fewest tries of a message, even when its time is up: this node may have been
/// down meanwhile.
const LEAST_TRIES: u32 = 4;

/// How long one try waits for the acknowledgement. The message queue service
/// transmits again every 60 s while the call is open; a shorter call would
/// prevent that. The next try has the same id.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(75);

const SUCCESS_URL_ROLE: &str = "node";
const SUCCESS_URL_NAME: &str = "message_queue_send_success_url";

/// Handler of `deliver.message`.
///
/// # Errors
/// Temporary ones of the store, before anything is sent.
pub async fn run_deliver(
    context: &Context,
    mq: &dyn MqSender,
    failing: &Failing,
    job: &Job,
) -> Result<Run, Error> {
    let message: OutboundMessage = job.payload()?;
    let receiver = receiver_of(job.key());
    let deadline = job.new.deadline.unwrap_or(Millis(u64::MAX));
    let remaining = Millis::now().until(deadline);
    let is_last = remaining.is_zero() && job.tries >= LEAST_TRIES;
    if remaining.is_zero() && failing.has_failed_for(receiver, SEND_TIMEOUT) {
        let reason = "its receiver has failed the whole time";
        return Ok(Run::Commit(given_up(&message, job, reason)));
    }
    // Read before sending: a store that fails afterwards must not cause a
    // second sending.
    let reports_success = context
        .state
        .get(Table::CallbackUrl, SUCCESS_URL_ROLE, SUCCESS_URL_NAME)
        .await?
        .is_some();
    let limit = match remaining {
        Duration::ZERO => ATTEMPT_TIMEOUT,
        remaining => remaining.min(ATTEMPT_TIMEOUT),
    };
    let attempt = tokio::time::timeout(limit, mq.send(&message));
    let sent = attempt.await;
    match &sent {
        Ok(Ok(())) => failing.succeeded(receiver),
        Ok(Err(SendError::Retry(_))) | Err(_) => failing.failed(receiver),
        // This says nothing about the receiver.
        Ok(Err(SendError::Unreachable(_) | SendError::GiveUp(_))) => {}
    }
    let (after, reason) = match sent {
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
        // Our own service is away, which says nothing about the receiver. The
        // message waits, however long that takes.
        Ok(Err(error @ SendError::Unreachable(_))) => {
            (reconnect_backoff(job.tries), error.to_string())
        }
        Ok(Err(SendError::Retry(reason))) if is_last => {
            return Ok(Run::Commit(given_up(&message, job, &reason)));
        }
        Err(_) if is_last => {
            return Ok(Run::Commit(given_up(&message, job, "its time is up")));
        }
        Ok(Err(error @ SendError::Retry(_))) => (backoff(job.tries), error.to_string()),
        Err(_) => (backoff(job.tries), "not acknowledged in time".to_owned()),
    };
    let after = match Millis::now().until(deadline) {
        Duration::ZERO => after,
        // Not beyond the deadline, so that giving up is noticed in time.
        left => after.min(left),
    };
    Ok(Run::Retry { after, reason })
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
    let target = CallbackTarget::Setting {
        role: SUCCESS_URL_ROLE.to_owned(),
        name: SUCCESS_URL_NAME.to_owned(),
    };
    callback_job(target, &message.request_id, body, Persistence::Single, None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Role;
    use crate::delivery::callback::Callback;
    use crate::job::{JobOutcome, codec};
    use crate::messaging::testing;
    use crate::messaging::testing::{FakeLedger, MemoryState};

    /// Answers the same every time; `None`: never.
    struct Scripted {
        answer: Option<Result<(), SendError>>,
        sent: Mutex<Vec<String>>,
    }

    impl Scripted {
        fn new(answer: Option<Result<(), SendError>>) -> Self {
            Self {
                answer,
                sent: Mutex::default(),
            }
        }
    }

    #[async_trait]
    impl MqSender for Scripted {
        async fn send(&self, message: &OutboundMessage) -> Result<(), SendError> {
            self.sent.lock().push(message.message_id.clone());
            match &self.answer {
                Some(answer) => answer.clone(),
                None => std::future::pending().await,
            }
        }
    }

    fn job(remaining: Duration, tries: u32) -> Job {
        let message = OutboundMessage {
            message_id: "m_1".to_owned(),
            sender_node_id: "rp1".to_owned(),
            destination_node_id: "idp1".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: 5555,
            payload: vec![1],
            request_id: "r".to_owned(),
        };
        let new = NewJob::new(DELIVER, "key", &message);
        let mut job = testing::accepted(new.deadline(Millis::now().after(remaining)));
        job.tries = tries;
        job
    }

    fn context(success_url: Option<&str>) -> Context {
        let mut context = testing::context("rp1", Role::Rp, FakeLedger::recorded());
        let state = MemoryState::default();
        if let Some(url) = success_url {
            let column = SUCCESS_URL_NAME;
            state.put(Table::CallbackUrl, "node", column, url.as_bytes());
        }
        context.state = Arc::new(state);
        context
    }

    async fn run(context: &Context, mq: &Scripted, job: &Job) -> Run {
        run_deliver(context, mq, &Failing::default(), job)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn success_is_reported_only_where_a_url_is_set() {
        let mq = Scripted::new(Some(Ok(())));
        let job = job(SEND_TIMEOUT, 0);
        let silent = run(&context(None), &mq, &job).await;
        assert_eq!(silent, Run::Commit(Commit::nothing()));

        let Run::Commit(commit) = run(&context(Some("http://app")), &mq, &job).await else {
            panic!("not delivered");
        };
        let callback: Callback = codec::decode(&commit.jobs[0].payload).unwrap();
        assert_eq!(callback.persistence, Persistence::Single);
        let body: Value = serde_json::from_str(&callback.body).unwrap();
        let expected = json!({
            "node_id": "rp1",
            "type": "message_queue_send_success",
            "destination_node_id": "idp1",
            "destination_ip": "127.0.0.1",
            "destination_port": 5555,
            "request_id": "r",
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_failed_try_is_repeated_until_the_deadline() {
        let context = context(None);
        let retry = Scripted::new(Some(Err(SendError::Retry("no".to_owned()))));
        let Run::Retry { after, .. } = run(&context, &retry, &job(SEND_TIMEOUT, 2)).await else {
            panic!("given up");
        };
        assert!((19.0..=21.0).contains(&after.as_secs_f64()), "{after:?}");
        let soon = Duration::from_secs(3);
        let Run::Retry { after, .. } = run(&context, &retry, &job(soon, 9)).await else {
            panic!("given up");
        };
        assert!(after <= soon);
        let Run::Commit(commit) = run(&context, &retry, &job(Duration::ZERO, 10)).await else {
            panic!("not given up");
        };
        assert!(matches!(commit.outcome, JobOutcome::Failed { .. }));
        assert_eq!(retry.sent.lock().len(), 3);
        let away = Scripted::new(Some(Err(SendError::Unreachable("away".to_owned()))));
        let waits = run(&context, &away, &job(Duration::ZERO, 10)).await;
        assert!(matches!(waits, Run::Retry { .. }), "{waits:?}");
    }

    #[tokio::test]
    async fn a_message_whose_time_passed_while_the_node_was_down_is_still_tried() {
        let context = context(None);
        let mq = Scripted::new(Some(Ok(())));
        let run_out = job(Duration::ZERO, 0);
        let delivered = run(&context, &mq, &run_out).await;
        assert_eq!(delivered, Run::Commit(Commit::nothing()));
        let retry = Scripted::new(Some(Err(SendError::Retry("no".to_owned()))));
        let Run::Retry { after, .. } = run(&context, &retry, &run_out).await else {
            panic!("given up");
        };
        assert!(after >= Duration::from_secs(4), "{after:?}");
    }

    #[tokio::test]
    async fn an_own_service_that_is_down_is_tried_again_soon() {
        let down = Scripted::new(Some(Err(SendError::Unreachable("no".to_owned()))));
        let Run::Retry { after, .. } = run(&context(None), &down, &job(SEND_TIMEOUT, 0)).await
        else {
            panic!("given up");
        };
        assert!(after < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn what_the_service_refuses_for_good_fails() {
        let refused = Scripted::new(Some(Err(SendError::GiveUp("too large".to_owned()))));
        let Run::Commit(commit) = run(&context(None), &refused, &job(SEND_TIMEOUT, 0)).await else {
            panic!("repeated");
        };
        let JobOutcome::Failed { reason } = commit.outcome else {
            panic!("done");
        };
        assert!(reason.contains("too large"), "{reason}");
    }

    #[tokio::test]
    async fn one_try_does_not_outlast_the_deadline() {
        let silent = Scripted::new(None);
        let soon = job(Duration::from_secs(1), 0);
        let result = run(&context(None), &silent, &soon).await;
        assert!(matches!(result, Run::Retry { .. }));
    }
}
