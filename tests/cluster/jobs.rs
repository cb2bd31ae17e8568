//! `erawan jobs` with real processes: poison, jobs of class once, and operators
//! who decide through a master, through a standalone node, and with nothing
//! running.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use erawan::context::Role;
use erawan::devnet::process::{Process, ProcessSpec};
use erawan::devnet::redis_server::RedisServer;
use erawan::job::{Attempt, Job, NewJob, noop};
use erawan::store::embedded::{self, EmbeddedStore};
use erawan::store::redis::{self, RedisStore};
use erawan::store::{Accept, Accepted, SharedStore};
use serde_json::Value;

use crate::network::*;

pub type Environment = Vec<(String, String)>;

/// Runs `erawan jobs` with a node's environment.
async fn erawan_jobs(environment: &Environment, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binary());
    command.arg("jobs").args(arguments).env_clear();
    command.envs(environment.iter().cloned());
    command.env("USER", "somchai");
    command.output().await.unwrap()
}

/// The answer as JSON; it must have been given.
async fn asked(environment: &Environment, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let output = erawan_jobs(environment, &arguments).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

pub async fn listed(environment: &Environment, filter: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = ["list"].iter().chain(filter).copied().collect();
    let answer = asked(environment, &arguments).await;
    answer["jobs"].as_array().unwrap().clone()
}

async fn accept(store: &SharedStore, jobs: Vec<NewJob>) -> Vec<Job> {
    let accept = Accept {
        jobs,
        ..Accept::default()
    };
    match store.accept(accept).await.unwrap() {
        Accepted::Stored { jobs, .. } => jobs,
        refused => panic!("{refused:?}"),
    }
}

fn noop(key: &str) -> NewJob {
    NewJob::new(noop::NOOP, key, &())
}

/// One that runs whatever its key is.
fn harmless(key: &str) -> NewJob {
    NewJob::new(noop::CHAIN, key, &0u64)
}

/// A job that is parked, and one behind it.
async fn parked_pair(store: &SharedStore, key: &str) -> (Job, Job) {
    let mut jobs = accept(store, vec![noop(key), harmless(key)]).await;
    let (next, parked) = (jobs.pop().unwrap(), jobs.pop().unwrap());
    let attempt = Attempt {
        job: parked.id(),
        number: parked.attempt,
    };
    assert!(store.park(attempt, "for the test").await.unwrap());
    (parked, next)
}

// ---- a whole network

/// The RP's store, while none of its processes runs.
async fn store_of(environment: &Environment, redis: Option<&RedisServer>) -> SharedStore {
    erawan::node::kinds::give();
    let variables: BTreeMap<_, _> = environment.iter().cloned().collect();
    let node_id = variables["NODE_ID"].clone();
    match redis {
        Some(server) => {
            let options = redis::Options {
                host: "127.0.0.1".to_owned(),
                port: server.port(),
                password: None,
                node_id,
            };
            std::sync::Arc::new(RedisStore::connect(options).await.unwrap())
        }
        None => {
            let path = Path::new(&variables["DATA_DIRECTORY_PATH"]).join("erawan.redb");
            let options = embedded::Options { path, node_id };
            std::sync::Arc::new(EmbeddedStore::open(options).unwrap())
        }
    }
}

/// Whether the master, or the standalone node, is there to be asked.
async fn listens(environment: &Environment) -> bool {
    let variables: BTreeMap<_, _> = environment.iter().cloned().collect();
    if variables["MODE"] == "standalone" {
        let path = Path::new(&variables["DATA_DIRECTORY_PATH"]).join("erawan.sock");
        return tokio::net::UnixStream::connect(path).await.is_ok();
    }
    let address = format!("127.0.0.1:{}", variables["MASTER_SERVER_PORT"]);
    tokio::net::TcpStream::connect(address).await.is_ok()
}

async fn operators_decide(store: Store, workers: usize, answers: &str) {
    let mut net = Net::start(store, workers).await;
    let apps = net.apps().await;
    drive(&apps, 2).await;
    for part in net.processes(Role::Rp) {
        kill(part).await;
    }
    let environment = net.processes(Role::Rp)[0]
        .process
        .plan()
        .environment
        .clone();
    let (dropped, after_dropped, retried, after_retried) = {
        let store = store_of(&environment, net.redis.as_ref()).await;
        let (dropped, after_dropped) = parked_pair(&store, "test:dropped").await;
        let (retried, after_retried) = parked_pair(&store, "test:retried").await;
        (dropped, after_dropped, retried, after_retried)
    };

    // Nothing runs: directly on the store.
    let answer = asked(&environment, &["list", "--state", "parked"]).await;
    let by = answer["answered_by"].as_str().unwrap();
    assert!(by.contains("nothing runs"), "{by}");
    assert_eq!(answer["jobs"].as_array().unwrap().len(), 2);
    let id = dropped.id().to_string();
    let done = asked(&environment, &["drop", &id, "--why", "not wanted"]).await;
    assert_eq!(done["operations"][0]["result"], "ended");
    let again = erawan_jobs(&environment, &["drop", &id, "--why", "again"]).await;
    assert_eq!(again.status.code(), Some(2), "it is not there any more");

    for part in net.processes(Role::Rp) {
        start_again(part);
    }
    // Before that, a command would open the store's file itself.
    eventually("the node listens to operators", || listens(&environment)).await;
    // Through the node: a parked job holds up its own key and nothing else.
    let is_blocked = || async {
        let open = erawan_jobs(&environment, &["list", "--key", "test:", "--json"]).await;
        let Ok(answer) = serde_json::from_slice::<Value>(&open.stdout) else {
            return false;
        };
        let by = answer["answered_by"].as_str().unwrap_or_default();
        let jobs = answer["jobs"].as_array().cloned().unwrap_or_default();
        by.contains(answers) && jobs.len() == 2
    };
    eventually("what is behind the dropped job has run", is_blocked).await;
    drive(&apps, 2).await;
    let open = listed(&environment, &["--key", "test:"]).await;
    let states: Vec<_> = open.iter().map(|job| (&job["id"], &job["state"])).collect();
    let id = Value::from(retried.id().to_string());
    let next = Value::from(after_retried.id().to_string());
    let (parked, waits) = (Value::from("parked"), Value::from("open"));
    assert_eq!(states, [(&id, &parked), (&next, &waits)]);
    assert_ne!(next, Value::from(after_dropped.id().to_string()));

    let part = &net.processes(Role::Rp)[0];
    let is_counted = || async { metric(part, "erawan_jobs_parked").await == Some(1.0) };
    eventually("the metrics count the parked job", is_counted).await;

    let id = retried.id().to_string();
    let shown = asked(&environment, &["show", &id]).await;
    assert_eq!(shown["job"]["last_error"], "for the test");
    let refused = erawan_jobs(
        &environment,
        &["retry", next.as_str().unwrap(), "--why", "?"],
    )
    .await;
    assert_eq!(refused.status.code(), Some(2), "it is not parked");
    let done = asked(&environment, &["retry", &id, "--why", "mended"]).await;
    assert_eq!(done["operations"][0]["result"], "open");
    let all_ended = || async { listed(&environment, &["--key", "test:"]).await.is_empty() };
    eventually("both have run", all_ended).await;
    let is_counted = || async { metric(part, "erawan_jobs_parked").await == Some(0.0) };
    eventually("the metrics count no parked job", is_counted).await;

    let audit = asked(&environment, &["audit"]).await;
    let audit = audit["audit"].as_array().unwrap();
    let record: Vec<_> = audit
        .iter()
        .map(|done| {
            (
                done["action"].as_str().unwrap(),
                done["why"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(record, [("drop", "not wanted"), ("retry", "mended")]);
    let who = audit[0]["who"].as_str().unwrap();
    assert!(who.starts_with("somchai@"), "{who}");
    assert_all_verified(&apps, 4);
    net.end(apps).await;
}

#[actix_web::test]
async fn operators_decide_with_a_standalone_node_and_its_file() {
    operators_decide(Store::Embedded, 0, "the node (").await;
}

#[actix_web::test]
async fn operators_decide_with_a_standalone_node_on_redis() {
    operators_decide(Store::Redis, 0, "the node (").await;
}

#[actix_web::test]
async fn operators_decide_with_a_master_and_its_file() {
    operators_decide(Store::Embedded, 1, "the master (").await;
}

#[actix_web::test]
async fn operators_decide_with_a_master_on_redis() {
    operators_decide(Store::Redis, 1, "the master (").await;
}

// ---- the cluster core, with jobs that harm it

struct Core {
    _place: tokio::sync::SemaphorePermit<'static>,
    redis: RedisServer,
    store: SharedStore,
    directory: tempfile::TempDir,
    port: u16,
    _master: Process,
}

impl Core {
    async fn start() -> Self {
        erawan::node::kinds::give();
        let _place = place().await;
        let redis = RedisServer::start(Default::default()).unwrap();
        let options = redis::Options {
            host: "127.0.0.1".to_owned(),
            port: redis.port(),
            password: None,
            node_id: "bench1".to_owned(),
        };
        let store = std::sync::Arc::new(RedisStore::connect(options).await.unwrap());
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let (ports, redis_port) = (port.to_string(), redis.port().to_string());
        let arguments = [
            "--mode",
            "master",
            "--port",
            &ports,
            "--redis-port",
            &redis_port,
        ];
        let master = bench_node(directory.path(), "master", &arguments);
        Self {
            _place,
            redis,
            store,
            directory,
            port,
            _master: master,
        }
    }

    fn starts(&self) -> PathBuf {
        self.directory.path().join("starts")
    }

    fn worker(&self, name: &str, hold: Duration) -> Process {
        let starts = self.starts().display().to_string();
        let (port, redis) = (self.port.to_string(), self.redis.port().to_string());
        let hold = hold.as_millis().to_string();
        let arguments = [
            "--mode",
            "worker",
            "--port",
            &port,
            "--redis-port",
            &redis,
            "--hold-ms",
            &hold,
            "--starts",
            &starts,
        ];
        bench_node(self.directory.path(), name, &arguments)
    }

    /// How often jobs of a key were started.
    fn started(&self, key: &str) -> usize {
        let starts = std::fs::read_to_string(self.starts()).unwrap_or_default();
        starts.lines().filter(|line| line.ends_with(key)).count()
    }

    /// That of a worker of this node.
    fn environment(&self) -> Environment {
        [
            ("NODE_ENV", "development".to_owned()),
            ("MODE", "worker".to_owned()),
            ("NODE_ID", "bench1".to_owned()),
            ("STORE", "redis".to_owned()),
            ("DB_IP", "127.0.0.1".to_owned()),
            ("DB_PORT", self.redis.port().to_string()),
            ("MASTER_SERVER_IP", "127.0.0.1".to_owned()),
            ("MASTER_SERVER_PORT", self.port.to_string()),
            // Not looked into by `erawan jobs`.
            ("SIGNING_PRIVATE_KEY_PATH", binary().display().to_string()),
            (
                "SIGNING_MASTER_PRIVATE_KEY_PATH",
                binary().display().to_string(),
            ),
            (
                "ENCRYPTION_PRIVATE_KEY_PATH",
                binary().display().to_string(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    async fn parked(&self) -> Vec<Value> {
        listed(&self.environment(), &["--state", "parked"]).await
    }
}

fn bench_node(directory: &Path, name: &str, arguments: &[&str]) -> Process {
    let arguments = ["bench-node"].iter().chain(arguments);
    Process::start(ProcessSpec {
        name: name.to_owned(),
        binary: Some(binary()),
        arguments: arguments.map(|argument| (*argument).to_owned()).collect(),
        environment: Vec::new(),
        log: directory.join(format!("{name}.log")),
    })
    .unwrap()
}

#[actix_web::test]
async fn poison_is_parked_with_its_last_error_and_blocks_only_its_own_key() {
    let core = Core::start().await;
    let innocent: Vec<NewJob> = (0..60).map(|n| noop(&format!("innocent{n}"))).collect();
    let mut jobs = vec![
        noop("kill a"),
        harmless("kill a"),
        noop("panic b"),
        harmless("panic b"),
    ];
    jobs.extend(innocent);
    accept(&core.store, jobs).await;
    let hold = Duration::from_millis(20);
    let mut workers: Vec<Process> = (0..2)
        .map(|n| core.worker(&format!("worker{n}"), hold))
        .collect();
    let mut killed = 0;
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    while core.store.counts().await.unwrap().parked < 2 {
        assert!(std::time::Instant::now() < deadline, "never parked");
        for worker in &mut workers {
            if worker.has_ended() {
                killed += 1;
                worker.start_again().unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let counts = core.store.counts().await.unwrap();
    assert_eq!(counts.parked, 2, "the poison and nothing else");
    let only_their_keys = || async { core.store.counts().await.unwrap().open == 4 };
    eventually("everything else has run", only_their_keys).await;
    assert!(killed >= 4, "workers died of it {killed} times");
    assert_eq!(core.started("kill a"), 5);
    // It may have been struck on a worker that died before it began.
    assert!(core.started("panic b") <= 5);

    let environment = core.environment();
    let parked = core.parked().await;
    for (key, error) in [("kill a", "was lost while"), ("panic b", "poison: panic b")] {
        let job = parked.iter().find(|job| job["key"] == key).unwrap();
        assert_eq!(job["strikes"], 5);
        let last_error = job["last_error"].as_str().unwrap();
        assert!(last_error.contains(error), "{last_error}");
        let id = job["id"].as_str().unwrap();
        asked(&environment, &["resolve", id, "--why", "done by hand"]).await;
    }
    let all_ended = || async { core.store.counts().await.unwrap().open == 0 };
    eventually("their keys are free again", all_ended).await;
}

#[actix_web::test]
async fn a_job_of_class_once_whose_worker_dies_is_not_repeated_but_parked() {
    let core = Core::start().await;
    let once = NewJob::new(noop::ONCE, "once c", &());
    let once = accept(&core.store, vec![once]).await.pop().unwrap();
    let mut worker = core.worker("worker0", Duration::from_secs(600));
    eventually("it runs", || async { core.started("once c") == 1 }).await;
    worker.kill().await;
    let _other = core.worker("worker1", Duration::ZERO);
    let is_parked = || async { core.parked().await.len() == 1 };
    eventually("it is parked", is_parked).await;
    let error = core.parked().await[0]["last_error"].clone();
    let error = error.as_str().unwrap().to_owned();
    assert!(error.starts_with("outcome unknown: "), "{error}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(core.started("once c"), 1, "never repeated by itself");

    let id = once.id().to_string();
    asked(
        &core.environment(),
        &["retry", &id, "--why", "it did nothing"],
    )
    .await;
    let all_ended = || async { core.store.counts().await.unwrap().open == 0 };
    eventually("it has run", all_ended).await;
    assert_eq!(core.started("once c"), 2);
}
