//! The client's listeners: one server for each application, which notes every
//! callback in the order of arrival and answers as the recorded client did.

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

/// Applications, and where the recorded client listened for them.
const APPS: [(&str, u16); 11] = [
    ("idp1", 9100),
    ("idp2", 9101),
    ("idp3", 9102),
    ("rp1", 9200),
    ("rp2", 9201),
    ("as1", 9300),
    ("as2", 9301),
    ("proxy1", 9400),
    ("proxy2", 9401),
    ("node", 14000),
    ("dcontract", 19900),
];
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// A callback that came.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub app: &'static str,
    pub method: String,
    pub path: String,
    pub content_type: Option<String>,
    /// Header `Idempotency-Key`.
    pub id: Option<String>,
    pub body: Value,
}

/// Status and body of an answer.
pub type Answered = (u16, Value);

#[derive(Default)]
struct Heard {
    arrivals: Vec<Arrival>,
    /// Answers to `data_request` by live request id.
    of_requests: HashMap<String, Answered>,
    /// Answers by path.
    of_paths: HashMap<String, Answered>,
}

/// The running servers.
pub struct Listeners {
    heard: Arc<Mutex<Heard>>,
    arrived: watch::Receiver<usize>,
    servers: Vec<ServerHandle>,
    addresses: Vec<(String, String)>,
}

struct Shared {
    app: &'static str,
    heard: Arc<Mutex<Heard>>,
    arrived: watch::Sender<usize>,
}

impl Listeners {
    /// Listens on free ports.
    pub fn start() -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (sender, arrived) = watch::channel(0);
        let (mut servers, mut addresses) = (Vec::new(), Vec::new());
        for (app, recorded) in APPS {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let live = listener.local_addr().unwrap().to_string();
            addresses.push((format!("localhost:{recorded}"), live));
            let shared = web::Data::new(Shared {
                app,
                heard: heard.clone(),
                arrived: sender.clone(),
            });
            servers.push(serve(listener, shared));
        }
        Self {
            heard,
            arrived,
            servers,
            addresses,
        }
    }

    /// Recorded and live addresses.
    pub fn addresses(&self) -> Vec<(String, String)> {
        self.addresses.clone()
    }

    /// Answers the `data_request` of a request so.
    pub fn answer_request(&self, request_id: &str, answered: Answered) {
        let mut heard = self.heard.lock();
        heard.of_requests.insert(request_id.to_owned(), answered);
    }

    /// Answers calls of this path so.
    pub fn answer_path(&self, path: &str, answered: Answered) {
        let mut heard = self.heard.lock();
        heard.of_paths.insert(path.to_owned(), answered);
    }

    /// Everything after the first so many.
    pub fn arrivals_after(&self, known: usize) -> Vec<Arrival> {
        self.heard.lock().arrivals[known..].to_vec()
    }

    /// Waits for one more than `known` arrivals; false when none comes in time.
    pub async fn more_than(&mut self, known: usize, patience: Duration) -> bool {
        let more = self.arrived.wait_for(|count| *count > known);
        tokio::time::timeout(patience, more).await.is_ok()
    }

    /// Ends the servers.
    pub async fn stop(self) {
        for server in self.servers {
            server.stop(false).await;
        }
    }
}

fn serve(listener: TcpListener, shared: web::Data<Shared>) -> ServerHandle {
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
    handle
}

async fn take(request: HttpRequest, bytes: web::Bytes, shared: web::Data<Shared>) -> HttpResponse {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let arrival = Arrival {
        app: shared.app,
        method: request.method().to_string(),
        path: request.path().to_owned(),
        content_type: header("content-type"),
        id: header("idempotency-key"),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    };
    let (answer, count) = {
        let mut heard = shared.heard.lock();
        let answer = answer_to(&heard, &arrival);
        heard.arrivals.push(arrival);
        (answer, heard.arrivals.len())
    };
    shared.arrived.send_replace(count);
    answer
}

fn answer_to(heard: &Heard, arrival: &Arrival) -> HttpResponse {
    let request_id = arrival.body["request_id"].as_str().unwrap_or_default();
    let of_request = heard.of_requests.get(request_id);
    let of_request = of_request.filter(|_| arrival.body["type"] == "data_request");
    let Some((status, body)) = of_request.or_else(|| heard.of_paths.get(&arrival.path)) else {
        return HttpResponse::NoContent().finish();
    };
    let mut answer = HttpResponse::build(StatusCode::from_u16(*status).unwrap());
    match body {
        Value::Null => answer.finish(),
        Value::String(text) => answer.body(text.clone()),
        body => answer.json(body),
    }
}
