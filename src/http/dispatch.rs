//! From a route to its operation, and from the outcome to the answer.

use actix_web::http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::operations::Outcome;
use super::readiness::queue_full;
use super::routes::Route;
use super::server::Api;
use super::{identity, schema, utility};
use crate::error::{Error, codes};
use crate::job::Write;
use crate::node::{Context, Purpose, Role};
use crate::store::{Accept, Accepted, StoreError};

/// Writes stored in one step by a call that makes many.
const PORTION: usize = 500;

/// What a call brought besides its path.
pub(super) struct Call {
    /// The query string.
    pub query: Map<String, Value>,
    /// The body; `{}` if there is none.
    pub body: Value,
}

/// Answers a call to a route.
pub(super) async fn answer(api: &Api, route: &Route, parameters: &[&str], call: Call) -> Answer {
    let config = &api.options.context.config.api;
    if route.endpoint == Endpoint::NotBuilt {
        return Answer::not_built(&format!("{} {}", route.method, route.pattern));
    }
    // Before the call costs anything; what it really makes is counted later.
    let purpose = route.endpoint.purpose();
    if purpose.is_some_and(|purpose| api.options.queue.is_full_for(purpose)) {
        return queue_full(config);
    }
    let result = match check(api, route, parameters, &call) {
        Ok(checked) => run(api, route.endpoint, checked, call).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(answer) => answer,
        Err(error) => Answer::error(&error, config),
    }
}

/// What is known of a call once it has been checked.
struct Checked {
    parameters: Vec<String>,
    node_id: String,
}

fn check(api: &Api, route: &Route, parameters: &[&str], call: &Call) -> Result<Checked, Error> {
    let parameters = decode(parameters)?;
    schema::check_query(route.endpoint, &Value::Object(call.query.clone()))?;
    let given = if route.method == Method::POST {
        schema::check_body(route.endpoint, &call.body)?;
        call.body.get("node_id")
    } else {
        call.query.get("node_id")
    };
    let context = &api.options.context;
    let node_id = if route.endpoint.needs_acting_node() {
        acting_node(context, given)?
    } else {
        context.node_id().to_owned()
    };
    Ok(Checked {
        parameters,
        node_id,
    })
}

/// Parameters are decoded after the path was split (spec/http-api.md 1.2).
fn decode(parameters: &[&str]) -> Result<Vec<String>, Error> {
    let decoded = parameters.iter().map(|parameter| {
        let fault = || {
            let message = format!("Failed to decode param '{parameter}'");
            Error::with_message(codes::UNKNOWN_ERROR, message)
        };
        if !has_valid_escapes(parameter) {
            return Err(fault());
        }
        let text = percent_decode_str(parameter).decode_utf8();
        text.map(|text| text.into_owned()).map_err(|_| fault())
    });
    decoded.collect()
}

fn has_valid_escapes(text: &str) -> bool {
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

async fn run(api: &Api, endpoint: Endpoint, checked: Checked, call: Call) -> Result<Answer, Error> {
    if let Endpoint::Unsupported(_) = endpoint {
        return Ok(Answer::empty(501));
    }
    let outcome = operate(api, endpoint, &checked, call).await?;
    let purpose = endpoint.purpose().unwrap_or(Purpose::Begin);
    conclude(api, purpose, outcome).await
}

async fn operate(
    api: &Api,
    endpoint: Endpoint,
    checked: &Checked,
    call: Call,
) -> Result<Outcome, Error> {
    let operations = api.options.operations.as_ref();
    let context = &api.options.context;
    let node = checked.node_id.as_str();
    let Call { query, body } = call;
    let parameter = |index: usize| checked.parameters.get(index).map_or("", String::as_str);
    let (first, second) = (parameter(0), parameter(1));
    let queried = |name: &str| query.get(name).and_then(Value::as_str);
    match endpoint {
        Endpoint::CreateRequest => operations.create_request(node, first, second, body).await,
        Endpoint::RequestReference => operations.request_reference(node, first).await,
        Endpoint::RequestData => operations.request_data(node, first).await,
        Endpoint::RemoveAllRequestData => operations.remove_request_data(node, None).await,
        Endpoint::RemoveRequestData => operations.remove_request_data(node, Some(first)).await,
        Endpoint::CloseRequest => operations.close_request(node, body).await,
        Endpoint::IdpResponse => operations.idp_response(node, body).await,
        Endpoint::IdpErrorResponse => operations.idp_error_response(node, body).await,
        Endpoint::PaddedHash => {
            let request_id = queried("request_id").unwrap_or_default();
            let accessor_id = queried("accessor_id").unwrap_or_default();
            operations.padded_hash(node, request_id, accessor_id).await
        }
        Endpoint::OfferService => operations.offer_service(node, first, body).await,
        Endpoint::OfferedService => operations.offered_service(node, first).await,
        Endpoint::AsData => operations.as_data(node, first, second, body).await,
        Endpoint::AsError => operations.as_error(node, first, second, body).await,
        Endpoint::PaymentReceived => operations.payment_received(node, first, second).await,
        Endpoint::CallbackUrls(owner) => operations.callback_urls(owner).await,
        Endpoint::SetCallbackUrls(owner) => operations.set_callback_urls(owner, body).await,
        Endpoint::PrivateMessages => {
            operations
                .private_messages(node, first, queried("type"))
                .await
        }
        Endpoint::RemoveAllPrivateMessages => {
            let message_type = queried("type");
            operations
                .remove_private_messages(node, None, message_type)
                .await
        }
        Endpoint::RemovePrivateMessages => {
            let message_type = queried("type");
            operations
                .remove_private_messages(node, Some(first), message_type)
                .await
        }
        Endpoint::Utility(utility) => {
            utility::look_up(context, utility, &checked.parameters, &query).await
        }
        Endpoint::ReferenceGroupCode => {
            identity::reference_group_code(context, first, second).await
        }
        Endpoint::IdentityLevel(level) => {
            identity::level(context, node, level, first, second).await
        }
        // Answered before anything is asked.
        Endpoint::Unsupported(_) | Endpoint::NotBuilt => Ok(Outcome::NotFound),
    }
}

async fn conclude(api: &Api, purpose: Purpose, outcome: Outcome) -> Result<Answer, Error> {
    match outcome {
        Outcome::Accepted {
            accept,
            body,
            refused,
        } => {
            if api.options.queue.admit(&accept.jobs, purpose).is_err() {
                return Ok(queue_full(&api.options.context.config.api));
            }
            let is_stored = store(api, vec![accept]).await?;
            if let Some(refused) = refused.filter(|_| !is_stored) {
                return Err(refused.into());
            }
            Ok(match body {
                Some(body) => Answer::json(202, &body),
                None => Answer::empty(202),
            })
        }
        Outcome::Stored(writes) => {
            store(api, portions(writes)).await?;
            Ok(Answer::empty(204))
        }
        Outcome::StoredBefore(writes, error) => {
            store(api, portions(writes)).await?;
            Err(error)
        }
        Outcome::Ok(body) => Ok(Answer::json(200, &body)),
        Outcome::NoContent => Ok(Answer::empty(204)),
        Outcome::NotFound => Ok(Answer::empty(404)),
    }
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
