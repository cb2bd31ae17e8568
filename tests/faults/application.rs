//! A client application that records every callback and does as it is told.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::network::{eventually, plain_client};

/// A callback as it came.
#[derive(Debug, Clone)]
pub struct Got {
    /// Header `Idempotency-Key`.
    pub key: String,
    /// The body.
    pub body: Value,
}

/// What the application answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Manner {
    /// This status, and this body if there is one.
    Answers(u16, Option<Value>),
    /// Nothing, until it is told otherwise.
    Silent,
}

struct Shared {
    got: Mutex<Vec<Got>>,
    manner: Mutex<Manner>,
}

/// A running application.
pub struct Application {
    pub url: String,
    shared: Arc<Shared>,
    server: ServerHandle,
}

impl Application {
    /// Listens on `port` of the loopback; 0 takes a free one.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            got: Mutex::default(),
            manner: Mutex::new(Manner::Answers(204, None)),
        });
        let data = web::Data::from(shared.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .default_service(web::to(receive))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(0);
        let server = server.listen(listener).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self {
            url,
            shared,
            server: handle,
        }
    }

    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock() = manner;
    }

    /// Callbacks of this type so far.
    pub fn got(&self, kind: &str) -> Vec<Got> {
        let got = self.shared.got.lock();
        let of_kind = got.iter().filter(|got| got.body["type"] == kind);
        of_kind.cloned().collect()
    }

    /// Waits for so many callbacks of this type.
    pub async fn wait(&self, kind: &str, count: usize) -> Vec<Got> {
        let enough = || async { self.got(kind).len() >= count };
        eventually(&format!("{count} callbacks {kind}"), enough).await;
        self.got(kind)
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn receive(
    request: HttpRequest,
    body: web::Json<Value>,
    shared: web::Data<Shared>,
) -> HttpResponse {
    let key = request.headers().get("idempotency-key").unwrap();
    shared.got.lock().push(Got {
        key: key.to_str().unwrap().to_owned(),
        body: body.into_inner(),
    });
    loop {
        let manner = shared.manner.lock().clone();
        match manner {
            Manner::Silent => tokio::time::sleep(Duration::from_millis(20)).await,
            Manner::Answers(status, body) => {
                let status = actix_web::http::StatusCode::from_u16(status).unwrap();
                let mut answer = HttpResponse::build(status);
                return match body {
                    Some(body) => answer.json(body),
                    None => answer.finish(),
                };
            }
        }
    }
}

/// A request of mode 1 with callbacks to this application.
pub fn request(application: &Application, idps: &[&str], reference: &str) -> Value {
    json!({
        "reference_id": reference,
        "callback_url": application.url,
        "mode": 1,
        "idp_id_list": idps,
        "data_request_list": [],
        "request_message": "please",
        "min_ial": 1.1,
        "min_aal": 1,
        "min_idp": idps.len(),
        "request_timeout": 86400,
    })
}

/// POSTs to a node; status and body.
pub async fn post(api: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = plain_client().post(format!("{api}/v6{path}")).json(body);
    let answer = answer.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

/// A GET from a node; status and body.
pub async fn get(api: &str, path: &str) -> (u16, Value) {
    let answer = plain_client().get(format!("{api}/v6{path}"));
    let answer = answer.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

/// Where requests are made.
pub const REQUESTS: &str = "/rp/requests/citizen_id/1000000000017";
