//! `POST /rp/request_close` and what follows when a CloseRequest has settled
//! (spec/flows.md 2.8).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::report::OperationResult;
use super::stored::{RequestRef, Stored};
use crate::api::{self, Audience, Endpoint, NoPath, Outcome, Texts};
use crate::delivery::transaction::{Continuation, Fate, Settled, Transact, transact};
use crate::error::{Error, Refusal, settled};
use crate::flows::call::Call;
use crate::flows::reply::Reply;
use crate::flows::request_key;
use crate::flows::request_status::Validity;
use crate::job::{Commit, Job, Kind, NewJob, Table, codec};
use crate::node::Context;
use crate::store::Accept;

const OPERATION: &str = "request_close";

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::post("/rp/request_close", Audience::Rp)
        .ends()
        .body::<CloseRequest>()
        .run(run)
}

async fn run(call: api::Call<NoPath, Texts, CloseRequest>) -> Result<Outcome, Error> {
    Ok(Outcome::started(close_request(&call.node_id, call.body)))
}

/// Body of the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloseRequest {
    /// The client's name for this call.
    #[schemars(length(min = 1))]
    pub reference_id: String,
    /// Where the result goes.
    #[schemars(schema_with = "api::url")]
    pub callback_url: String,
    /// Which request.
    #[schemars(length(min = 1))]
    pub request_id: String,
}

/// Payload of `rp.close_request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Close {
    of: RequestRef,
    call: CloseRequest,
    once: Call,
}

/// Handed to the continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Closing {
    of: RequestRef,
    /// Set when a client asked; the node closes by itself without a callback.
    call: Option<(CloseRequest, Call)>,
}

/// The API call: nothing is checked, the ledger decides. The work is done in
/// the request's turn, so that it sees every verdict that came before.
pub fn close_request(node_id: &str, call: CloseRequest) -> Accept {
    let key = request_key(&call.request_id);
    let reply = Reply {
        reference_id: call.reference_id.clone(),
        callback_url: call.callback_url.clone(),
    };
    let once = Call::new(node_id, &call.request_id, OPERATION, &reply, &Value::Null);
    let close = Close {
        of: RequestRef {
            node_id: node_id.to_owned(),
            request_id: call.request_id.clone(),
        },
        call,
        once: once.clone(),
    };
    once.once(Accept {
        jobs: vec![NewJob::new(Kind::RpCloseRequest, key, &close)],
        ..Accept::default()
    })
}

/// The transaction, with the verdicts on the answers.
pub(super) fn transaction(
    of: &RequestRef,
    validity: &Validity,
    call: Option<(CloseRequest, Call)>,
) -> Transact {
    let params = json!({
        "request_id": of.request_id,
        "response_valid_list": validity.to_list(),
    });
    let closing = Closing {
        of: of.clone(),
        call,
    };
    let then = Continuation::new(Kind::RpRequestClosed, request_key(&of.request_id), &closing);
    let then = match closing.call {
        Some(_) => then,
        // The block tells, and ends the timer with the request.
        None => then.if_refused(),
    };
    Transact::new(&of.node_id, "CloseRequest", &params, Some(then))
}

/// Handler of `rp.close_request`.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let Close { of, call, once } = job.payload()?;
    let stored = Stored::load(context, of.clone()).await?;
    let validity = stored.as_ref().map(|stored| stored.validity.clone());
    let validity = validity.unwrap_or_default();
    let transaction = transaction(&of, &validity, Some((call.clone(), once.clone())));
    let mut commit = match settled(transact(context, transaction).await)? {
        Ok(commit) => commit,
        Err(refusal) => {
            let mut commit = Commit::failed(refusal.to_string());
            commit.job(result(&of, &call, Some(&refusal)));
            commit.write(once.forget());
            return Ok(commit);
        }
    };
    if let Some(mut stored) = stored {
        stored.progress.closing = true;
        commit.write(stored.save_progress());
    }
    Ok(commit)
}

/// Handler of `rp.request_closed`.
pub async fn handle_closed(context: &Context, job: &Job) -> Result<Commit, Error> {
    let settled: Settled = job.payload()?;
    let Closing { of, call } = codec::decode(&settled.context)?;
    let stored = Stored::load(context, of.clone()).await?;
    let mut commit = Commit::nothing();
    let error = match settled.fate {
        Fate::Committed { .. } => {
            commit
                .cancel
                .extend(stored.and_then(|stored| stored.progress.timer));
            None
        }
        Fate::Refused { code, message } => {
            // Still open, for all we know: a later answer may close it again.
            if let Some(mut stored) = stored {
                stored.progress.closing = false;
                commit.write(stored.save_progress());
            }
            Some(Refusal::of_ledger(code, message))
        }
    };
    if let Some((call, once)) = call {
        commit.write(match &error {
            None => once.keep(context, Table::RequestData).await?,
            Some(_) => once.forget(),
        });
        commit.job(result(&of, &call, error.as_ref()));
    }
    Ok(commit)
}

fn result(of: &RequestRef, call: &CloseRequest, error: Option<&Refusal>) -> NewJob {
    OperationResult {
        kind: "close_request_result",
        node_id: &of.node_id,
        request_id: &of.request_id,
        reference_id: &call.reference_id,
        callback_url: &call.callback_url,
        creation_block_height: None,
        error,
    }
    .job()
}
