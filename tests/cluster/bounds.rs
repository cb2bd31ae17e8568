//! More than a node takes, and receivers that never answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use erawan::context::Role;
use parking_lot::Mutex;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::network::*;

async fn post(api: &str, path: &str, body: Value) -> Response {
    let url = format!("{api}/v6/rp/{path}");
    plain_client().post(url).json(&body).send().await.unwrap()
}

/// A request whose callbacks go to this address.
async fn request_for(api: &str, callback: &str) -> String {
    let (reference, mut body) = unanswered_request();
    body["callback_url"] = callback.into();
    let answer = post(api, &format!("requests/{IDENTITY}"), body).await;
    assert_eq!(answer.status(), 202);
    reference
}

/// A client application that takes calls; `answers` or not.
struct Receiver {
    url: String,
    /// Reference ids it was called back about ("" for callbacks without one).
    references: Arc<Mutex<HashSet<String>>>,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
}

impl Receiver {
    async fn start(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/callback", listener.local_addr().unwrap()),
            references: Arc::default(),
            open: Arc::default(),
            most_open: Arc::default(),
        };
        let references = receiver.references.clone();
        let (open, most_open) = (receiver.open.clone(), receiver.most_open.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let now = open.fetch_add(1, Ordering::SeqCst) + 1;
                most_open.fetch_max(now, Ordering::SeqCst);
                let (references, open) = (references.clone(), open.clone());
                tokio::spawn(async move {
                    serve(stream, &references, answers).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        receiver
    }
}

/// Reads calls of one connection until it is closed.
async fn serve(mut stream: TcpStream, references: &Mutex<HashSet<String>>, answers: bool) {
    let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => received.extend_from_slice(&chunk[..count]),
            _ => return,
        }
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((_, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let Ok(body) = serde_json::from_str::<Value>(body) else {
            continue;
        };
        received.clear();
        let reference = body["reference_id"].as_str().unwrap_or_default();
        references.lock().insert(reference.to_owned());
        let no_content = b"HTTP/1.1 204 No Content\r\n\r\n";
        if answers && stream.write_all(no_content).await.is_err() {
            return;
        }
    }
}

#[actix_web::test]
async fn a_client_application_that_stays_silent_does_not_hold_up_the_others() {
    const SILENT: usize = 60;
    const LIVELY: usize = 20;
    // A share of two: two calls to the silent one, while it holds them.
    const SHARE: usize = 2;
    let mut net = Net::start(Store::Embedded, 0).await;
    restart_one(&mut net, Role::Rp, &[("WORKER_DELIVERY_CAPACITY", "16")]).await;
    let api = net.api(Role::Rp);
    let (silent, lively) = (Receiver::start(false).await, Receiver::start(true).await);
    for _ in 0..SILENT {
        request_for(&api, &silent.url).await;
    }
    let holds = || async { silent.open.load(Ordering::SeqCst) == SHARE };
    eventually("the silent one holds its share", holds).await;

    let mut expected = HashSet::new();
    for _ in 0..LIVELY {
        expected.insert(request_for(&api, &lively.url).await);
    }
    let all = || async { lively.references.lock().is_superset(&expected) };
    eventually("everybody else is called back", all).await;
    // A try lasts 60 s: in all that time nothing of the silent one's has ended.
    assert_eq!(silent.most_open.load(Ordering::SeqCst), SHARE);
    let apps = net.apps().await;
    drive(&apps, 10).await;
    assert_all_verified(&apps, 10);
    net.end(apps).await;
}

/// What a process that is ready says besides.
async fn notices(net: &mut Net) -> Vec<String> {
    let metrics = net.processes(Role::Rp)[0].metrics.clone();
    let url = metrics.replace("/metrics", "/ready");
    let answer = plain_client().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    serde_json::from_value(body["notices"].clone()).unwrap()
}

#[actix_web::test]
async fn a_full_queue_refuses_what_is_new_and_is_emptied_by_what_ends() {
    const LIMIT: usize = 40;
    let mut net = Net::start(Store::Embedded, 0).await;
    let limit = LIMIT.to_string();
    let limits = [
        ("QUEUE_LIMIT_JOBS", limit.as_str()),
        ("QUEUE_LIMIT_DORMANT_JOBS", limit.as_str()),
    ];
    restart_one(&mut net, Role::Rp, &limits).await;
    let api = net.api(Role::Rp);
    let receiver = Receiver::start(true).await;
    let requests = format!("requests/{IDENTITY}");
    let new_request = || {
        let (_, mut body) = unanswered_request();
        body["callback_url"] = receiver.url.clone().into();
        post(&api, &requests, body)
    };

    // Each request keeps one job open, its time-out, which waits; those that end
    // soon make room for some more.
    let (mut made, mut refusals) = (Vec::new(), 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    while (refusals < 50 || made.len() < LIMIT / 2) && Instant::now() < deadline {
        let answer = new_request().await;
        if answer.status() == 202 {
            let body: Value = answer.json().await.unwrap();
            made.push(body["request_id"].as_str().unwrap().to_owned());
            refusals = 0;
            continue;
        }
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
        refusals += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // As many may wait, and as many run.
    let most = 2 * LIMIT;
    assert!((LIMIT / 2..=most).contains(&made.len()), "{}", made.len());
    let full = "the queue is full".to_owned();
    assert!(notices(&mut net).await.contains(&full));
    let read = plain_client().get(format!("{api}/v6/utility/namespaces"));
    assert_eq!(read.send().await.unwrap().status(), 200);

    // Closing them ends those jobs, and then there is room again.
    for request in &made {
        let is_taken = || async {
            let (reference, _) = unanswered_request();
            let body = json!({
                "reference_id": reference,
                "callback_url": receiver.url,
                "request_id": request,
            });
            // 503 only while too much is open; other refusals mean that the
            // request is not on the ledger yet.
            post(&api, "request_close", body).await.status() == 202
        };
        eventually("a request can be closed", is_taken).await;
    }
    let has_room = || async { new_request().await.status() == 202 };
    eventually("there is room again", has_room).await;
    let apps = net.apps().await;
    net.end(apps).await;
}

#[actix_web::test]
async fn a_request_above_the_limit_of_redis_is_refused_with_its_setting_and_others_go_on() {
    const SETTING: &str = "proto-max-bulk-len";
    let net = Net::start(Store::Redis, 0).await;
    let apps = net.apps().await;
    let redis = net.redis.as_ref().unwrap();
    let client = redis::Client::open(("127.0.0.1", redis.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut limit = redis::cmd("CONFIG");
    limit.arg("SET").arg(SETTING).arg(1024 * 1024);
    limit.exec_async(&mut connection).await.unwrap();
    let (_, mut body) = unanswered_request();
    body["request_message"] = "x".repeat(2_000_000).into();
    let answer = post(&net.api(Role::Rp), &format!("requests/{IDENTITY}"), body).await;
    assert_eq!(answer.status(), 500);
    assert!(!answer.headers().contains_key("retry-after"));
    let said: Value = answer.json().await.unwrap();
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains(SETTING), "{message}");
    drive(&apps, 5).await;
    assert_all_verified(&apps, 5);
    net.end(apps).await;
}

/// What people have not answered yet is no load.
#[actix_web::test]
async fn requests_that_wait_for_people_do_not_fill_the_queue() {
    const LIMIT: usize = 40;
    const REQUESTS: usize = 5 * LIMIT;
    let mut net = Net::start(Store::Embedded, 0).await;
    let limit = LIMIT.to_string();
    restart_one(&mut net, Role::Rp, &[("QUEUE_LIMIT_JOBS", &limit)]).await;
    let api = net.api(Role::Rp);
    for _ in 0..REQUESTS {
        // Nobody listens where its callbacks go, so they wait as well. 503 only
        // while too much runs.
        let is_taken = || async {
            let (_, body) = unanswered_request();
            let answer = post(&api, &format!("requests/{IDENTITY}"), body).await;
            answer.status() == 202
        };
        eventually("a request is taken", is_taken).await;
    }
    let part = &net.processes(Role::Rp)[0];
    let waits = || async {
        let dormant = metric(part, "erawan_queue_dormant_jobs").await;
        dormant.is_some_and(|jobs| jobs >= (2 * REQUESTS) as f64)
    };
    eventually("time-outs and callbacks wait", waits).await;
    let is_idle = || async { metric(part, "erawan_queue_jobs").await == Some(0.0) };
    eventually("nothing else is open", is_idle).await;
    assert_eq!(notices(&mut net).await, Vec::<String>::new());
    let apps = net.apps().await;
    drive(&apps, 3).await;
    assert_all_verified(&apps, 3);
    apps.stop().await;
}
