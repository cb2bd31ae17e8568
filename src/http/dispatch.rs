//! From a route to its operation, and from the outcome to the answer.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::answer::PlainResponse;
use super::readiness::queue_full;
use super::repeats::Repeat;
use super::routes::{Parameters, Route};
use super::server::Api;
use crate::admission::Purpose;
use crate::api::{Answered, Audience, Endpoint, Method, Outcome, RawCall, SuccessBody};
use crate::context::{Context, Role};
use crate::error::{Error, codes};
use crate::job::{Caller, Write};
use crate::store::{Accept, Accepted, StoreError};

/// Writes stored in one step by a call that makes many.
const PORTION: usize = 500;

/// What a call brought besides its path.
pub(super) struct Input {
    /// The query string.
    pub query: Map<String, Value>,
    /// The body; `{}` if there is none.
    pub body: Value,
}

/// Answers a call to an endpoint.
pub(super) async fn answer(
    api: &Api,
    route: &Route,
    parameters: &Parameters<'_>,
    input: Input,
) -> PlainResponse {
    let endpoint = &route.endpoint;
    let config = &api.options.context.config.api;
    // Before the call costs anything; what it really makes is counted later.
    let is_full = |purpose| api.options.queue.is_full_for(purpose);
    if endpoint.purpose.is_some_and(is_full) {
        return queue_full(config);
    }
    let answer = operate(api, route, parameters, input).await;
    answer.unwrap_or_else(|error| PlainResponse::error(&error, config))
}

async fn operate(
    api: &Api,
    route: &Route,
    parameters: &Parameters<'_>,
    input: Input,
) -> Result<PlainResponse, Error> {
    let caller = api.options.waiting.caller();
    let endpoint = &route.endpoint;
    let call = check(api, route, parameters, input, caller.clone())?;
    let waiting = &api.options.waiting;
    let may_wait = endpoint.audience == Audience::Ndid;
    let repeat = may_wait.then(|| Repeat::of(&call.node_id, endpoint.path, &call.body));
    if let Some(repeat) = &repeat
        && let Some(first) = repeat
            .abandoned(waiting, api.options.store.as_ref())
            .await?
    {
        return told(waiting.listen(first).answer().await?);
    }
    let mut outcome = (endpoint.run)(call).await?;
    if let (Outcome::Waits(accept), Some(repeat)) = (&mut outcome, &repeat) {
        repeat.note(&caller, accept);
    }
    conclude(api, endpoint, outcome, caller).await
}

/// The checks that every call passes, in the order of spec/http-api.md 1.1.
fn check(
    api: &Api,
    route: &Route,
    parameters: &Parameters<'_>,
    input: Input,
    caller: Caller,
) -> Result<RawCall, Error> {
    let endpoint = &route.endpoint;
    let context = &api.options.context;
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
fn decode(parameters: &Parameters<'_>) -> Result<Map<String, Value>, Error> {
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

/// A proxy acts for the node that is named; every other node for itself.
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
    api: &Api,
    endpoint: &Endpoint,
    outcome: Outcome,
    caller: Caller,
) -> Result<PlainResponse, Error> {
    let purpose = endpoint.purpose.unwrap_or(Purpose::Begin);
    match outcome {
        Outcome::Accepted {
            accept,
            body,
            refused,
        } => {
            let Some(is_stored) = admit(api, purpose, accept).await? else {
                return Ok(queue_full(&api.options.context.config.api));
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
        Outcome::Waits(accept) => wait(api, purpose, accept, caller).await,
        Outcome::StoredJobs(accept) => Ok(match admit(api, purpose, accept).await? {
            Some(_) => PlainResponse::empty(204),
            None => queue_full(&api.options.context.config.api),
        }),
        Outcome::Stored(writes) => {
            store(api, portions(writes)).await?;
            Ok(PlainResponse::empty(204))
        }
        Outcome::StoredBefore(writes, error) => {
            store(api, portions(writes)).await?;
            Err(error)
        }
        Outcome::Ok(body) => Ok(PlainResponse::json(200, &body)),
        Outcome::NoContent => Ok(PlainResponse::empty(204)),
        Outcome::Text { content_type, text } => Ok(PlainResponse::text(content_type, text)),
        Outcome::NotFound => Ok(PlainResponse::empty(404)),
        Outcome::Failed(status, body) => Ok(PlainResponse::json(status, &body)),
        Outcome::Unsupported => Ok(PlainResponse::empty(501)),
    }
}

/// Stores what the call wants, and waits for the job that settles it.
async fn wait(
    api: &Api,
    purpose: Purpose,
    accept: Accept,
    caller: Caller,
) -> Result<PlainResponse, Error> {
    let listener = api.options.waiting.listen(caller);
    if admit(api, purpose, accept).await?.is_none() {
        return Ok(queue_full(&api.options.context.config.api));
    }
    told(listener.answer().await?)
}

fn told(answered: Answered) -> Result<PlainResponse, Error> {
    let (status, body) = answered.into_result()?;
    Ok(match body {
        Some(body) => PlainResponse::json(status, &body),
        None => PlainResponse::empty(status),
    })
}

/// Stores it if there is room for its jobs; `Some(false)` if a guard refused.
async fn admit(api: &Api, purpose: Purpose, accept: Accept) -> Result<Option<bool>, Error> {
    if api.options.queue.admit(&accept.jobs, purpose).is_err() {
        return Ok(None);
    }
    store(api, vec![accept]).await.map(Some)
}

/// Writes that need not be made in one step, so that none holds the store up
/// for long.
fn portions(writes: Vec<Write>) -> Vec<Accept> {
    let portions = writes.chunks(PORTION).map(|portion| Accept {
        writes: portion.to_vec(),
        ..Accept::default()
    });
    portions.collect()
}

/// Stores what a call wants, one after the other, and announces its jobs; false
/// if a guard refused. All of it happens even if the client hangs up meanwhile.
async fn store(api: &Api, accepts: Vec<Accept>) -> Result<bool, Error> {
    let store = api.options.store.clone();
    let submit = api.options.submit.clone();
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
