//! `POST /rp/request_close` and what follows when a CloseRequest has settled
//! (spec/flows.md 2.8).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ROLE;
use super::report::PROCESS_MESSAGE;
use super::stored::{RequestRef, StoredRequest};
use crate::api::{self, Audience, CallOutcome, Endpoint, NoPath, Texts};
use crate::context::Context;
use crate::delivery::transaction::{Continuation, Transact, transact};
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::call_mark::CallMark;
use crate::flows::dispatch::Flow;
use crate::flows::identity::consent;
use crate::flows::ledger_call::settlement;
use crate::flows::reply::ReplyTo;
use crate::flows::request_status::Validity;
use crate::job::{Commit, Job, Kind, NewJob, Spec, Table, request_key};
use crate::store::Accept;

crate::job::stored! {
    "rp_close": ClosePayload = 1,
    "rp_closing": CloseContext = 1,
}

/// The client asks to close a request.
pub const KIND: Kind = Kind::new(&Spec::transactional(25, "rp.close_request"));

/// The transaction that closes a request has settled.
pub const CLOSED: Kind = Kind::new(&Spec::transactional(5, "rp.request_closed"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job))).told(ROLE, PROCESS_MESSAGE);

pub(in crate::flows) const CLOSED_FLOW: Flow =
    Flow::new(CLOSED, |context, job| Box::pin(handle_closed(context, job)))
        .told(ROLE, PROCESS_MESSAGE);

const OPERATION: &str = "request_close";

pub fn endpoint() -> Endpoint {
    Endpoint::post("/rp/request_close", Audience::Rp)
        .does("Closes a request before it ends by itself.")
        .ends()
        .body::<CloseRequest>()
        .run(run)
}

async fn run(call: api::ApiCall<NoPath, Texts, CloseRequest>) -> Result<CallOutcome, Error> {
    Ok(CallOutcome::started(close_request(
        &call.node_id,
        call.body,
    )))
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

impl CloseRequest {
    fn reply(&self) -> ReplyTo {
        ReplyTo {
            reference_id: self.reference_id.clone(),
            callback_url: self.callback_url.clone(),
        }
    }
}

/// Payload of `rp.close_request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ClosePayload {
    of: RequestRef,
    call: CloseRequest,
    once: CallMark,
}

/// Context of the continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CloseContext {
    of: RequestRef,
    /// Set when a client asked. The node's own closing has no callback.
    call: Option<(CloseRequest, CallMark)>,
}

/// The API call: checks nothing, the ledger decides. A job under the request's key
/// does the work, so that it sees every earlier verdict.
pub fn close_request(node_id: &str, call: CloseRequest) -> Accept {
    let key = request_key(&call.request_id);
    let once = CallMark::new(
        node_id,
        &call.request_id,
        OPERATION,
        &call.reply(),
        &Value::Null,
    );
    let close = ClosePayload {
        of: RequestRef {
            node_id: node_id.to_owned(),
            request_id: call.request_id.clone(),
        },
        call,
        once: once.clone(),
    };
    once.once(Accept {
        jobs: vec![NewJob::new(KIND, key, &close)],
        ..Accept::default()
    })
}

/// The transaction, with the verdicts on the answers.
pub(in crate::flows) fn transaction(
    of: &RequestRef,
    validity: &Validity,
    call: Option<(CloseRequest, CallMark)>,
) -> Transact {
    let params = json!({
        "request_id": of.request_id,
        "response_valid_list": validity.to_list(),
    });
    let closing = CloseContext {
        of: of.clone(),
        call,
    };
    let then = Continuation::new(CLOSED, request_key(&of.request_id), &closing);
    let then = match closing.call {
        Some(_) => then,
        // The job of the block tells the client, and cancels the timer.
        None => then.if_refused(),
    };
    Transact::new(&of.node_id, "CloseRequest", &params, Some(then))
}

/// Handler of `rp.close_request`.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let ClosePayload { of, call, once } = job.payload()?;
    let stored = StoredRequest::load(context, of.clone()).await?;
    if let Some(stored) = &stored
        && stored.progress.decision.is_some()
    {
        // A CloseRequest is on its way, and its consequences are decided.
        let refusal = codes::ABCI_REQUEST_IS_CLOSED.into();
        let mut commit = Commit::nothing();
        commit.job(callback(&of, &call, Some(&refusal)));
        commit.write(once.forget());
        return Ok(commit);
    }
    let validity = stored.as_ref().map(|stored| stored.validity.clone());
    let validity = validity.unwrap_or_default();
    let transaction = transaction(&of, &validity, Some((call.clone(), once.clone())));
    let mut commit = match settled(transact(context, transaction).await)? {
        Ok(commit) => commit,
        Err(refusal) => {
            let mut commit = Commit::failed(refusal.to_string());
            commit.job(callback(&of, &call, Some(&refusal)));
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
    let (CloseContext { of, call }, result) = settlement(job)?;
    let stored = StoredRequest::load(context, of.clone()).await?;
    let mut commit = Commit::nothing();
    let error = match result {
        Ok(_) => {
            commit
                .cancel
                .extend(stored.and_then(|stored| stored.progress.timer));
            None
        }
        Err(refusal) => {
            if let Some(mut stored) = stored {
                commit.merge(still_open(context, &mut stored, &refusal).await?);
            }
            Some(refusal)
        }
    };
    if let Some((call, once)) = call {
        commit.write(match &error {
            None => once.keep(context, Table::RequestData).await?,
            Some(_) => once.forget(),
        });
        commit.job(callback(&of, &call, error.as_ref()));
    }
    Ok(commit)
}

/// The ledger refused the CloseRequest: the request may be open, and a later answer
/// may close it again.
async fn still_open(
    context: &Context,
    stored: &mut StoredRequest,
    refusal: &Refusal,
) -> Result<Commit, Error> {
    if stored.progress.decision.is_some() {
        return consent::close_refused(context, stored, refusal).await;
    }
    stored.progress.closing = false;
    let mut commit = Commit::nothing();
    if stored.request.operation.is_some() {
        // No decision was made on the answers that came meanwhile.
        commit.merge(consent::decide(context, stored).await?);
    }
    commit.write(stored.save_progress());
    Ok(commit)
}

fn callback(of: &RequestRef, call: &CloseRequest, error: Option<&Refusal>) -> NewJob {
    call.reply()
        .about_request(&of.node_id, "close_request_result", &of.request_id, error)
}
