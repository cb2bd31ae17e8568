//! HTTP: JSON-RPC by POST, calls by GET, and the upgrade to WebSocket.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::arguments::Arguments;
use super::{MAX_REQUEST_BYTES, methods};
use crate::devnet::ledger::Shared;

type HttpResponse = Response<Full<Bytes>>;

/// Answers one request. An upgrade to WebSocket goes to `upgraded`.
pub async fn answer(
    shared: Arc<Shared>,
    mut request: Request<Incoming>,
    upgraded: mpsc::Sender<OnUpgrade>,
) -> Result<HttpResponse, Infallible> {
    let path = request.uri().path().trim_matches('/').to_owned();
    Ok(match (request.method(), path.as_str()) {
        (&Method::GET, "websocket") => upgrade(&mut request, &upgraded),
        (&Method::POST, "") => posted(&shared, request).await,
        (&Method::GET, "") => empty(StatusCode::OK),
        (&Method::GET, method) => called(&shared, method, request.uri().query()),
        _ => empty(StatusCode::METHOD_NOT_ALLOWED),
    })
}

fn empty(status: StatusCode) -> HttpResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn json_answer(status: StatusCode, value: &Value) -> HttpResponse {
    let mut response = Response::new(Full::from(value.to_string()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn upgrade(request: &mut Request<Incoming>, upgraded: &mpsc::Sender<OnUpgrade>) -> HttpResponse {
    let headers = request.headers();
    let wants = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    let is_websocket = wants.is_some_and(|wants| wants.eq_ignore_ascii_case("websocket"));
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY).filter(|_| is_websocket) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    // The derived key is base64, which is a legal header value.
    let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    if upgraded.try_send(hyper::upgrade::on(request)).is_err() {
        return empty(StatusCode::BAD_REQUEST);
    }
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

async fn posted(shared: &Shared, request: Request<Incoming>) -> HttpResponse {
    let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES);
    let Ok(body) = body.collect().await else {
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    match methods::answer_text(shared, &body.to_bytes()) {
        Some(reply) => json_answer(StatusCode::OK, &reply),
        None => empty(StatusCode::OK),
    }
}

fn called(shared: &Shared, method: &str, query: Option<&str>) -> HttpResponse {
    let arguments = Arguments::from_query(query.unwrap_or_default());
    let id = json!(-1);
    match methods::call(shared, method, &arguments) {
        Ok(result) => json_answer(StatusCode::OK, &methods::success(&id, result)),
        Err(failure) => json_answer(failure.http_status(), &methods::failed(&id, &failure)),
    }
}
