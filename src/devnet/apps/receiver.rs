//! The applications' HTTP server: receives callbacks and acts on them.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use openssl::sha::sha256;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::answer::{CallbackReply, redirect};
use super::client::ApiClient;
use super::data_of;
use super::event::event_of;
use super::manners::{Manner, Manners};
use super::record::{Ending, Record};
use super::users::{IAL, Users};

const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// How long a callback without an answer is kept waiting.
const SILENCE: Duration = Duration::from_secs(1);

/// The running server.
pub struct CallbackServer {
    address: SocketAddr,
    server: ServerHandle,
}

struct Shared {
    record: Arc<Record>,
    idp: ApiClient,
    as_: ApiClient,
    users: Option<Arc<Users>>,
    base: String,
    manners: Manners,
    /// Callbacks received so far.
    callbacks: AtomicU64,
    /// Answers that a redirect led clients to, by the callback's number.
    elsewhere: Mutex<HashMap<u64, (CallbackReply, Manner)>>,
}

/// The socket of a connection, so that it can be closed without an answer.
struct Socket(TcpStream);

impl CallbackServer {
    /// Listens on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        record: Arc<Record>,
        idp: ApiClient,
        as_: ApiClient,
        users: Option<Arc<Users>>,
        manners: Manners,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let base = format!("http://{address}");
        let shared = web::Data::new(Shared {
            record,
            idp,
            as_,
            users,
            base,
            manners,
            callbacks: AtomicU64::new(0),
            elsewhere: Mutex::default(),
        });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(BODY_LIMIT))
                .route("/answer/{number}", web::get().to(answer_elsewhere))
                .route("/moved/{role}", web::post().to(moved))
                .route("/{role}", web::post().to(callback))
        })
        .on_connect(|connection, kept| {
            let stream = connection.downcast_ref::<rt::net::TcpStream>();
            let socket = stream.map(|stream| stream.as_fd().try_clone_to_owned());
            if let Some(Ok(socket)) = socket {
                kept.insert(Socket(TcpStream::from(socket)));
            }
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

/// A callback's identity: its header if the node sends one, otherwise its
/// content.
fn identity(request: &HttpRequest, body: &[u8]) -> String {
    let header = request.headers().get("idempotency-key");
    match header.and_then(|value| value.to_str().ok()) {
        Some(id) => id.to_owned(),
        None => hex::encode(sha256(body)),
    }
}

/// A callback, in the next manner of the list.
async fn callback(
    role: web::Path<String>,
    request: HttpRequest,
    bytes: web::Bytes,
    shared: web::Data<Shared>,
) -> HttpResponse {
    let number = shared.callbacks.fetch_add(1, Ordering::Relaxed);
    let manner = shared.manners.of(number);
    match manner.redirect {
        // With its body, so nothing has been processed here.
        Some(status @ (307 | 308)) => {
            let to = format!("{}/moved/{role}?number={number}", shared.base);
            redirect(status, &to)
        }
        // Without its body: it is processed here, and its answer is elsewhere.
        Some(status) => {
            let answer = take(&role, &request, &bytes, &shared, &manner).await;
            let to = format!("{}/answer/{number}", shared.base);
            shared.elsewhere.lock().insert(number, (answer, manner));
            redirect(status, &to)
        }
        None => {
            let answer = take(&role, &request, &bytes, &shared, &manner).await;
            answer.respond(&manner)
        }
    }
}

#[derive(serde::Deserialize)]
struct Moved {
    number: u64,
}

/// A callback that was redirected here with its body.
async fn moved(
    role: web::Path<String>,
    request: HttpRequest,
    bytes: web::Bytes,
    shared: web::Data<Shared>,
    moved: web::Query<Moved>,
) -> HttpResponse {
    let manner = shared.manners.of(moved.number);
    let answer = take(&role, &request, &bytes, &shared, &manner).await;
    answer.respond(&manner)
}

/// The answer to a callback that was redirected here without its body.
async fn answer_elsewhere(number: web::Path<u64>, shared: web::Data<Shared>) -> HttpResponse {
    match shared.elsewhere.lock().remove(&number) {
        Some((answer, manner)) => answer.respond(&manner),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn take(
    role: &str,
    request: &HttpRequest,
    bytes: &[u8],
    shared: &web::Data<Shared>,
    manner: &Manner,
) -> CallbackReply {
    let id = identity(request, bytes);
    let is_new = shared.record.callback(&id);
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else {
        let problem = format!("{role}: a callback that is no JSON");
        shared.record.fail(problem);
        return CallbackReply::Nothing;
    };
    let answer = act(role, &body, &id, is_new, shared, manner);
    rt::time::sleep(manner.late).await;
    // An `error` callback is tried once, so without an answer it would be a
    // failed job.
    if manner.silent && is_new && body["type"] != "error" {
        rt::time::sleep(SILENCE).await;
        if let Some(Socket(socket)) = request.conn_data::<Socket>() {
            // A closed connection is as silent.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
    answer
}

fn act(
    role: &str,
    body: &Value,
    id: &str,
    is_new: bool,
    shared: &web::Data<Shared>,
    manner: &Manner,
) -> CallbackReply {
    let record = &shared.record;
    record.event(event_of(role, body), id);
    let kind = body["type"].as_str().unwrap_or_default();
    let request_id = body["request_id"].as_str().unwrap_or_default().to_owned();
    match (role, kind) {
        ("rp", "request_status") => status(record, &request_id, body, is_new),
        // An AS's second answer is refused, whichever it is.
        ("as", "error") if record.is_answered_twice(&request_id) => {}
        (_, "error") => record.fail(format!("{role}: error callback: {body}")),
        ("idp", "incoming_request") if is_new => {
            answer_consent(shared.clone(), body, manner.twice);
        }
        ("as", "data_request") => {
            return answer_data(shared, request_id, body, is_new, manner.twice);
        }
        (_, kind) if kind.ends_with("_result") => result(record, &request_id, body.clone()),
        _ => {}
    }
    match manner.coding {
        super::manners::Coding::Identity => CallbackReply::Nothing,
        // Only a status is asked for; a body must do no harm.
        _ => CallbackReply::Json(json!({"heard": kind})),
    }
}

fn status(record: &Record, request_id: &str, body: &Value, is_new: bool) {
    let status = body["status"].as_str().unwrap_or_default();
    if is_new && record.has_heard_of_the_end(request_id) {
        record.fail(format!("told after the end of its request: {body}"));
    }
    if body["closed"] == json!(true) || body["timed_out"] == json!(true) {
        record.heard_of_the_end(request_id);
    }
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

/// The IdP's user accepts. Some applications send that twice.
fn answer_consent(shared: web::Data<Shared>, asked: &Value, twice: bool) {
    let text = |member: &str| asked[member].as_str().unwrap_or_default().to_owned();
    let (request_id, group) = (text("request_id"), text("reference_group_code"));
    let mut body = json!({
        "reference_id": format!("idp-{request_id}"),
        "callback_url": format!("{}/idp", shared.base),
        "request_id": request_id,
        "ial": IAL,
        "aal": 3,
        "status": "accept",
        "signature": "signed by the user",
    });
    rt::spawn(async move {
        if let Some(users) = &shared.users {
            match signed_by_user(&shared.idp, users, &request_id, &group).await {
                Ok((accessor_id, signature)) => {
                    body["accessor_id"] = accessor_id.into();
                    body["signature"] = signature.into();
                }
                Err(error) => return shared.record.fail(format!("{request_id}: {error}")),
            }
        }
        let path = "/v6/idp/response";
        post_answer(&shared.idp, path, &body, &shared.record).await;
        if twice {
            // Answered like the first, or refused because the request has
            // ended.
            let again = shared.idp.post(path, &body).await;
            if let Err(error) = again {
                shared.record.fail(error);
            }
        }
    });
}

/// The user's accessor and its signature.
async fn signed_by_user(
    idp: &ApiClient,
    users: &Users,
    request_id: &str,
    group: &str,
) -> Result<(String, String), String> {
    let user = users.of_group(group);
    let user = user.ok_or_else(|| format!("nobody is of reference group {group:?}"))?;
    let accessor = &user.accessor;
    let signature = accessor.sign_request(idp, request_id).await?;
    Ok((accessor.id.clone(), signature))
}

/// The AS sends the data at once for half of the requests, and by a call of its
/// own for the others. Some applications do both.
fn answer_data(
    shared: &web::Data<Shared>,
    request_id: String,
    body: &Value,
    is_new: bool,
    twice: bool,
) -> CallbackReply {
    let data = data_of(&request_id);
    let last_digit = request_id.bytes().last().unwrap_or_default();
    let at_once = last_digit.is_multiple_of(2);
    if is_new && (!at_once || twice) {
        let service = body["service_id"].as_str().unwrap_or_default();
        let path = format!("/v6/as/data/{request_id}/{service}");
        let reference = format!("as-{request_id}");
        if at_once {
            shared.record.answers_twice(&request_id);
            shared.record.put_in_doubt(&reference);
        }
        let call = json!({
            "reference_id": reference,
            "callback_url": format!("{}/as", shared.base),
            "data": data,
        });
        let shared = shared.clone();
        rt::spawn(async move {
            post_answer(&shared.as_, &path, &call, &shared.record).await;
        });
    }
    match at_once {
        true => CallbackReply::Json(json!({"data": data})),
        false => CallbackReply::Nothing,
    }
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
