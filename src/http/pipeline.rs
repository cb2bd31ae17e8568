//! The steps every call goes through, in the order of spec/http-api.md 1.1.

use std::time::Instant;

use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, Uri};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use metrics::histogram;
use openssl::memcmp;
use openssl::sha::sha256;
use tracing::Span;

use super::access_log::{self, Subject};
use super::answer::PlainResponse;
use super::dispatch::{self, CallInput};
use super::readiness::too_many_calls;
use super::routes::{self, RouteMatch};
use super::server::ServerState;
use super::{body, query_string};
use crate::api::Needs;
use crate::error::codes;
use crate::heavy::{self, Whose};
use crate::job::TraceContext;
use crate::logging::spans;

/// Label in metrics of paths that are no route.
const NO_ROUTE: &str = "none";

/// A response, the route it came from, and what the call was about.
struct RoutedResponse {
    answer: PlainResponse,
    /// As metrics name it.
    label: &'static str,
    /// The whole pattern.
    route: &'static str,
    subject: Subject,
}

impl From<PlainResponse> for RoutedResponse {
    fn from(answer: PlainResponse) -> Self {
        Self {
            answer,
            label: NO_ROUTE,
            route: NO_ROUTE,
            subject: Subject::default(),
        }
    }
}

/// Serves one call.
pub(super) async fn handle(
    request: HttpRequest,
    payload: Payload,
    server: Data<ServerState>,
) -> HttpResponse {
    let started = Instant::now();
    let caller = access_log::trace_of(request.headers());
    let span = spans::of_call(method_label(request.method()), caller);
    let serving = serve(&request, payload, &server, &span, caller);
    let mut served = spans::within(&span, caller, serving).await;
    // So that the client's next call goes to a process that stays.
    if (server.options.readiness)().leaving {
        served.answer = served.answer.closing();
    }
    let status = served.answer.status();
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    histogram!(
        "http_request_duration_ms",
        "method" => method_label(request.method()),
        "route" => served.label,
        "code" => status.to_string(),
    )
    .record(milliseconds);
    access_log::note(
        &request,
        served.route,
        &served.subject,
        &served.answer,
        milliseconds,
        spans::context(&span).or(caller),
    );
    note_answer(&span, method_label(request.method()), &served);
    served.answer.into_response()
}

fn note_answer(span: &Span, method: &str, served: &RoutedResponse) {
    if span.is_none() {
        return;
    }
    let answer = &served.answer;
    spans::name(span, format!("{method} {}", served.route));
    span.record("http.route", served.route);
    span.record("http.response.status_code", answer.status());
    if let Some(code) = answer.error_code() {
        span.record("erawan.error_code", code);
    }
    if let Some(id) = served.subject.request_id().or(answer.request_id()) {
        span.record("erawan.request_id", id);
    }
    if answer.status() >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// Unknown methods share a label, so that callers cannot invent new ones.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// A call without its body.
struct RequestHead {
    method: Method,
    uri: Uri,
    api_key: Option<HeaderValue>,
}

/// Reads the body on the thread of the connection. Another thread parses, checks and
/// answers a call with a large body, so that no other call waits for it.
async fn serve(
    request: &HttpRequest,
    payload: Payload,
    server: &Data<ServerState>,
    span: &Span,
    caller: Option<TraceContext>,
) -> RoutedResponse {
    let body = match body::read(request, payload, &server.bodies).await {
        Ok(body) => body,
        Err(error) => return error.answer(&server.options.context.config.api).into(),
    };
    let head = RequestHead {
        method: request.method().clone(),
        uri: request.uri().clone(),
        api_key: request.headers().get("x-api-key").cloned(),
    };
    if body.is_small() {
        return answer(&head, body, server).await;
    }
    let (memory, server, span) = (body.most_memory(), server.clone(), span.clone());
    heavy::run(Whose::Calls, memory, async move {
        // Runs elsewhere, where the trace is not known.
        spans::within(&span, caller, answer(&head, body, &server)).await
    })
    .await
}

async fn answer(
    head: &RequestHead,
    body: body::UnparsedBody,
    server: &ServerState,
) -> RoutedResponse {
    let config = &server.options.context.config;
    let (body, _turn) = match body.parse() {
        Ok(parsed) => parsed,
        Err(error) => return error.answer(&config.api).into(),
    };
    if !has_api_key(head.api_key.as_ref(), config.api.key_hash.as_deref()) {
        return PlainResponse::error(&codes::INVALID_API_KEY.into(), &config.api).into();
    }
    let path = routes::segments(head.uri.path());
    let found = server
        .routes
        .find(&head.method, &path, server.options.context.role);
    if let Some(refusal) = refusal(server, found.needs(&head.method)).await {
        return refusal.into();
    }
    let (route, parameters) = match found {
        RouteMatch::Route(route, parameters) => (route, parameters),
        RouteMatch::Options(methods, _) => return PlainResponse::options(&methods).into(),
        RouteMatch::Nothing => return PlainResponse::empty(404).into(),
    };
    // The endpoints of the process itself answer however busy it is.
    let place = match route.endpoint.since {
        Some(_) => server.calls.try_acquire().map(Some),
        None => Ok(None),
    };
    let Ok(_place) = place else {
        return too_many_calls(&config.api).into();
    };
    let query = query_string::parse(head.uri.query().unwrap_or_default());
    let subject = Subject::of(&parameters, &body);
    let input = CallInput { query, body };
    let answer = dispatch::answer(server, route, &parameters, input).await;
    RoutedResponse {
        answer,
        label: route.label(),
        route: route.endpoint.path,
        subject,
    }
}

/// With `USE_API_KEY`, whether the header's SHA-256 is the configured one.
fn has_api_key(key: Option<&HeaderValue>, key_hash: Option<&str>) -> bool {
    let Some(key_hash) = key_hash else {
        return true;
    };
    let Some(key) = key else {
        return false;
    };
    let given = hex::encode(sha256(key.as_bytes()));
    let expected = key_hash.to_ascii_lowercase();
    given.len() == expected.len() && memcmp::eq(given.as_bytes(), expected.as_bytes())
}

/// The refusal of a call that cannot be served now. While a node is being set up,
/// looks again: operators wait for that.
async fn refusal(server: &ServerState, needs: Needs) -> Option<PlainResponse> {
    let options = &server.options;
    let role = options.context.role;
    let mut readiness = (options.readiness)();
    if readiness.is_being_set_up(role, needs) {
        readiness = (options.look)().await;
    }
    readiness.refusal(role, needs, &options.context.config.api)
}
