//! A node with a dashboard in this process: a master, two workers, and jobs in
//! every state.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use erawan::access::Tokens;
use erawan::actors::mastership::Term;
use erawan::cluster::{
    Link, Master, MasterHandle, MasterOptions, Worker, WorkerHandle, WorkerOptions,
};
use erawan::dashboard::{self, DashboardHandle, DashboardOptions, LedgerFacts, NodeFacts, Part};
use erawan::dispatch::Options;
use erawan::job::{Commit, Epoch, Job, JobId, Kind, Kinds, Millis, NewJob, Run, Runner};
use erawan::operator::OpenDesk;
use erawan::store::{Accept, Accepted, Store};
use erawan::tls::LinkSecurity;

use crate::memory_store::MemoryStore;

pub const VIEWER: &str = "token-of-the-wallboard-0123";
pub const OPERATOR: &str = "token-of-alice-0123456789";

/// Receivers with deliveries that fail.
pub const DEAD: &str = "callback:https://dead.example";

/// How long a condition may take. Pages take long to draw beside other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something is true.
pub async fn until<F: AsyncFnMut() -> bool>(what: &str, mut is_so: F) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within {PATIENCE:?}: {what}");
}

pub fn kind(name: &str) -> Kind {
    Kinds::given()
        .with_name(name)
        .expect("there is such a kind")
}

/// Ends jobs as their keys say.
struct ByKey;

#[async_trait]
impl Runner for ByKey {
    async fn run(&self, job: &Job) -> Run {
        let key = job.key();
        if key.starts_with(DEAD) {
            return Run::Retry {
                after: Duration::from_secs(3600),
                reason: "connecting to https://dead.example: connection refused".to_owned(),
            };
        }
        if key.contains("poison") && job.attempt == 1 {
            return Run::Park {
                reason: "the payload cannot be read: unexpected end of input".to_owned(),
            };
        }
        if key.contains("refused") && job.attempt == 1 {
            return Run::Commit(Commit::failed("20025: the ledger refused the transaction"));
        }
        let number = job.seq % 40;
        tokio::time::sleep(Duration::from_millis(number)).await;
        Run::Commit(Commit::nothing())
    }
}

/// Who may come in.
pub enum Who {
    /// Those of a file with [`VIEWER`] and [`OPERATOR`].
    Tokens,
    /// Everybody on this machine, as a viewer.
    Viewers,
    /// Everybody on this machine, as this operator.
    Everybody(&'static str),
}

pub struct TestNode {
    pub store: Arc<MemoryStore>,
    pub dashboard: DashboardHandle,
    pub master: MasterHandle,
    workers: Vec<WorkerHandle>,
    _tokens: tempfile::TempDir,
}

impl TestNode {
    pub async fn start(who: Who) -> Self {
        erawan::node::kinds::give();
        let store = Arc::new(MemoryStore::default());
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens");
        let lines = format!("wallboard:viewer:{VIEWER}\nalice:operator:{OPERATOR}\n");
        std::fs::write(&file, lines).unwrap();
        let desk = OpenDesk::watched();
        let dashboard = dashboard::serve(DashboardOptions {
            facts: Arc::new(facts),
            desk: desk.clone(),
            tokens: matches!(who, Who::Tokens).then(|| Tokens::read(&file).unwrap()),
            loopback_operator: match who {
                Who::Everybody(name) => Some(name.to_owned()),
                Who::Tokens | Who::Viewers => None,
            },
            port: 0,
            https: None,
            most_connections: 256,
        });
        let dashboard = dashboard.unwrap();
        desk.store_opened(store.clone());
        let master = Master::start(MasterOptions {
            node_id: "rp1".to_owned(),
            master_id: "rp1-master".to_owned(),
            term: Term::without_end(Epoch(1)),
            listen: None,
            most_links: 4,
            security: LinkSecurity::Open,
            store: store.clone(),
            store_service: None,
            place: None,
            backlog: Arc::default(),
            dispatcher: Options::default(),
        });
        let master = master.await.unwrap();
        desk.leads(master.desk());
        let workers = ["rp1-worker-a", "rp1-worker-b"].map(|name| {
            Worker::start(WorkerOptions {
                node_id: "rp1".to_owned(),
                worker_id: name.to_owned(),
                version: "test".to_owned(),
                run_capacity: 16,
                delivery_capacity: 64,
                store: store.clone(),
                runner: Arc::new(ByKey),
                link: Link::Local(master.port()),
                chain_hook: Arc::new(()),
            })
        });
        for worker in &workers {
            let mut link = worker.link_state();
            link.wait_for(|link| link.connected).await.unwrap();
        }
        Self {
            store,
            dashboard,
            master,
            workers: workers.into(),
            _tokens: directory,
        }
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.dashboard.address().port()).into()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Stores jobs and announces them.
    pub async fn accept(&self, jobs: Vec<NewJob>) -> Vec<Job> {
        let accept = Accept {
            jobs,
            ..Accept::default()
        };
        let Accepted::Stored { jobs, .. } = self.store.accept(accept).await.unwrap() else {
            panic!("nothing refuses it");
        };
        self.master.submit(jobs.clone()).await;
        jobs
    }

    /// A job that is parked.
    pub async fn parked(&self, key: &str) -> JobId {
        let new = NewJob::new(
            kind("rp.request_update"),
            format!("request:poison-{key}"),
            &(),
        );
        let id = self.accept(vec![new]).await[0].id();
        until("it is parked", async || {
            self.store.counts().await.unwrap().parked > 0
                && self.store.parked_ids(99).await.unwrap().contains(&id)
        })
        .await;
        id
    }

    /// A delivery that has failed and waits for its next try.
    pub async fn waiting(&self, order: &str) -> JobId {
        let key = format!("{DEAD} {order}");
        let new = NewJob::new(kind("deliver.callback"), key, &());
        let id = self.accept(vec![new]).await[0].id();
        until("it waits for its next try", async || {
            let jobs = self.store.jobs(&[id]).await.unwrap();
            jobs[0].as_ref().is_some_and(|job| job.tries == 1)
        })
        .await;
        id
    }

    /// Jobs in every state.
    pub async fn fill(&self) {
        for number in 0..3 {
            self.parked(&format!("4f1d2c{number}")).await;
            self.waiting(&format!("4f1d2c{number}")).await;
        }
        let later = Millis::now().after(Duration::from_secs(1800));
        let refused = |number: u32| {
            let key = format!("request:refused-{number}");
            NewJob::new(kind("rp.request_update"), key, &())
        };
        let timer = |number: u32| {
            let key = format!("request:9b{number}");
            NewJob::new(kind("rp.time_out"), key, &()).not_before(later)
        };
        let above = |number: u32| {
            let key = format!("request:7c{number}");
            NewJob::new(kind("rp.request_update"), key, &()).after_height(90_000)
        };
        let jobs = (0..6).map(refused).chain((0..25).map(timer));
        self.accept(jobs.chain((0..4).map(above)).collect()).await;
        until("some have failed", async || {
            self.store.counts().await.unwrap().failed == 6
        })
        .await;
    }

    /// Jobs that end at once.
    pub async fn work(&self, count: u64) {
        let job = |number| {
            let key = format!("request:{:x}", Millis::now().0 + number);
            NewJob::new(kind("rp.request_update"), key, &())
        };
        self.accept((0..count).map(job).collect()).await;
    }

    pub async fn stop(self) {
        self.dashboard.stop().await;
        for worker in self.workers {
            worker.stop().await;
        }
        self.master.stop().await;
    }
}

fn facts() -> NodeFacts {
    let part = |name: &str, trouble: Option<&str>| Part {
        name: name.to_owned(),
        trouble: trouble.map(str::to_owned),
    };
    NodeFacts {
        node_id: "rp1".to_owned(),
        mode: "master".to_owned(),
        role: "master".to_owned(),
        node_role: Some("rp".to_owned()),
        epoch: Some(7),
        master: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: "redis".to_owned(),
        started_at: Millis::now().0 - 7_500_000,
        reasons: Vec::new(),
        notices: vec!["the certificate of the cluster link ends in 12 days".to_owned()],
        parts: vec![part("messages", None), part("message queue service", None)],
        ledger: Some(LedgerFacts {
            chain_id: Some("test-chain-NDID".to_owned()),
            height: 84_211,
            tip: 84_211,
            connected: true,
        }),
    }
}
