//! The client applications' side: takes every callback, in the order of
//! arrival, and answers the AS's as the recorded client did.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// A callback that came.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub path: String,
    pub content_type: Option<String>,
    pub accept: Option<String>,
    /// Header `Idempotency-Key`.
    pub id: Option<String>,
    pub body: Value,
}

#[derive(Default)]
struct Heard {
    arrivals: Vec<Arrival>,
    /// Answers to `data_request` by live request id: status and body.
    answers: HashMap<String, Value>,
}

/// The running server.
pub struct Receiver {
    base: String,
    heard: Arc<Mutex<Heard>>,
    arrived: watch::Receiver<usize>,
    server: ServerHandle,
}

struct Shared {
    heard: Arc<Mutex<Heard>>,
    arrived: watch::Sender<usize>,
}

impl Receiver {
    /// Listens on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (sender, arrived) = watch::channel(0);
        let shared = web::Data::new(Shared {
            heard: heard.clone(),
            arrived: sender,
        });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(BODY_LIMIT))
                .default_service(web::to(take))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self {
            base,
            heard,
            arrived,
            server: handle,
        }
    }

    /// Its base URL.
    pub fn base(&self) -> String {
        self.base.clone()
    }

    /// Answers the `data_request` of a request with this status and body.
    pub fn answer(&self, request_id: &str, answered: Value) {
        let mut heard = self.heard.lock();
        heard.answers.insert(request_id.to_owned(), answered);
    }

    /// Everything so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.heard.lock().arrivals.clone()
    }

    /// Waits for one more than `known` arrivals; false when none comes in time.
    pub async fn more_than(&mut self, known: usize, patience: Duration) -> bool {
        let more = self.arrived.wait_for(|count| *count > known);
        tokio::time::timeout(patience, more).await.is_ok()
    }

    /// Ends the server.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn take(request: HttpRequest, bytes: web::Bytes, shared: web::Data<Shared>) -> HttpResponse {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let arrival = Arrival {
        path: request.path().to_owned(),
        content_type: header("content-type"),
        accept: header("accept"),
        id: header("idempotency-key"),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    };
    let answer = answer_to(&shared.heard.lock(), &arrival.body);
    let count = {
        let mut heard = shared.heard.lock();
        heard.arrivals.push(arrival);
        heard.arrivals.len()
    };
    shared.arrived.send_replace(count);
    answer
}

fn answer_to(heard: &Heard, body: &Value) -> HttpResponse {
    let request_id = body["request_id"].as_str().unwrap_or_default();
    let answered = heard.answers.get(request_id);
    match answered.filter(|_| body["type"] == "data_request") {
        None => HttpResponse::NoContent().finish(),
        Some(answered) => {
            let status = answered["status"].as_u64().unwrap() as u16;
            HttpResponse::build(StatusCode::from_u16(status).unwrap()).json(&answered["body"])
        }
    }
}
