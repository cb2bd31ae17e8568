//! The steps every call goes through, in the order of spec/http-api.md 1.1.

use std::time::Instant;

use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, Uri};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use metrics::histogram;
use openssl::memcmp;
use openssl::sha::sha256;
use serde_json::Value;

use super::answer::PlainResponse;
use super::dispatch::{self, Input};
use super::readiness::too_many_calls;
use super::routes::{self, Found};
use super::server::Api;
use super::{body, information, query_string, settings};
use crate::config::{ApiVersion, Config, Environment};
use crate::error::codes;
use crate::heavy::{self, Whose};

/// Label of metrics for paths that are no route.
const NO_ROUTE: &str = "none";

/// An answer, and the route it came from.
struct Served {
    answer: PlainResponse,
    route: &'static str,
}

impl From<PlainResponse> for Served {
    fn from(answer: PlainResponse) -> Self {
        Self {
            answer,
            route: NO_ROUTE,
        }
    }
}

/// Serves one call.
pub(super) async fn handle(request: HttpRequest, payload: Payload, api: Data<Api>) -> HttpResponse {
    let started = Instant::now();
    let served = serve(&request, payload, &api).await;
    let status = served.answer.status();
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    histogram!(
        "http_request_duration_ms",
        "method" => method_label(request.method()),
        "route" => served.route,
        "code" => status.to_string(),
    )
    .record(milliseconds);
    // Not the path: it can hold the identifier of a person.
    tracing::debug!(
        method = %request.method(),
        route = served.route,
        status,
        milliseconds,
        "API call"
    );
    served.answer.into_response()
}

/// Methods nobody knows share a label, so that callers cannot make up new ones.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// What is known of a call beside its body.
struct Head {
    method: Method,
    uri: Uri,
    api_key: Option<HeaderValue>,
}

/// Reads the body here, where the sockets are. A call whose body is large is
/// parsed, checked and worked on elsewhere: no other call waits for that.
async fn serve(request: &HttpRequest, payload: Payload, api: &Data<Api>) -> Served {
    let body = match body::read(request, payload, &api.bodies).await {
        Ok(body) => body,
        Err(error) => return error.answer(&api.options.context.config.api).into(),
    };
    let head = Head {
        method: request.method().clone(),
        uri: request.uri().clone(),
        api_key: request.headers().get("x-api-key").cloned(),
    };
    if body.is_small() {
        return answer(&head, body, api).await;
    }
    let (memory, api) = (body.most_memory(), api.clone());
    heavy::run(Whose::Calls, memory, async move {
        answer(&head, body, &api).await
    })
    .await
}

async fn answer(head: &Head, body: body::Unparsed, api: &Api) -> Served {
    let config = &api.options.context.config;
    let (body, _turn) = match body.parse() {
        Ok(parsed) => parsed,
        Err(error) => return error.answer(&config.api).into(),
    };
    if !has_api_key(head.api_key.as_ref(), config.api.key_hash.as_deref()) {
        return PlainResponse::error(&codes::INVALID_API_KEY.into(), &config.api).into();
    }
    let method = &head.method;
    let path = routes::segments(head.uri.path());
    if let Some(answer) = outside_of_versions(api, method, &path, &body).await {
        return answer.into();
    }
    if !is_exempt_from_readiness(&head.uri)
        && let Some(refusal) = refusal(api, method).await
    {
        return refusal.into();
    }
    let Ok(_place) = api.calls.try_acquire() else {
        return too_many_calls(&config.api).into();
    };
    versioned(head, api, &path, body).await
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

/// Debug routes, server information, settings and keys.
async fn outside_of_versions(
    api: &Api,
    method: &Method,
    path: &[&str],
    body: &Value,
) -> Option<PlainResponse> {
    let config = &api.options.context.config;
    let reads = method == Method::GET || method == Method::HEAD;
    let first = path.first().copied().unwrap_or_default();
    if first.eq_ignore_ascii_case("debug") && config.environment == Environment::Development {
        return Some(PlainResponse::not_built("/debug"));
    }
    if method == Method::OPTIONS {
        return methods_outside_of_versions(config, path).map(PlainResponse::options);
    }
    if reads && let Some(answer) = information::answer(api, path).await {
        return Some(answer);
    }
    if config.api.config_routes
        && let Some(answer) = settings::answer(config, method, path, body)
    {
        return Some(answer);
    }
    if reads && reloads_keys(path) {
        return Some(match (api.options.reload_keys)().await {
            Ok(()) => PlainResponse::empty(204),
            Err(error) => PlainResponse::error(&error, &config.api),
        });
    }
    None
}

fn methods_outside_of_versions(config: &Config, path: &[&str]) -> Option<&'static str> {
    if information::is_known(path) || reloads_keys(path) {
        return Some("GET,HEAD");
    }
    settings::methods(path).filter(|_| config.api.config_routes)
}

fn reloads_keys(path: &[&str]) -> bool {
    matches!(path, [name] if name.eq_ignore_ascii_case("reinit_node_keys"))
}

/// What keeps a call from being served now. What people wait for to come true
/// may be so since the last look.
async fn refusal(api: &Api, method: &Method) -> Option<PlainResponse> {
    let options = &api.options;
    let role = options.context.role;
    let mut readiness = (options.readiness)();
    if readiness.is_being_set_up(role, method) {
        readiness = (options.look)().await;
    }
    readiness.refusal(role, method, &options.context.config.api)
}

/// The URLs a node needs to become ready are set through this path.
fn is_exempt_from_readiness(uri: &Uri) -> bool {
    let end = uri.query().unwrap_or(uri.path());
    end.ends_with("/node/callback")
}

async fn versioned(head: &Head, api: &Api, path: &[&str], body: Value) -> Served {
    let default_version = api.options.context.config.api.default_version;
    match path
        .first()
        .map(|first| first.to_ascii_lowercase())
        .as_deref()
    {
        Some("v6") => version_6(head, api, &path[1..], body).await,
        Some("v4") => PlainResponse::not_built("API version 4 (paths below /v4)").into(),
        Some("v5") => PlainResponse::not_built("API version 5 (paths below /v5)").into(),
        _ if default_version == ApiVersion::V6 => version_6(head, api, path, body).await,
        _ if api.routes.is_known(path) => {
            let version = default_version.as_str();
            let what = format!("API version {version} (DEFAULT_API_VERSION; use paths below /v6)");
            PlainResponse::not_built(&what).into()
        }
        _ => PlainResponse::empty(404).into(),
    }
}

async fn version_6(head: &Head, api: &Api, path: &[&str], body: Value) -> Served {
    let role = api.options.context.role;
    let (route, parameters) = match api.routes.find(&head.method, path, role) {
        Found::Route(route, parameters) => (route, parameters),
        Found::Options(methods) => return PlainResponse::options(&methods).into(),
        Found::Nothing => return PlainResponse::empty(404).into(),
    };
    let query = query_string::parse(head.uri.query().unwrap_or_default());
    let input = Input { query, body };
    let answer = dispatch::answer(api, &route.endpoint, &parameters, input).await;
    Served {
        answer,
        route: route.label(),
    }
}
