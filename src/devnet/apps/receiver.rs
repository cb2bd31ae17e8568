//! The applications' HTTP server: receives callbacks and acts on them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::client::ApiClient;
use super::data_of;
use super::event::event_of;
use super::record::{Ending, Record};

const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// The running server.
pub struct Receiver {
    address: SocketAddr,
    server: ServerHandle,
}

struct Shared {
    record: Arc<Record>,
    idp: ApiClient,
    as_: ApiClient,
    base: String,
}

impl Receiver {
    /// Listens on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(record: Arc<Record>, idp: ApiClient, as_: ApiClient) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let base = format!("http://{address}");
        let shared = web::Data::new(Shared {
            record,
            idp,
            as_,
            base,
        });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(BODY_LIMIT))
                .route("/{role}", web::post().to(callback))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self {
            address,
            server: handle,
        })
    }

    /// The callback URL of an application.
    pub fn url(&self, role: &str) -> String {
        format!("http://{}/{role}", self.address)
    }

    /// Ends the server.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

/// A callback's identity: its header if the node sends one, else its content.
fn identity(request: &HttpRequest, body: &[u8]) -> String {
    let header = request.headers().get("idempotency-key");
    match header.and_then(|value| value.to_str().ok()) {
        Some(id) => id.to_owned(),
        None => hex::encode(sha256(body)),
    }
}

async fn callback(
    role: web::Path<String>,
    request: HttpRequest,
    bytes: web::Bytes,
    shared: web::Data<Shared>,
) -> HttpResponse {
    let id = identity(&request, &bytes);
    let is_new = shared.record.callback(&id);
    let Ok(body) = serde_json::from_slice::<Value>(&bytes) else {
        shared
            .record
            .fail(format!("{role}: a callback that is no JSON"));
        return HttpResponse::NoContent().finish();
    };
    shared.record.event(event_of(&role, &body), &id);
    let kind = body["type"].as_str().unwrap_or_default();
    let request_id = body["request_id"].as_str().unwrap_or_default().to_owned();
    match (role.as_str(), kind) {
        ("rp", "request_status") => status(&shared.record, &request_id, &body),
        (_, "error") => shared
            .record
            .fail(format!("{role}: error callback: {body}")),
        ("idp", "incoming_request") if is_new => answer_consent(shared, request_id),
        ("as", "data_request") => return answer_data(shared, request_id, &body, is_new),
        (_, kind) if kind.ends_with("_result") => result(&shared.record, &request_id, body),
        _ => {}
    }
    HttpResponse::NoContent().finish()
}

fn status(record: &Record, request_id: &str, body: &Value) {
    let status = body["status"].as_str().unwrap_or_default();
    if body["closed"] == json!(true) {
        let ending = match status {
            "completed" => Ending::Completed,
            other => Ending::Failed(format!("closed as {other}")),
        };
        record.end(request_id, ending);
    } else if body["timed_out"] == json!(true) {
        record.end(request_id, Ending::Failed("timed out".to_owned()));
    }
}

fn result(record: &Record, request_id: &str, body: Value) {
    let reference = body["reference_id"].as_str().map(str::to_owned);
    let is_repetition = reference.as_ref().is_some_and(|id| record.is_in_doubt(id));
    if body["success"] == json!(false) && !is_repetition {
        record.fail(format!("failed: {body}"));
        if body["type"] == "create_request_result" {
            record.end(request_id, Ending::Failed("not created".to_owned()));
        }
    }
    if let Some(reference) = reference {
        if body["type"] == "create_request_result" {
            record.created(request_id, &reference);
        }
        record.result(&reference, body);
    }
}

/// The IdP's user accepts.
fn answer_consent(shared: web::Data<Shared>, request_id: String) {
    let body = json!({
        "reference_id": format!("idp-{request_id}"),
        "callback_url": format!("{}/idp", shared.base),
        "request_id": request_id,
        "ial": 2.3,
        "aal": 3,
        "status": "accept",
        "signature": "signed by the user",
    });
    actix_web::rt::spawn(async move {
        post_answer(&shared.idp, "/v6/idp/response", &body, &shared.record).await;
    });
}

/// The AS gives the data at once or by a call of its own, half of the requests each.
fn answer_data(
    shared: web::Data<Shared>,
    request_id: String,
    body: &Value,
    is_new: bool,
) -> HttpResponse {
    let data = data_of(&request_id);
    let last_digit = request_id.bytes().last().unwrap_or_default();
    if last_digit.is_multiple_of(2) {
        return HttpResponse::Ok().json(json!({"data": data}));
    }
    if is_new {
        let service = body["service_id"].as_str().unwrap_or_default();
        let path = format!("/v6/as/data/{request_id}/{service}");
        let call = json!({
            "reference_id": format!("as-{request_id}"),
            "callback_url": format!("{}/as", shared.base),
            "data": data,
        });
        actix_web::rt::spawn(async move {
            post_answer(&shared.as_, &path, &call, &shared.record).await;
        });
    }
    HttpResponse::NoContent().finish()
}

async fn post_answer(client: &ApiClient, path: &str, body: &Value, record: &Record) {
    let reference = body["reference_id"].as_str().unwrap_or_default();
    let on_lost_answer = || record.put_in_doubt(reference);
    match client.post_telling(path, body, on_lost_answer).await {
        Ok(answer) if answer.status().as_u16() == 202 => {}
        Ok(answer) if answer.status().is_client_error() && record.is_in_doubt(reference) => {}
        Ok(answer) => {
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            record.fail(format!("POST {path} answered {status}: {text}"));
        }
        Err(error) => record.fail(error),
    }
}
