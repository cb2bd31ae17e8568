//! Data above what the node's Redis takes: refused for good, with the setting.

use std::sync::Arc;

use actix_web::web::{Data, Json};
use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use erawan::context::Role;
use erawan::devnet::redis_server::RedisServer;
use parking_lot::Mutex;
use rand::RngCore;
use serde_json::{Value, json};

use crate::client::{Told, client_application};
use crate::jobs::{Environment, listed};
use crate::network::*;

const SERVICE: &str = "customer_info";
const SETTING: &str = "proto-max-bulk-len";
const LIMIT: usize = 1024 * 1024;

async fn limit_values(redis: &RedisServer) {
    let client = redis::Client::open(("127.0.0.1", redis.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut limit = redis::cmd("CONFIG");
    limit.arg("SET").arg(SETTING).arg(LIMIT);
    limit.exec_async(&mut connection).await.unwrap();
}

/// Two megabytes that no compression makes smaller.
fn large_data() -> String {
    let mut bytes = vec![0; 1_600_000];
    rand::rng().fill_bytes(&mut bytes);
    STANDARD.encode(bytes)
}

/// What the AS's application answers the node's questions for data with; 204
/// without it. The requests it was asked about.
#[derive(Clone, Default)]
struct Source {
    at_once: Arc<Mutex<Option<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Source {
    fn start(&self) -> String {
        let shared = Data::new(self.clone());
        let server = HttpServer::new(move || {
            let answer = async |source: Data<Source>, body: Json<Value>| {
                if body["type"] == "data_request" {
                    let request = body["request_id"].as_str().unwrap().to_owned();
                    source.asked.lock().push(request);
                    if let Some(data) = &*source.at_once.lock() {
                        return HttpResponse::Ok().json(json!({"data": data}));
                    }
                }
                HttpResponse::NoContent().finish()
            };
            App::new()
                .app_data(shared.clone())
                .default_service(web::to(answer))
        });
        let server = server.workers(1).bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/data", server.addrs()[0]);
        actix_web::rt::spawn(server.disable_signals().run());
        url
    }

    async fn is_asked(&self, request: &str) {
        let is_asked = || async { self.asked.lock().iter().any(|asked| asked == request) };
        eventually("the AS is asked for data", is_asked).await;
    }
}

struct Calls {
    rp: String,
    as_: String,
    url: String,
    told: Told,
}

impl Calls {
    async fn offer(&self, source: &str) {
        let body = json!({
            "reference_id": "offer",
            "callback_url": self.url,
            "min_ial": 1.1,
            "min_aal": 1,
            "url": source,
            "supported_namespace_list": ["citizen_id"],
        });
        let url = format!("{}/v6/as/service/{SERVICE}", self.as_);
        let answer = plain_client().post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let kind = "add_or_update_service_result";
        assert_eq!(self.told.result(kind, "offer").await["success"], true);
    }

    /// A request for data; its id.
    async fn request(&self) -> String {
        let (_, mut body) = unanswered_request();
        body["callback_url"] = self.url.as_str().into();
        body["data_request_list"] = json!([{
            "service_id": SERVICE,
            "as_id_list": ["as1"],
            "min_as": 1,
            "request_params": "{}",
        }]);
        let url = format!("{}/v6/rp/requests/{IDENTITY}", self.rp);
        let answer = plain_client().post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let body: Value = answer.json().await.unwrap();
        body["request_id"].as_str().unwrap().to_owned()
    }

    async fn give(&self, request: &str, data: &str) -> reqwest::Response {
        let body = json!({
            "reference_id": format!("{request}-{}", data.len()),
            "callback_url": self.url,
            "data": data,
        });
        let url = format!("{}/v6/as/data/{request}/{SERVICE}", self.as_);
        plain_client().post(url).json(&body).send().await.unwrap()
    }
}

/// The jobs that the AS's node has parked.
async fn parked(environment: &Environment) -> Vec<Value> {
    listed(environment, &["--state", "parked"]).await
}

#[actix_web::test]
async fn data_above_the_limit_of_redis_is_parked_or_refused_with_its_setting_and_others_go_on() {
    let mut net = Net::start(Store::Redis, 0).await;
    let apps = net.apps().await;
    limit_values(net.redis.as_ref().unwrap()).await;
    let environment = net.processes(Role::As)[0]
        .process
        .plan()
        .environment
        .clone();
    let (url, told) = client_application();
    let calls = Calls {
        rp: net.api(Role::Rp),
        as_: net.api(Role::As),
        url,
        told,
    };
    let source = Source::default();
    calls.offer(&source.start()).await;

    // Given in the answer to the node's question: its job is parked.
    *source.at_once.lock() = Some(large_data());
    let stuck = calls.request().await;
    source.is_asked(&stuck).await;
    let is_parked = || async { !parked(&environment).await.is_empty() };
    eventually("its job is parked", is_parked).await;
    let jobs = parked(&environment).await;
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let error = jobs[0]["last_error"].as_str().unwrap();
    assert!(error.contains(SETTING), "{error}");
    assert!(error.contains(&LIMIT.to_string()), "{error}");

    // Given by a call: that is refused, and a smaller one is taken.
    *source.at_once.lock() = None;
    let other = calls.request().await;
    source.is_asked(&other).await;
    let refused = calls.give(&other, &large_data()).await;
    assert_eq!(refused.status(), 500);
    assert!(!refused.headers().contains_key("retry-after"));
    let said: Value = refused.json().await.unwrap();
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains(SETTING), "{message}");
    assert!(message.contains(&LIMIT.to_string()), "{message}");
    assert_eq!(calls.give(&other, "small").await.status(), 202);
    let reference = format!("{other}-5");
    let result = calls.told.result("response_result", &reference).await;
    assert_eq!(result["success"], true);
    let read = format!("{}/v6/rp/request_data/{other}", calls.rp);
    let is_read = || async {
        let answer = plain_client().get(&read).send().await.unwrap();
        let data: Value = answer.json().await.unwrap_or_default();
        data[0]["data"] == "small"
    };
    eventually("the RP has the data", is_read).await;

    drive(&apps, 5).await;
    assert_all_verified(&apps, 5);
    assert_eq!(parked(&environment).await.len(), 1, "no other job is");
    assert_eq!(source.asked.lock().len(), 2, "nobody is asked again");
    net.end(apps).await;
}
