//! Handler of `deliver.callback` (spec/http-api.md 4.1).

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use parking_lot::Mutex;
use serde_json::Value;

use super::client::{CallFailure, CallbackClient, CallbackResponse, ResponseBody};
use super::{Callback, CallbackTarget, DataRequestAnswer, DataRequestRef, Persistence};
use crate::context::{Context, row, state};
use crate::delivery::{backoff, callback, is_out_of_time, nominal_delay};
use crate::error::Error;
use crate::job::{Commit, Job, Millis, NewJob, Run, Table, receiver_of, request_key};
use crate::labelled::Labelled;
use crate::ledger::query;
use crate::logging::LineLimit;

/// Pause before a callback is tried again that found its destination busy.
const BUSY_DELAY: Duration = Duration::from_secs(1);
const STATUS_WITH_BODY: u16 = 200;
/// Fewest tries of a callback that stood behind another, however late it is.
const LEAST_TRIES: u32 = 3;

/// By status, and by whether the answer's body was wanted.
static DURATIONS: LazyLock<Labelled<(u16, bool)>> = LazyLock::new(|| {
    Labelled::new(|(status, with_response_body)| {
        histogram!(
            "client_callback_duration_ms",
            "code" => status.to_string(),
            "with_response_body" => with_response_body.to_string(),
        )
    })
});

/// Receivers whose failures are counted apart. A client application may name a
/// new one in each call.
static RECEIVERS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
const NAMED: usize = 100;

/// By receiver.
static FAILURES: LazyLock<LineLimit<String>> =
    LazyLock::new(|| LineLimit::new(20, Duration::from_secs(10)));

/// Handler of `deliver.callback`.
/// # Errors
/// Those of the store, which holds the receiver's URL.
pub async fn run_deliver(
    context: &Context,
    client: &CallbackClient,
    job: &Job,
) -> Result<Run, Error> {
    deliver(context, client, job, job.payload()?).await
}

/// Tries to deliver a callback once. Any HTTP answer means delivered.
/// # Errors
/// Those of the store, which holds the receiver's URL.
pub async fn deliver(
    context: &Context,
    client: &CallbackClient,
    job: &Job,
    callback: Callback,
) -> Result<Run, Error> {
    if job.tries > 0 && is_pointless(context, &callback).await {
        tracing::info!(
            callback = callback.id,
            "callback dropped: its request has ended"
        );
        return Ok(Run::Commit(Commit::nothing()));
    }
    let limit = context.config.callback_retry_timeout;
    let receiver = receiver_of(job.key());
    if callback.persistence == Persistence::Timed
        && client.failing.has_failed_for(receiver, limit)
        && job.accepted_at.until(Millis::now()) > limit
    {
        counter!("client_callback_timeouts_total").increment(1);
        let reason = format!(
            "given up after {} tries: its receiver has failed the whole time",
            job.tries
        );
        return Ok(Run::Commit(Commit::failed(reason)));
    }
    let Some(url) = url(context, &callback.target).await? else {
        tracing::info!(callback = callback.id, receiver = ?callback.target, "no callback URL set");
        return Ok(Run::Commit(Commit::nothing()));
    };
    let wants_answer = callback.answer_to.is_some();
    let started = Instant::now();
    let called = client
        .post(&url, &callback.id, callback.body.clone(), wants_answer)
        .await;
    Ok(match called {
        Ok(answer) => {
            client.failing.succeeded(receiver);
            let duration = started.elapsed().as_secs_f64() * 1000.0;
            DURATIONS.record(&(answer.status, wants_answer), duration);
            Run::Commit(delivered(&callback, answer))
        }
        Err(CallFailure::Busy(receiver)) => Run::Retry {
            after: BUSY_DELAY,
            reason: format!("{receiver}: too many calls at a time"),
        },
        Err(CallFailure::Unusable(reason)) => {
            counter!("client_callback_fails_total").increment(1);
            Run::Commit(Commit::failed(reason))
        }
        Err(CallFailure::Transport(reason)) => {
            client.failing.failed(receiver);
            counter!("client_callback_fails_total").increment(1);
            count_failure(receiver);
            note_failure(job, &callback, &reason);
            try_again(&callback.persistence, job, limit, reason)
        }
    })
}

/// Counts a failure of this receiver, as the dispatcher names it.
fn count_failure(receiver: &str) {
    let receiver = receiver.strip_prefix("callback:").unwrap_or(receiver);
    let mut named = RECEIVERS.lock();
    let has_room = named.len() < NAMED || named.contains(receiver);
    let receiver = if has_room { receiver } else { "others" };
    if !named.contains(receiver) {
        named.insert(receiver.to_owned());
    }
    counter!("erawan_callback_failures_total", "receiver" => receiver.to_owned()).increment(1);
}

/// Says in the log that a receiver did not take a callback. `reason` names host
/// and port, and nothing secret.
fn note_failure(job: &Job, callback: &Callback, reason: &str) {
    let Some(left_out) = FAILURES.admit(receiver_of(job.key()).to_owned()) else {
        return;
    };
    tracing::warn!(
        job = %job.id(),
        callback = callback.id,
        key = job.key(),
        tries = job.tries + 1,
        reason,
        left_out = (left_out > 0).then_some(left_out),
        "a callback failed"
    );
}

/// The current URL; `None` if the client application has set none.
async fn url(context: &Context, target: &CallbackTarget) -> Result<Option<String>, Error> {
    match target {
        CallbackTarget::Url(url) => Ok(Some(url.clone())),
        CallbackTarget::Setting { role, name } => {
            state::load_text(context, Table::CallbackUrl, role, name).await
        }
        CallbackTarget::Service {
            node_id,
            service_id,
        } => state::load_text(context, Table::ServiceUrl, node_id, service_id).await,
    }
}

/// Whether another try is pointless because the request has ended. If that
/// cannot be found out, the tries go on.
async fn is_pointless(context: &Context, callback: &Callback) -> bool {
    let Persistence::UntilRequestEnds { request_id } = &callback.persistence else {
        return false;
    };
    match query::request_detail(context.ledger.as_ref(), request_id, None).await {
        Ok(Some(detail)) => detail.has_ended(),
        // The ledger was replaced, or its node is behind.
        Ok(None) => is_forgotten(context, callback, request_id).await,
        Err(_) => false,
    }
}

/// Whether this node has no record of the request either. The record is written
/// with the callback and deleted when the request is seen to have ended.
async fn is_forgotten(context: &Context, callback: &Callback, request_id: &str) -> bool {
    let Ok(body) = serde_json::from_str::<Value>(&callback.body) else {
        return false;
    };
    let Some(node_id) = body["node_id"].as_str() else {
        return false;
    };
    let record = row(node_id, request_id);
    let consent = context.state.get(Table::ConsentRequest, &record, "");
    let data = context.state.get(Table::DataRequest, &record, "");
    matches!(tokio::join!(consent, data), (Ok(None), Ok(None)))
}

fn delivered(callback: &Callback, answer: CallbackResponse) -> Commit {
    let Some(request) = &callback.answer_to else {
        return match answer.body {
            ResponseBody::Whole(_) => Commit::nothing(),
            ResponseBody::TooLarge => {
                counter!("client_callback_fails_total").increment(1);
                Commit::failed("the answer is above 25 MiB")
            }
        };
    };
    let mut commit = Commit::nothing();
    commit.job(answer_job(&callback.id, request, answer));
    commit
}

fn answer_job(callback_id: &str, request: &DataRequestRef, answer: CallbackResponse) -> NewJob {
    let body = match answer.body {
        // Only a 200 has a body that means something.
        ResponseBody::Whole(body) if answer.status == STATUS_WITH_BODY => Some(body),
        ResponseBody::Whole(_) => Some(Vec::new()),
        ResponseBody::TooLarge => None,
    };
    let payload = DataRequestAnswer {
        request: request.clone(),
        status: answer.status,
        body,
    };
    let key = request_key(&request.request_id);
    NewJob::new(callback::ANSWERED, key, &payload).source(format!("answer:{callback_id}"))
}

/// Whether a callback with limited time is given up. The time in which it stood
/// behind an earlier callback of its line counts as if it had been tried:
/// otherwise the last of a line would come when its client has long given the
/// request up.
fn is_given_up(job: &Job, limit: Duration) -> bool {
    let stood_behind = job.prev != 0;
    let next = nominal_delay(job.tries);
    let is_late = job.accepted_at.until(Millis::now()) + next > limit;
    is_out_of_time(job, limit) || (stood_behind && is_late && job.tries + 1 >= LEAST_TRIES)
}

fn try_again(persistence: &Persistence, job: &Job, limit: Duration, reason: String) -> Run {
    let after = backoff(job.tries);
    match persistence {
        Persistence::Single => Run::Commit(Commit::failed(reason)),
        Persistence::UntilRequestEnds { .. } => Run::Retry { after, reason },
        Persistence::Timed => {
            if is_given_up(job, limit) {
                counter!("client_callback_timeouts_total").increment(1);
                let seconds = job.accepted_at.until(Millis::now()).as_secs();
                let tries = job.tries + 1;
                let reason = format!("given up after {tries} tries in {seconds} s: {reason}");
                return Run::Commit(Commit::failed(reason));
            }
            Run::Retry { after, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(age: u64, prev: u64, tries: u32) -> Job {
        Job {
            new: NewJob::new(callback::DELIVER, "callback:a r1", &()),
            seq: 9,
            prev,
            attempt: 1,
            tries,
            strikes: 0,
            parked: false,
            accepted_at: Millis(Millis::now().0 - age * 1000),
        }
    }

    #[test]
    fn a_callback_that_stood_behind_another_has_three_tries_when_its_time_is_up() {
        let limit = Duration::from_secs(600);
        let is_given_up = |age, prev, tries| is_given_up(&waiting(age, prev, tries), limit);
        assert!(!is_given_up(700, 8, 1) && is_given_up(700, 8, 2));
        // It stood behind no other callback: its node was down.
        assert!(!is_given_up(700, 0, 2) && is_given_up(700, 0, 8));
        assert!(!is_given_up(100, 8, 2), "its time is not up");
    }
}
