//! Callbacks to receivers of every kind (spec/http-api.md 4.1).

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use erawan::config::Config;
use erawan::context::{Context, Role};
use erawan::delivery::callback;
use erawan::delivery::callback::*;
use erawan::devnet::ports;
use erawan::error::codes;
use erawan::job::{Commit, Job, JobOutcome, Millis, NewJob, Run, Table};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fakes::{FakeLedger, FakeStore, NoKeys, config};
use crate::network::eventually;

const MIB: usize = 1024 * 1024;

/// A client application: answers every call with the same bytes.
struct Receiver {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Writes these bytes in answer to every call, then closes.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::start(Some(answer.into())).await
    }

    /// Reads calls and never answers.
    async fn silent() -> Self {
        Self::start(None).await
    }

    async fn start(answer: Option<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (calls.clone(), answer.map(Arc::new));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive(stream, seen.clone(), answer.clone()));
            }
        });
        Self { address, calls }
    }

    fn url(&self) -> String {
        format!("http://{}/callback", self.address)
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().clone()
    }
}

async fn receive(
    mut stream: TcpStream,
    calls: Arc<Mutex<Vec<String>>>,
    answer: Option<Arc<Vec<u8>>>,
) {
    let mut call = Vec::new();
    let mut chunk = [0; 4096];
    while !is_whole(&call) {
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => call.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    calls.lock().push(String::from_utf8(call).unwrap());
    match answer {
        // A receiver that hangs up on a huge answer is the client's right.
        Some(answer) => drop(stream.write_all(&answer).await),
        None => std::future::pending().await,
    }
}

fn is_whole(call: &[u8]) -> bool {
    let text = String::from_utf8_lossy(call).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

struct Sender {
    context: Context,
    ledger: Arc<FakeLedger>,
    store: Arc<FakeStore>,
    client: CallbackClient,
}

impl Sender {
    fn new() -> Self {
        Self::with_limits(CallbackLimits::default())
    }

    /// One that gives a try up soon, but not so soon that a receiver that does
    /// answer may be too slow for it.
    fn impatient() -> Self {
        Self::with_limits(CallbackLimits {
            try_time: Duration::from_secs(2),
            ..CallbackLimits::default()
        })
    }

    fn with_limits(limits: CallbackLimits) -> Self {
        let config = Config {
            environment: erawan::config::Environment::Development,
            ..config()
        };
        let ledger = FakeLedger::empty();
        let store = Arc::new(FakeStore::default());
        let client = CallbackClient::with_limits(&config, limits).unwrap();
        let http = erawan::crypto::external::client(&config).unwrap();
        let context = Context {
            config: Arc::new(config),
            role: Role::As,
            ledger: ledger.clone(),
            state: store.clone(),
            crypto: Arc::new(NoKeys),
            http,
            future_quota: Arc::default(),
        };
        Self {
            context,
            ledger,
            store,
            client,
        }
    }

    async fn deliver(&self, job: &Job) -> Run {
        run_deliver(&self.context, &self.client, job).await.unwrap()
    }

    fn set_service_url(&self, url: &str) {
        let key = (Table::ServiceUrl, "as1".to_owned(), "service".to_owned());
        self.store
            .columns
            .lock()
            .insert(key, url.as_bytes().to_vec());
    }

    /// Keeps, or forgets, the request `r` of `as1`.
    fn know_request(&self, is_known: bool) {
        let key = (Table::DataRequest, "as1/r".to_owned(), String::new());
        let mut columns = self.store.columns.lock();
        columns.remove(&key);
        if is_known {
            columns.insert(key, b"{}".to_vec());
        }
    }
}

fn job_of(new: NewJob, tries: u32) -> Job {
    Job {
        new,
        seq: 1,
        prev: 0,
        attempt: 1,
        tries,
        strikes: 0,
        parked: false,
        accepted_at: Millis::now(),
    }
}

fn job(url: &str, persistence: Persistence) -> Job {
    let mut body = Map::new();
    body.insert("type".into(), "request_status".into());
    job_of(
        callback_job(Target::Url(url.to_owned()), "r", body, persistence, None),
        0,
    )
}

fn data_request(tries: u32) -> Job {
    let reference = DataRequestRef {
        node_id: "as1".to_owned(),
        request_id: "r".to_owned(),
        service_id: "service".to_owned(),
    };
    let target = Target::Service {
        node_id: "as1".to_owned(),
        service_id: "service".to_owned(),
    };
    let persistence = Persistence::UntilRequestEnds {
        request_id: "r".to_owned(),
    };
    let mut body = Map::new();
    body.insert("node_id".into(), "as1".into());
    let new = callback_job(target, "r", body, persistence, Some(reference));
    job_of(new, tries)
}

fn done() -> Run {
    Run::Commit(Commit::nothing())
}

fn is_failed(run: &Run) -> bool {
    let Run::Commit(commit) = run else {
        return false;
    };
    matches!(commit.outcome, JobOutcome::Failed { .. })
}

/// The answer that a delivery hands on.
fn handed_on(run: &Run) -> (Option<String>, DataRequestAnswer) {
    let Run::Commit(commit) = run else {
        panic!("{run:?}");
    };
    assert_eq!(commit.jobs.len(), 1);
    let new = &commit.jobs[0];
    assert_eq!(new.kind, callback::ANSWERED);
    assert_eq!(*new.key, *erawan::job::request_key("r"));
    let source = new.source.clone();
    (source, job_of(new.clone(), 0).payload().unwrap())
}

#[actix_web::test]
async fn a_callback_is_posted_as_json_under_its_id() {
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Sender::new();
    let job = job(&receiver.url(), Persistence::Timed);
    assert_eq!(sender.deliver(&job).await, done());
    let call = receiver.calls()[0].clone();
    let callback: Callback = job.payload().unwrap();
    let (head, body) = call.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /callback HTTP/1.1"), "{head}");
    for line in [
        "content-type: application/json".to_owned(),
        "accept: */*".to_owned(),
        format!("idempotency-key: {}", callback.id),
    ] {
        assert!(head.lines().any(|found| found == line), "{line} in {head}");
    }
    assert_eq!(body, callback.body);
}

#[actix_web::test]
async fn any_status_means_delivered() {
    for status in [
        "200 OK",
        "404 Not Found",
        "500 Internal Server Error",
        "503 Busy",
    ] {
        let receiver = Receiver::answering(answer(status, "whatever")).await;
        let run = Sender::new()
            .deliver(&job(&receiver.url(), Persistence::Timed))
            .await;
        assert_eq!(run, done(), "{status}");
    }
}

#[actix_web::test]
async fn redirects_are_followed() {
    let last = Receiver::answering(answer("204 No Content", "")).await;
    let first = Receiver::answering(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        last.url()
    ))
    .await;
    let run = Sender::new()
        .deliver(&job(&first.url(), Persistence::Single))
        .await;
    assert_eq!(run, done());
    assert!(last.calls()[0].starts_with("POST /callback"));
}

/// A 200 answer with this body and these further header lines.
fn answer_with(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a data request is answered by a receiver that answers so.
async fn answer_of(bytes: impl Into<Vec<u8>>) -> DataRequestAnswer {
    let receiver = Receiver::answering(bytes).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    handed_on(&sender.deliver(&data_request(0)).await).1
}

#[actix_web::test]
async fn callbacks_say_who_sends_them_and_which_answers_are_understood() {
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let job = job(&receiver.url(), Persistence::Timed);
    assert_eq!(Sender::new().deliver(&job).await, done());
    let call = receiver.calls()[0].to_lowercase();
    assert!(call.contains("\r\nuser-agent: erawan/"), "{call}");
    let line = call
        .lines()
        .find(|line| line.starts_with("accept-encoding: "));
    for coding in ["gzip", "deflate", "br"] {
        assert!(line.unwrap().contains(coding), "{line:?}");
    }
}

#[actix_web::test]
async fn compressed_answers_are_read() {
    let plain = b"{\"data\":\"x\"}";
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(plain).unwrap();
    let mut brotli = Vec::new();
    brotli::BrotliCompress(&mut &plain[..], &mut brotli, &Default::default()).unwrap();
    for (coding, body) in [
        ("gzip", gzip(plain)),
        ("deflate", zlib.finish().unwrap()),
        ("br", brotli),
    ] {
        let headers = format!("Content-Encoding: {coding}\r\n");
        let answer = answer_of(answer_with(&headers, &body)).await;
        assert_eq!(answer.body.as_deref(), Some(&plain[..]), "{coding}");
    }
}

#[actix_web::test]
async fn the_limit_of_answers_is_that_of_what_they_unpack_to() {
    let bomb = gzip(&vec![b'x'; 26 * MIB]);
    assert!(bomb.len() < MIB);
    let answer = answer_of(answer_with("Content-Encoding: gzip\r\n", &bomb)).await;
    assert_eq!((answer.status, answer.body), (200, None));
}

#[actix_web::test]
async fn an_answer_that_cannot_be_unpacked_says_nothing_and_is_not_asked_for_again() {
    let headers = "Content-Encoding: gzip\r\n";
    let answer = answer_of(answer_with(headers, b"not gzip at all")).await;
    assert_eq!((answer.status, answer.body), (200, Some(Vec::new())));
    let empty = answer_of(answer_with(headers, b"")).await;
    assert_eq!((empty.status, empty.body), (200, Some(Vec::new())));
    let no_content = "HTTP/1.1 204 No Content\r\nContent-Encoding: br\r\nConnection: close\r\n\r\n";
    let later = answer_of(no_content).await;
    assert_eq!((later.status, later.body), (204, Some(Vec::new())));
}

#[actix_web::test]
async fn a_compressed_answer_that_breaks_off_is_asked_for_again() {
    let whole = answer_with("Content-Encoding: gzip\r\n", &gzip(&[b'x'; 1000]));
    let receiver = Receiver::answering(&whole[..whole.len() - 3]).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    let run = sender.deliver(&data_request(0)).await;
    assert!(matches!(run, Run::Retry { .. }), "{run:?}");
}

#[actix_web::test]
async fn answers_are_read_in_the_charset_they_name() {
    let text = "{\"data\":\"สวัสดี\"}";
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let headers = "Content-Type: application/json; charset=utf-16le\r\n";
    let answer = answer_of(answer_with(headers, &utf_16)).await;
    assert_eq!(answer.body.as_deref(), Some(text.as_bytes()));
    let headers = format!("{headers}Content-Encoding: gzip\r\n");
    let answer = answer_of(answer_with(&headers, &gzip(&utf_16))).await;
    assert_eq!(answer.body.as_deref(), Some(text.as_bytes()));
}

#[actix_web::test]
async fn redirects_change_the_method_as_browsers_do() {
    for (status, method) in [
        (301, "GET"),
        (302, "GET"),
        (303, "GET"),
        (307, "POST"),
        (308, "POST"),
    ] {
        let last = Receiver::answering(answer("200 OK", "{\"data\":\"x\"}")).await;
        let answer = answer_of(format!(
            "HTTP/1.1 {status} Elsewhere\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            last.url()
        ))
        .await;
        assert_eq!(answer.body.as_deref(), Some(&b"{\"data\":\"x\"}"[..]));
        let call = last.calls()[0].clone();
        assert!(
            call.starts_with(&format!("{method} /callback")),
            "{status}: {call}"
        );
        let has_body = call.ends_with('}');
        assert_eq!(has_body, method == "POST", "{status}: {call}");
    }
}

#[actix_web::test]
async fn what_is_late_is_given_up_untried_when_its_receiver_has_failed_all_the_while() {
    let silent = Receiver::silent().await;
    let mut sender = Sender::impatient();
    let limit = Duration::from_millis(100);
    let config = Config {
        callback_retry_timeout: limit,
        ..(*sender.context.config).clone()
    };
    sender.context.config = Arc::new(config);
    let late = |persistence| Job {
        accepted_at: Millis(Millis::now().0 - 1000),
        ..job(&silent.url(), persistence)
    };
    // Nothing is known of the receiver: each is tried.
    sender.deliver(&late(Persistence::Timed)).await;
    assert_eq!(silent.calls().len(), 1);
    tokio::time::sleep(limit).await;
    assert!(is_failed(&sender.deliver(&late(Persistence::Timed)).await));
    assert_eq!(silent.calls().len(), 1);
    // One that is not late is tried, and finds out whether the receiver is back.
    let young = Job {
        accepted_at: Millis(Millis::now().0 + 60_000),
        ..job(&silent.url(), Persistence::Timed)
    };
    sender.deliver(&young).await;
    assert_eq!(silent.calls().len(), 2);
}

#[actix_web::test]
async fn a_receiver_that_refuses_is_tried_again_with_backoff() {
    let closed = format!("http://127.0.0.1:{}/", ports::free().unwrap());
    let sender = Sender::new();
    let mut job = job(&closed, Persistence::Timed);
    for (tries, seconds) in [(0, 5.0), (3, 40.0)] {
        job.tries = tries;
        let Run::Retry { after, .. } = sender.deliver(&job).await else {
            panic!("not tried again");
        };
        assert!(
            (after.as_secs_f64() - seconds).abs() < seconds * 0.06,
            "{after:?}"
        );
    }
    let once = self::job(&closed, Persistence::Single);
    assert!(is_failed(&sender.deliver(&once).await));
}

#[actix_web::test]
async fn neither_downtime_nor_a_busy_destination_uses_up_the_time_of_a_callback() {
    let sender = Sender::new();
    let mut job = job("http://127.0.0.1:1/", Persistence::Timed);
    let now = Millis::now().0;
    for (tries, accepted_ago, given_up) in [
        // Tried once, then the node was down for a day.
        (1, 86_400_000, false),
        // Sixty times busy within a minute.
        (60, 60_000, false),
        // 5, 10, 20, 40, 80, 160 s, and 180 s more: still within 600 s.
        (6, 320_000, false),
        (7, 500_000, true),
    ] {
        job.tries = tries;
        job.accepted_at = Millis(now - accepted_ago);
        let run = sender.deliver(&job).await;
        assert_eq!(is_failed(&run), given_up, "{tries} tries: {run:?}");
    }
}

#[actix_web::test]
async fn a_silent_receiver_is_given_up_after_the_time_for_one_try() {
    let receiver = Receiver::silent().await;
    let sender = Sender::impatient();
    let run = sender
        .deliver(&job(&receiver.url(), Persistence::Timed))
        .await;
    assert!(matches!(run, Run::Retry { .. }), "{run:?}");
    assert_eq!(receiver.calls().len(), 1);
}

#[actix_web::test]
async fn a_dead_receiver_does_not_slow_the_others() {
    let dead = Receiver::silent().await;
    let alive = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Arc::new(Sender::with_limits(CallbackLimits {
        try_time: Duration::from_secs(60),
        concurrent: 2,
        waiting_time: Duration::from_millis(100),
    }));
    let blocked: Vec<_> = (0..2)
        .map(|_| {
            let (sender, job) = (sender.clone(), job(&dead.url(), Persistence::Timed));
            tokio::spawn(async move { sender.deliver(&job).await })
        })
        .collect();
    eventually("both places are taken", || dead.calls().len() == 2).await;
    let started = Instant::now();
    let run = sender.deliver(&job(&dead.url(), Persistence::Timed)).await;
    assert!(
        matches!(&run, Run::Retry { reason, .. } if reason.contains("too many")),
        "{run:?}"
    );
    let run = sender.deliver(&job(&alive.url(), Persistence::Timed)).await;
    assert_eq!(run, done());
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(dead.calls().len(), 2);
    blocked.iter().for_each(tokio::task::JoinHandle::abort);
}

#[actix_web::test]
async fn an_answer_above_the_limit_is_not_read_and_not_tried_again() {
    let mut huge = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    huge.resize(huge.len() + 26 * MIB, b'x');
    let receiver = Receiver::answering(huge).await;
    let sender = Sender::new();
    let run = sender
        .deliver(&job(&receiver.url(), Persistence::Timed))
        .await;
    assert!(is_failed(&run), "{run:?}");
    sender.set_service_url(&receiver.url());
    let (_, answer) = handed_on(&sender.deliver(&data_request(0)).await);
    assert_eq!((answer.status, answer.body), (200, None));
}

#[actix_web::test]
async fn the_answer_to_a_data_request_is_handed_on() {
    let receiver = Receiver::answering(answer("200 OK", "{\"data\":\"x\"}")).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    let job = data_request(0);
    let callback: Callback = job.payload().unwrap();
    let (source, handed) = handed_on(&sender.deliver(&job).await);
    assert_eq!(source, Some(format!("answer:{}", callback.id)));
    let body: Value = serde_json::from_slice(&handed.body.unwrap()).unwrap();
    assert_eq!((handed.status, body), (200, json!({"data": "x"})));

    let refusing = Receiver::answering(answer("404 Not Found", "no")).await;
    sender.set_service_url(&refusing.url());
    let (_, handed) = handed_on(&sender.deliver(&data_request(0)).await);
    assert_eq!((handed.status, handed.body), (404, Some(Vec::new())));
}

#[actix_web::test]
async fn an_answer_to_a_data_request_that_breaks_off_is_asked_for_again() {
    let broken = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":";
    let receiver = Receiver::answering(broken).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    let run = sender.deliver(&data_request(0)).await;
    assert!(matches!(run, Run::Retry { .. }), "{run:?}");
    let run = sender
        .deliver(&job(&receiver.url(), Persistence::Timed))
        .await;
    assert_eq!(run, done());
}

#[actix_web::test]
async fn a_changed_url_takes_effect_at_the_next_try() {
    let silent = Receiver::silent().await;
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Sender::impatient();
    sender.know_request(true);
    sender.set_service_url(&silent.url());
    let mut job = data_request(0);
    assert!(matches!(sender.deliver(&job).await, Run::Retry { .. }));
    sender.set_service_url(&receiver.url());
    job.tries = 1;
    handed_on(&sender.deliver(&job).await);
    assert_eq!(receiver.calls().len(), 1);
}

#[actix_web::test]
async fn a_callback_without_a_url_is_done() {
    let sender = Sender::new();
    assert_eq!(sender.deliver(&data_request(0)).await, done());
    let error = codes::REQUEST_INTEGRITY_CHECK_FAILED.into();
    let error = error_job("as", Some("as1"), "as.processMessage", Some("r"), &error);
    assert_eq!(sender.deliver(&job_of(error, 0)).await, done());
}

fn request_detail(closed: bool) -> Value {
    json!({
        "request_id": "r", "min_idp": 1, "min_aal": 1, "min_ial": 1.1, "request_timeout": 60,
        "idp_id_list": [], "data_request_list": [], "request_message_hash": "",
        "response_list": [], "closed": closed, "timed_out": false, "purpose": "", "mode": 1,
        "request_type": null, "requester_node_id": "rp1", "creation_block_height": 1,
        "creation_chain_id": "c",
    })
}

#[actix_web::test]
async fn a_data_request_is_repeated_until_its_request_ends() {
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    sender
        .ledger
        .answer_with(|_, _| Ok(Some(request_detail(true))));
    assert_eq!(sender.deliver(&data_request(1)).await, done());
    assert_eq!(receiver.calls().len(), 0);
    sender
        .ledger
        .answer_with(|_, _| Ok(Some(request_detail(false))));
    handed_on(&sender.deliver(&data_request(1)).await);
    sender.ledger.answer_with(|_, _| {
        Err(erawan::error::Error::from(codes::TENDERMINT_HTTP_CALL_ERROR).temporary())
    });
    handed_on(&sender.deliver(&data_request(1)).await);
    assert_eq!(receiver.calls().len(), 2);
}

#[actix_web::test]
async fn a_data_request_ends_when_neither_the_ledger_nor_the_node_knows_its_request() {
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    // A ledger's node that has not come to the block of the request.
    sender.know_request(true);
    handed_on(&sender.deliver(&data_request(1)).await);
    assert_eq!(receiver.calls().len(), 1);
    // After a ledger was replaced, and the node has looked at what it knew.
    sender.know_request(false);
    assert_eq!(sender.deliver(&data_request(1)).await, done());
    assert_eq!(receiver.calls().len(), 1);
}

#[actix_web::test]
async fn a_url_that_cannot_be_called_is_a_failure_at_once() {
    for url in ["", "not a url", "ftp://a", "http://"] {
        let run = Sender::new().deliver(&job(url, Persistence::Timed)).await;
        assert!(is_failed(&run), "{url}: {run:?}");
    }
}

#[actix_web::test]
async fn clients_for_production_start_and_https_receivers_get_a_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let production = config();
    assert!(CallbackClient::new(&production).is_ok());
    let sender = Sender::new();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(hello[0], 22, "a TLS handshake");
    });
    let run = sender.deliver(&job(&url, Persistence::Timed)).await;
    assert!(matches!(run, Run::Retry { .. }), "{run:?}");
}
