//! A network for one test, and what tests do with it.

use std::cell::Cell;
use std::future::Future;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use erawan::context::Role;
use erawan::devnet::apps::{ApiClient, Apps, Totals};
use erawan::devnet::keys::SigningKeys;
use erawan::devnet::network::{Network, NetworkOptions, NodeProcess, StoreOption};
use erawan::devnet::process::Process;
use erawan::devnet::redis_server::{self, Durability, RedisServer};
use erawan::devnet::{demo, ports};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

#[path = "../support/prepared_keys.rs"]
mod prepared_keys;

/// Longest wait for anything; only a test that fails waits this long.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Requests a second, at most, while something is broken: however fast the
/// machine, the load lasts as long as the fault.
pub const PACE: f64 = 15.0;
/// Requests made after a fault, to see that it is over.
const AFTERWARDS: u64 = 15;
/// How often messages that nobody received are repeated; every minute in life.
const RETRANSMIT: Duration = Duration::from_secs(3);
/// Namespace and identifier of a person.
pub const IDENTITY: &str = "citizen_id/1000000000017";
/// Networks at a time, unless `TEST_NETWORKS` says how many: each has ten processes.
const NETWORKS: u32 = 4;

static COUNT: LazyLock<u32> = LazyLock::new(|| {
    let set = std::env::var("TEST_NETWORKS").ok();
    set.map_or(NETWORKS, |set| set.parse().expect("a number"))
});

static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(*COUNT as usize));

/// Waits for a place among the networks that may run.
pub async fn place() -> SemaphorePermit<'static> {
    places(1).await
}

async fn places(count: u32) -> SemaphorePermit<'static> {
    // What tests read of stores has them.
    erawan::node::kinds::give();
    PLACES.acquire_many(count).await.unwrap()
}

/// The program under test.
pub fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_erawan").into()
}

/// Where nodes keep jobs and state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Store {
    Embedded,
    Redis,
}

/// A running network. A test that fails leaves its folder behind.
pub struct Net {
    pub network: Network,
    pub redis: Option<RedisServer>,
    _place: SemaphorePermit<'static>,
}

impl Net {
    /// `rp1`, `idp1` and `as1`, all ready; without workers they are standalone.
    pub async fn start(store: Store, workers: usize) -> Self {
        Self::with(store, workers, |_| {}).await.all_ready().await
    }

    /// The same with a standby for every master.
    pub async fn with_standbys() -> Self {
        let net = Self::with(Store::Redis, 2, |options| options.masters = 2).await;
        net.all_ready().await
    }

    /// A call to one node needs the others: an RP finds no IdP that has not
    /// told the ledger its address yet.
    pub async fn all_ready(self) -> Self {
        for node in &self.network.nodes {
            ready(node.api_urls()).await;
        }
        self
    }

    /// The same with other options; nodes may not be ready yet.
    pub async fn with(
        store: Store,
        workers: usize,
        change: impl FnOnce(&mut NetworkOptions),
    ) -> Self {
        Self::at(place().await, store, workers, change).await
    }

    /// The only network that runs; nodes may not be ready yet.
    pub async fn alone(store: Store, workers: usize) -> Self {
        Self::at(places(*COUNT).await, store, workers, |_| {}).await
    }

    async fn at(
        place: SemaphorePermit<'static>,
        store: Store,
        workers: usize,
        change: impl FnOnce(&mut NetworkOptions),
    ) -> Self {
        let redis = (store == Store::Redis).then(|| {
            let options = redis_server::Options {
                durability: Durability::Always,
                ..Default::default()
            };
            RedisServer::start(options).unwrap()
        });
        let mut options = NetworkOptions {
            binary: Some(binary()),
            workers,
            store: match &redis {
                None => StoreOption::Embedded,
                Some(redis) => StoreOption::RedisAt {
                    host: "127.0.0.1".to_owned(),
                    port: redis.port(),
                    password: None,
                },
            },
            log_level: "debug".to_owned(),
            retransmit: RETRANSMIT,
            ..NetworkOptions::default()
        };
        change(&mut options);
        if options.directory.is_none() && options.signing == SigningKeys::Rsa {
            let folder = tempfile::Builder::new().prefix("erawan-").tempdir();
            let folder = folder.unwrap().keep();
            prepared_keys::put_into(&folder);
            options.directory = Some(folder);
        }
        let mut network = Network::start(options).await.unwrap();
        network.keep_directory();
        Self {
            network,
            redis,
            _place: place,
        }
    }

    /// The applications, ready to make requests.
    pub async fn apps(&self) -> Apps {
        let targets = demo::targets_of(&self.network, "bank_statement").unwrap();
        Apps::start(targets).await.unwrap()
    }

    /// Processes of a node: the master (or standalone) first.
    pub fn processes(&mut self, role: Role) -> &mut Vec<NodeProcess> {
        let mut nodes = self.network.nodes.iter_mut();
        let node = nodes.find(|node| node.role == role);
        &mut node.unwrap().processes
    }

    /// Base URL of one of a node's API processes.
    pub fn api(&self, role: Role) -> String {
        self.network.node(role).unwrap().api_urls().pop().unwrap()
    }

    /// Nothing has ended that was not told to; then stops everything.
    pub async fn end(self, apps: Apps) {
        apps.stop().await;
        self.close().await;
    }

    /// The same without applications.
    pub async fn close(mut self) {
        let ended = self.network.ended();
        assert!(ended.is_empty(), "ended by themselves: {ended:?}");
        let directory = self.network.directory.clone();
        self.network.stop().await;
        std::fs::remove_dir_all(directory).unwrap();
    }
}

/// Every role with a node.
pub const ROLES: [Role; 3] = [Role::Rp, Role::Idp, Role::As];

/// Kills with SIGKILL.
pub async fn kill(part: &mut NodeProcess) {
    part.process.kill().await;
}

/// Starts the only process of a node again with other settings; all nodes are
/// ready then.
pub async fn restart_one(net: &mut Net, role: Role, settings: &[(&str, &str)]) {
    let part = &mut net.processes(role)[0];
    let mut plan = part.process.plan().clone();
    let settings = settings.iter();
    plan.environment
        .extend(settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    kill(part).await;
    part.process = Process::start(plan).unwrap();
    for role in ROLES {
        ready(vec![net.api(role)]).await;
    }
}

/// Starts a process again as it was.
pub fn start_again(part: &mut NodeProcess) {
    part.process = Process::start(part.process.plan().clone()).unwrap();
}

/// Another worker like this one, on ports of its own.
pub fn another(worker: &NodeProcess, name: &str) -> NodeProcess {
    let mut plan = worker.process.plan().clone();
    let (api, metrics) = (free_port(), free_port());
    for (variable, value) in &mut plan.environment {
        match variable.as_str() {
            "SERVER_PORT" => *value = api.to_string(),
            "PROMETHEUS_SERVER_PORT" => *value = metrics.to_string(),
            _ => {}
        }
    }
    plan.log.set_file_name(format!("{name}.log"));
    plan.name = name.to_owned();
    NodeProcess {
        kind: worker.kind,
        process: Process::start(plan).unwrap(),
        api: Some(format!("http://127.0.0.1:{api}")),
        metrics: format!("http://127.0.0.1:{metrics}/metrics"),
        dashboard: None,
    }
}

pub fn free_port() -> u16 {
    ports::free().unwrap()
}

/// Waits until something is so.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl FnMut() -> F) {
    assert!(within(PATIENCE, condition).await, "never: {what}");
}

/// Whether something becomes so in time.
pub async fn within<F: Future<Output = bool>>(
    patience: Duration,
    mut condition: impl FnMut() -> F,
) -> bool {
    let deadline = Instant::now() + patience;
    while !condition().await {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
    true
}

/// Waits until so many requests have been verified.
pub async fn verified(apps: &Apps, requests: u64) {
    let enough = || async { apps.totals().verified >= requests };
    eventually("enough requests are verified", enough).await;
}

/// Makes requests, ten at a time, and waits for all.
pub async fn drive(apps: &Apps, requests: u64) {
    apps.drive(requests, 10, |_| {}).await;
}

/// Makes requests, ten at a time, for as long as the faults go on and a few
/// more; all of them must end as they should.
pub async fn under_load(apps: &Apps, faults: impl Future<Output = ()>) {
    let requests = load_during(apps, faults).await;
    assert_all_verified(apps, requests);
}

/// The same without a look at the ends; how many requests were made in all.
pub async fn load_during(apps: &Apps, faults: impl Future<Output = ()>) -> u64 {
    let last = Cell::new(u64::MAX);
    let load = apps.drive_while(10, PACE, |begun| begun >= last.get(), |_| {});
    let faults = async {
        faults.await;
        last.set(apps.begun() + AFTERWARDS);
    };
    tokio::join!(load, faults);
    apps.begun()
}

/// All of them came to their end as they should.
pub fn assert_all_verified(apps: &Apps, requests: u64) -> Totals {
    let totals = apps.totals();
    assert_eq!(totals.errors, Vec::<String>::new());
    let counts = (totals.accepted, totals.completed, totals.verified);
    assert_eq!(counts, (requests, requests, requests));
    totals
}

/// A client that neither repeats calls nor keeps connections.
pub fn plain_client() -> Client {
    let builder = Client::builder().pool_max_idle_per_host(0).no_proxy();
    builder.timeout(Duration::from_secs(30)).build().unwrap()
}

/// A call to an RP's node with a store write behind it.
pub async fn call_that_writes(api: &str) -> reqwest::Result<Response> {
    let (_, body) = unanswered_request();
    let url = format!("{api}/v6/rp/requests/{IDENTITY}");
    plain_client().post(url).json(&body).send().await
}

/// Waits for a 503 with `Retry-After` from an RP's node to a call that writes.
pub async fn told_to_try_later(api: &str) {
    let is_told = || async {
        let Ok(answer) = call_that_writes(api).await else {
            return false;
        };
        let seconds = answer.headers().get("retry-after").cloned();
        let seconds = seconds.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        answer.status() == 503 && seconds.is_some_and(|seconds| seconds > 0)
    };
    eventually("503 with Retry-After", is_told).await;
}

/// What a process says of itself under `/health` or `/ready`; null while it
/// cannot be asked.
pub async fn ask(part: &NodeProcess, path: &str) -> Value {
    let url = part.metrics.replace("/metrics", path);
    match plain_client().get(url).send().await {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(_) => Value::Null,
    }
}

/// Whether a list of an answer has a line with these words.
pub fn has_line(answer: &Value, list: &str, words: &str) -> bool {
    let lines = answer[list].as_array().into_iter().flatten();
    lines
        .filter_map(Value::as_str)
        .any(|line| line.contains(words))
}

/// Waits until `/ready` gives this reason against itself.
pub async fn is_unready(part: &NodeProcess, words: &str) {
    let so = || async {
        let answer = ask(part, "/ready").await;
        answer["ready"] == false && has_line(&answer, "reasons", words)
    };
    let name = part.process.name();
    eventually(&format!("{name} is not ready: {words}"), so).await;
}

/// Waits until it is ready and has nothing to say.
pub async fn is_well(part: &NodeProcess) {
    let so = || async {
        let answer = ask(part, "/ready").await;
        answer["ready"] == true && answer["notices"] == json!([])
    };
    eventually(&format!("{} is well", part.process.name()), so).await;
}

/// Sum of a metric of a process; `None` while it cannot be asked.
pub async fn metric(part: &NodeProcess, name: &str) -> Option<f64> {
    let page = plain_client().get(&part.metrics).send().await.ok()?;
    let page = page.text().await.ok()?;
    let is_it = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']))
    };
    let values = page.lines().filter(is_it);
    let values = values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    Some(values.sum())
}

/// Jobs a process has run, by its metrics; 0 while it cannot be asked.
pub async fn jobs_run(part: &NodeProcess) -> u64 {
    metric(part, "erawan_jobs_total").await.unwrap_or(0.0) as u64
}

/// A request of mode 1 that nobody answers: reference id and body.
pub fn unanswered_request() -> (String, Value) {
    let reference = format!("test-{}", uuid::Uuid::new_v4());
    let body = json!({
        "reference_id": reference,
        "callback_url": "http://127.0.0.1:1/nobody",
        "mode": 1,
        "idp_id_list": ["idp1"],
        "data_request_list": [],
        "request_message": "please",
        "min_ial": 1.1,
        "min_aal": 1,
        "min_idp": 1,
        "request_timeout": 86400,
    });
    (reference, body)
}

/// Waits until every API process of this node takes calls.
pub async fn ready(urls: Vec<String>) {
    let client = ApiClient::new(urls).unwrap();
    client.wait_until_ready(PATIENCE).await.unwrap();
}

/// Waits until no node has anything to do.
pub async fn all_idle(net: &Net) {
    let are_idle = || async {
        for api in net.network.nodes.iter().flat_map(|node| node.api_urls()) {
            if busy(&api).await != Some(0) {
                return false;
            }
        }
        true
    };
    eventually("the nodes have nothing to do", are_idle).await;
}

/// What a node still has to do for others; `None` if it does not say.
async fn busy(api: &str) -> Option<u64> {
    let mut all = 0;
    for (path, member) in [
        ("num_expected_txs", "n_expected_txs"),
        (
            "num_pending_outbound_mq_messages",
            "n_pending_outbound_mq_messages",
        ),
        ("num_pending_client_callbacks", "n_pending_client_callbacks"),
        (
            "num_processing_inbound_messages",
            "n_processing_inbound_messages",
        ),
    ] {
        let answer = plain_client().get(format!("{api}/{path}")).send().await;
        let counted: Value = answer.ok()?.json().await.ok()?;
        all += counted[member].as_u64()?;
    }
    Some(all)
}
