//! Callbacks to client applications (spec/http-api.md 4).

mod client;
mod deliver;

pub use client::{CallbackClient, CallbackLimits};
pub use deliver::{deliver, run_deliver};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Refusal;
use crate::http_client::destination;
use crate::job::{Gauge, JobId, Kind, NewJob, Spec, delivery_key};

crate::job::stored! {
    "callback": Callback = 1,
    "data_request_answer": DataRequestAnswer = 1,
}

/// POSTs a callback to a client application. It keeps its place, so that the
/// client hears of things in their order.
pub const DELIVER: Kind = Kind::new(
    &Spec::delivery(24, "deliver.callback")
        .keeps_its_place()
        .counts_in(CALLBACKS),
);

/// The client application answered a data request.
pub const ANSWERED: Kind = Kind::new(&Spec::transactional(13, "as.callback_answer"));

/// Undelivered callbacks.
pub const CALLBACKS: Gauge = Gauge::new(2, "pending_client_callbacks_total");

/// Where a callback goes. Settings are looked up at every try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallbackTarget {
    /// The `callback_url` of a call.
    Url(String),
    /// A URL set by `POST /<role>/callback` (table `CallbackUrl`, row = role, column = name).
    Setting { role: String, name: String },
    /// A service's URL (table `ServiceUrl`, row = AS node id, column = service id).
    Service { node_id: String, service_id: String },
}

/// How long a callback is tried (spec/http-api.md 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Persistence {
    /// Class R: until `CALLBACK_RETRY_TIMEOUT` has passed while this node ran.
    Timed,
    /// Class C: until the request has ended.
    UntilRequestEnds { request_id: String },
    /// Class N: once.
    Single,
}

/// The data request that an answer's body belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRequestRef {
    /// The AS, or the node behind the proxy.
    pub node_id: String,
    pub request_id: String,
    pub service_id: String,
}

/// Payload of `deliver.callback`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Callback {
    /// The same on every try; sent as header `Idempotency-Key`.
    pub id: String,
    pub target: CallbackTarget,
    /// As JSON.
    pub body: String,
    pub persistence: Persistence,
    /// Set for `data_request`: the answer becomes a job `as.callback_answer`
    /// ([`DataRequestAnswer`]) in the commit that ends the delivery.
    pub answer_to: Option<DataRequestRef>,
}

/// Payload of `as.callback_answer`: the AS application's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataRequestAnswer {
    pub request: DataRequestRef,
    /// HTTP status.
    pub status: u16,
    /// Body; `None` when it was above 25 MiB (error 20036).
    pub body: Option<Vec<u8>>,
}

/// A job that delivers `body`. `scope` (a request id or a reference id) and the
/// receiver form the key: callbacks of one scope to one receiver arrive in
/// order, also when one of them is tried again.
pub fn callback_job(
    target: CallbackTarget,
    scope: &str,
    body: Map<String, Value>,
    persistence: Persistence,
    answer_to: Option<DataRequestRef>,
) -> NewJob {
    let key = callback_key(&target, scope);
    let callback = Callback {
        id: JobId::generate().to_string(),
        target,
        body: Value::Object(body).to_string(),
        persistence,
        answer_to,
    };
    NewJob::new(DELIVER, key, &callback)
}

/// The key of the callbacks of one scope to one receiver.
pub fn callback_key(target: &CallbackTarget, scope: &str) -> String {
    delivery_key("callback", &receiver(target), scope)
}

/// The receiving server, as far as it is known when the callback is made: the
/// URL of a setting is looked up at every try.
fn receiver(target: &CallbackTarget) -> String {
    match target {
        CallbackTarget::Url(url) => match Url::parse(url) {
            Ok(url) => destination(&url),
            // Its only try will report that.
            Err(_) => "unusable".to_owned(),
        },
        CallbackTarget::Setting { role, name } => format!("{role}.{name}"),
        CallbackTarget::Service {
            node_id,
            service_id,
        } => format!("{node_id}/{service_id}"),
    }
}

/// The `error` callback of a role (spec/http-api.md 4.6).
pub fn error_job(
    role: &str,
    node_id: Option<&str>,
    action: &str,
    request_id: Option<&str>,
    error: &Refusal,
) -> NewJob {
    let mut body = Map::new();
    if let Some(node_id) = node_id {
        body.insert("node_id".into(), node_id.into());
    }
    body.insert("type".into(), "error".into());
    body.insert("action".into(), action.into());
    if let Some(request_id) = request_id {
        body.insert("request_id".into(), request_id.into());
    }
    body.insert("error".into(), error.to_json());
    let target = CallbackTarget::Setting {
        role: role.to_owned(),
        name: "error_url".to_owned(),
    };
    callback_job(
        target,
        request_id.unwrap_or("error"),
        body,
        Persistence::Single,
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(url: &str, scope: &str) -> String {
        let target = CallbackTarget::Url(url.to_owned());
        let job = callback_job(target, scope, Map::new(), Persistence::Timed, None);
        job.key.to_string()
    }

    #[test]
    fn keys_hold_no_secret_of_a_url() {
        let key = key("https://bank:secret@app.example/secret?token=secret", "r1");
        assert!(!key.contains("secret"), "{key}");
        assert_eq!(key, "callback:app.example:443 r1");
    }

    #[test]
    fn one_receiver_and_scope_is_one_order() {
        let first = key("https://app.example/a", "r1");
        assert_eq!(first, key("https://app.example/b", "r1"));
        assert_ne!(first, key("https://app.example:8443/a", "r1"));
        assert_ne!(first, key("https://app.example/a", "r2"));
    }
}
