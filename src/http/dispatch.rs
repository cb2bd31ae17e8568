//! Checks a call, runs its endpoint, and carries out the outcome.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::answer::PlainResponse;
use super::readiness::queue_full;
use super::repeats::RepeatedCall;
use super::routes::{PathParameters, Route};
use super::server::ServerState;
use crate::admission::Purpose;
use crate::api::{Audience, CallOutcome, Endpoint, Method, RawCall, SettledAnswer, SuccessBody};
use crate::context::{Context, Role};
use crate::error::{Error, codes};
use crate::job::{Caller, Write};
use crate::store::{Accept, Accepted, StoreError};

/// Most writes of one step of a call that makes many.
const PORTION: usize = 500;

/// Query string and body of a call.
pub(super) struct CallInput {
    /// The query string.
    pub query: Map<String, Value>,
    /// The body; `{}` if there is none.
    pub body: Value,
}

/// Answers a call to an endpoint.
pub(super) async fn answer(
    server: &ServerState,
    route: &Route,
    parameters: &PathParameters<'_>,
    input: CallInput,
) -> PlainResponse {
    let endpoint = &route.endpoint;
    let config = &server.options.context.config.api;
    // Before the call costs anything. Its real jobs are counted when it is stored.
    let is_full = |purpose| server.options.queue.is_full_for(purpose);
    if endpoint.purpose.is_some_and(is_full) {
        return queue_full(config);
    }
    let answer = operate(server, route, parameters, input).await;
    answer.unwrap_or_else(|error| PlainResponse::error(&error, config))
}

async fn operate(
    server: &ServerState,
    route: &Route,
    parameters: &PathParameters<'_>,
    input: CallInput,
) -> Result<PlainResponse, Error> {
    let caller = server.options.waiting.caller();
    let endpoint = &route.endpoint;
    let call = check(server, route, parameters, input, caller.clone())?;
    let waiting = &server.options.waiting;
    let may_wait = endpoint.audience == Audience::Ndid;
    let repeat = may_wait.then(|| RepeatedCall::of(&call.node_id, endpoint.path, &call.body));
    if let Some(repeat) = &repeat
        && let Some(first) = repeat
            .abandoned(waiting, server.options.store.as_ref())
            .await?
    {
        return told(waiting.listen(first).answer().await?);
    }
    let mut outcome = (endpoint.run)(call).await?;
    if let (CallOutcome::Waits(accept), Some(repeat)) = (&mut outcome, &repeat) {
        repeat.note(&caller, accept);
    }
    conclude(server, endpoint, outcome, caller).await
}

/// The checks that every call passes, in the order of spec/http-api.md 1.1.
fn check(
    server: &ServerState,
    route: &Route,
    parameters: &PathParameters<'_>,
    input: CallInput,
    caller: Caller,
) -> Result<RawCall, Error> {
    let endpoint = &route.endpoint;
    let context = &server.options.context;
    let path = decode(parameters)?;
    let query = Value::Object(input.query);
    endpoint
        .query
        .check(&query, codes::QUERY_STRING_VALIDATION_FAILED)?;
    let given = match endpoint.method {
        Method::Get => query.get("node_id"),
        Method::Post => {
            if let Some(schema) = &endpoint.body {
                schema.check(&input.body, codes::BODY_VALIDATION_FAILED)?;
            }
            input.body.get("node_id")
        }
    };
    let node_id = match endpoint.needs_acting_node {
        true => acting_node(context, given)?,
        false => context.node_id().to_owned(),
    };
    Ok(RawCall {
        context: context.clone(),
        node_id,
        caller,
        version: route.version,
        path,
        query,
        body: input.body,
    })
}

/// Parameters are decoded after the path was split (spec/http-api.md 1.2).
fn decode(parameters: &PathParameters<'_>) -> Result<Map<String, Value>, Error> {
    let decoded = parameters.iter().map(|(name, parameter)| {
        let fault = || {
            let message = format!("Failed to decode param '{parameter}'");
            Error::with_message(codes::UNKNOWN_ERROR, message)
        };
        if !has_valid_escapes(parameter) {
            return Err(fault());
        }
        let text = percent_decode_str(parameter).decode_utf8();
        let text = text.map_err(|_| fault())?;
        Ok(((*name).to_owned(), text.into_owned().into()))
    });
    decoded.collect()
}

pub(super) fn has_valid_escapes(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// A proxy acts for the node that the call names, every other node for itself.
fn acting_node(context: &Context, given: Option<&Value>) -> Result<String, Error> {
    if context.role != Role::Proxy {
        return Ok(context.node_id().to_owned());
    }
    match given.and_then(Value::as_str) {
        Some(node_id) if !node_id.is_empty() => Ok(node_id.to_owned()),
        _ => Err(codes::MISSING_NODE_ID.into()),
    }
}

async fn conclude(
    server: &ServerState,
    endpoint: &Endpoint,
    outcome: CallOutcome,
    caller: Caller,
) -> Result<PlainResponse, Error> {
    let purpose = endpoint.purpose.unwrap_or(Purpose::Begin);
    match outcome {
        CallOutcome::Accepted {
            accept,
            body,
            refused,
        } => {
            let Some(is_stored) = admit(server, purpose, accept).await? else {
                return Ok(queue_full(&server.options.context.config.api));
            };
            if let Some(refused) = refused.filter(|_| !is_stored) {
                return Err(refused.into());
            }
            Ok(match body {
                Some(body) => PlainResponse::json(202, &body),
                None if matches!(endpoint.success.body, SuccessBody::EmptyJson) => {
                    PlainResponse::empty(202).called_json()
                }
                None => PlainResponse::empty(202),
            })
        }
        CallOutcome::Waits(accept) => wait(server, purpose, accept, caller).await,
        CallOutcome::StoredJobs(accept) => Ok(match admit(server, purpose, accept).await? {
            Some(_) => PlainResponse::empty(204),
            None => queue_full(&server.options.context.config.api),
        }),
        CallOutcome::Stored(writes) => {
            store(server, portions(writes)).await?;
            Ok(PlainResponse::empty(204))
        }
        CallOutcome::StoredBefore(writes, error) => {
            store(server, portions(writes)).await?;
            Err(error)
        }
        CallOutcome::Ok(body) => Ok(PlainResponse::json(200, &body)),
        CallOutcome::NoContent => Ok(PlainResponse::empty(204)),
        CallOutcome::Text { content_type, text } => Ok(PlainResponse::text(content_type, text)),
        CallOutcome::NotFound => Ok(PlainResponse::empty(404)),
        CallOutcome::Failed(status, body) => Ok(PlainResponse::json(status, &body)),
        CallOutcome::Unsupported => Ok(PlainResponse::empty(501)),
    }
}

/// Stores the call's jobs, and waits for the answer of the job that settles it.
async fn wait(
    server: &ServerState,
    purpose: Purpose,
    accept: Accept,
    caller: Caller,
) -> Result<PlainResponse, Error> {
    let listener = server.options.waiting.listen(caller);
    if admit(server, purpose, accept).await?.is_none() {
        return Ok(queue_full(&server.options.context.config.api));
    }
    told(listener.answer().await?)
}

fn told(answered: SettledAnswer) -> Result<PlainResponse, Error> {
    let (status, body) = answered.into_result()?;
    Ok(match body {
        Some(body) => PlainResponse::json(status, &body),
        None => PlainResponse::empty(status),
    })
}

/// Stores it if the queue has room for its jobs; `Some(false)` if a guard refused.
async fn admit(
    server: &ServerState,
    purpose: Purpose,
    accept: Accept,
) -> Result<Option<bool>, Error> {
    if server.options.queue.admit(&accept.jobs, purpose).is_err() {
        return Ok(None);
    }
    store(server, vec![accept]).await.map(Some)
}

/// Splits writes that need not be atomic, so that no step blocks the store for long.
fn portions(writes: Vec<Write>) -> Vec<Accept> {
    let portions = writes.chunks(PORTION).map(|portion| Accept {
        writes: portion.to_vec(),
        ..Accept::default()
    });
    portions.collect()
}

/// Stores one accept after the other and announces their jobs; false if a guard
/// refused. Does all of it even if the client hangs up meanwhile.
async fn store(server: &ServerState, accepts: Vec<Accept>) -> Result<bool, Error> {
    let store = server.options.store.clone();
    let submit = server.options.submit.clone();
    let storing = tokio::spawn(async move {
        for accept in accepts {
            match store.accept(accept).await? {
                Accepted::Stored { jobs, .. } => submit(jobs),
                Accepted::Refused { .. } => return Ok(false),
            }
        }
        Ok::<bool, StoreError>(true)
    });
    match storing.await {
        Ok(result) => Ok(result?),
        Err(error) => {
            let message = format!("storing the call: {error}");
            Err(Error::with_message(codes::UNKNOWN_ERROR, message))
        }
    }
}
