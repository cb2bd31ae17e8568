//! Callbacks to receivers of every kind (spec/http-api.md 4.1).

mod answers;
mod delivery;
mod retries;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use erawan::config::Config;
use erawan::context::{Context, Role};
use erawan::delivery::callback;
use erawan::delivery::callback::*;
use erawan::job::{Commit, Job, JobOutcome, Millis, NewJob, Run, Table};
use parking_lot::Mutex;
use serde_json::Map;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fakes::{FakeLedger, FakeStore, NoKeys, config};

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
        callback_job(
            CallbackTarget::Url(url.to_owned()),
            "r",
            body,
            persistence,
            None,
        ),
        0,
    )
}

fn data_request(tries: u32) -> Job {
    let reference = DataRequestRef {
        node_id: "as1".to_owned(),
        request_id: "r".to_owned(),
        service_id: "service".to_owned(),
    };
    let target = CallbackTarget::Service {
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

/// What a data request is answered by a receiver that answers so.
async fn answer_of(bytes: impl Into<Vec<u8>>) -> DataRequestAnswer {
    let receiver = Receiver::answering(bytes).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    handed_on(&sender.deliver(&data_request(0)).await).1
}
