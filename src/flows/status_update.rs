//! The `request_status` callback of IdP and AS after a block that changed a request
//! (spec/flows.md 3.5, 4.8; spec/http-api.md 4.4). One job reads the request as it
//! was at that block, and delivers the callback. Every try reads the same, so the
//! job stores only the block.

use crate::context::Context;
use crate::delivery::callback;
use crate::delivery::callback::{
    Callback, CallbackClient, CallbackTarget, Persistence, callback_key, error_job,
};
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::{RequestUpdate, request_status};
use crate::job::{Commit, Job, Kind, NewJob, Run, Spec, Table};
use crate::ledger::query;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const URL_NAME: &str = "incoming_request_status_update_url";
const ACTION: &str = "handleTendermintNewBlock";

crate::job::stored! {
    "status_update": StatusUpdate = 1,
}

/// IdP and AS: tell the client application how a request stands after a block.
pub const DELIVER: Kind = Kind::new(
    &Spec::delivery(36, "deliver.status_update")
        .keeps_its_place()
        .counts_in(callback::CALLBACKS),
);

/// Payload of `deliver.status_update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusUpdate {
    /// `idp` or `as`: whose URL.
    pub role: String,
    /// What the block changed.
    pub update: RequestUpdate,
}

/// The delivery, if the client application has set a URL.
///
/// # Errors
/// Temporary when the store does not answer.
pub async fn callback(
    context: &Context,
    role: &str,
    update: &RequestUpdate,
) -> Result<Commit, Error> {
    let mut commit = Commit::nothing();
    if is_wanted(context, role).await? {
        commit.job(delivery(role, update.clone()));
    }
    Ok(commit)
}

/// The delivery. Its key is that of all callbacks of the request to this URL.
pub fn delivery(role: &str, update: RequestUpdate) -> NewJob {
    let key = callback_key(&target(role), &update.request_id);
    let role = role.to_owned();
    NewJob::new(DELIVER, key, &StatusUpdate { role, update })
}

fn target(role: &str) -> CallbackTarget {
    CallbackTarget::Setting {
        role: role.to_owned(),
        name: URL_NAME.to_owned(),
    }
}

/// Whether the client application has set a URL for status updates.
///
/// # Errors
/// Temporary when the store does not answer.
pub async fn is_wanted(context: &Context, role: &str) -> Result<bool, Error> {
    let state = context.state.as_ref();
    let url = state.get(Table::CallbackUrl, role, URL_NAME).await?;
    Ok(url.is_some())
}

/// Handler of `deliver.status_update`. A final error leads to an `error` callback.
///
/// # Errors
/// Those that are not final.
pub async fn run_deliver(
    context: &Context,
    client: &CallbackClient,
    job: &Job,
) -> Result<Run, Error> {
    let StatusUpdate { role, update } = job.payload()?;
    match settled(status(context, &update).await)? {
        Ok(body) => {
            let callback = Callback {
                id: job.id().to_string(),
                target: target(&role),
                body: Value::Object(body).to_string(),
                persistence: Persistence::Timed,
                answer_to: None,
            };
            callback::deliver(context, client, job, callback).await
        }
        Err(refusal) => Ok(Run::Commit(refused(&role, &update, &refusal))),
    }
}

/// The body.
///
/// # Errors
/// 20012; those of the ledger.
pub(super) async fn status(
    context: &Context,
    update: &RequestUpdate,
) -> Result<Map<String, Value>, Error> {
    let RequestUpdate {
        node_id,
        request_id,
        height,
        ..
    } = update;
    let ledger = context.ledger.as_ref();
    let detail = query::request_detail(ledger, request_id, Some(*height)).await?;
    let detail = detail.ok_or(codes::REQUEST_NOT_FOUND)?;
    Ok(request_status::body(
        context, node_id, &detail, *height, None,
    ))
}

fn refused(role: &str, update: &RequestUpdate, refusal: &Refusal) -> Commit {
    let (node_id, request_id) = (Some(update.node_id.as_str()), &update.request_id);
    let mut commit = Commit::nothing();
    commit.job(error_job(role, node_id, ACTION, Some(request_id), refusal));
    commit
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::context::Role;
    use crate::flows::testing::{TestNode, job, scenario};
    use crate::job::Write;

    /// One received callback, answered with 204.
    async fn call(listener: &TcpListener) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut call = String::new();
        while !call.contains("\r\n\r\n") || !call.ends_with('}') {
            let mut chunk = [0; 4096];
            let read = stream.read(&mut chunk).await.unwrap();
            call.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
        }
        let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        call
    }

    fn recorded() -> Value {
        let records = scenario("accept, AS sends data later");
        let bodies = records.into_iter().map(|record| record["body"].clone());
        let mut of_idp =
            bodies.filter(|body| body["type"] == "request_status" && body["node_id"] == "idp1");
        of_idp.next().unwrap()
    }

    #[tokio::test]
    async fn every_try_says_the_same_under_one_id() {
        let node = TestNode::new("idp1", Role::Idp);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/idp", listener.local_addr().unwrap());
        let url = Write::put_column(Table::CallbackUrl, "idp", URL_NAME, url.into_bytes());
        node.state.apply(&[url]);
        let expected = recorded();
        let height = expected["block_height"].as_str().unwrap();
        let update = RequestUpdate {
            node_id: "idp1".to_owned(),
            request_id: expected["request_id"].as_str().unwrap().to_owned(),
            height: height.rsplit(':').next().unwrap().parse().unwrap(),
            ended: false,
            is_new_history: false,
        };
        let client = CallbackClient::new(&node.context.config).unwrap();
        let mut job = job(delivery("idp", update));
        let mut calls = Vec::new();
        for tries in [0, 1] {
            job.tries = tries;
            let run = run_deliver(&node.context, &client, &job);
            let (run, call) = tokio::join!(run, call(&listener));
            assert_eq!(run.unwrap(), Run::Commit(Commit::nothing()));
            calls.push(call);
        }
        let id = format!("idempotency-key: {}", job.id());
        assert!(calls[0].to_lowercase().contains(&id), "{}", calls[0]);
        assert_eq!(calls[0], calls[1]);
        let (_, body) = calls[0].split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_request_that_the_ledger_does_not_know_is_an_error() {
        let node = TestNode::new("idp1", Role::Idp);
        let unknown = serde_json::json!({"request_id": "none"});
        node.ledger.answer("GetRequestDetail", unknown, Value::Null);
        let update = RequestUpdate {
            node_id: "idp1".to_owned(),
            request_id: "none".to_owned(),
            height: 60,
            ended: false,
            is_new_history: false,
        };
        let client = CallbackClient::new(&node.context.config).unwrap();
        let job = job(delivery("idp", update));
        let Run::Commit(commit) = run_deliver(&node.context, &client, &job).await.unwrap() else {
            panic!("repeated");
        };
        let [(_, body)] = &crate::flows::testing::callbacks(&commit.jobs)[..] else {
            panic!("{commit:?}");
        };
        assert_eq!(body["error"]["code"], 20012);
    }
}
