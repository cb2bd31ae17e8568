//! Starting and stopping a whole network as child processes.

use std::collections::HashSet;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::genesis::{self, Member, NDID};
use super::keys::{NodeKeys, SigningKeys};
use super::process::{Plan, Process};
use super::redis_server::{self, RedisServer};
use crate::ledger::rpc::RpcOptions;
use crate::ledger::{Ledger, LedgerClient};
use crate::node::Role;

const LOCAL: &str = "127.0.0.1";
const START_PATIENCE: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Ports a node takes when they are counted from a base port.
const PORTS_PER_NODE: u16 = 100;

/// Where the nodes keep jobs and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOption {
    /// A file per node.
    Embedded,
    /// A Redis server started for the network.
    Redis,
    /// A Redis server that somebody else runs.
    RedisAt {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// Password, if it wants one.
        password: Option<String>,
    },
}

impl StoreOption {
    /// `embedded` or `redis`.
    pub fn name(&self) -> &'static str {
        match self {
            StoreOption::Embedded => "embedded",
            StoreOption::Redis | StoreOption::RedisAt { .. } => "redis",
        }
    }
}

/// What kind of network.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// The program of every process; `None`: this same binary.
    pub binary: Option<PathBuf>,
    /// Node ids; the role is in the name (`rp1`, `idp1`, `as1`).
    pub nodes: Vec<String>,
    /// Workers of each node; 0: standalone nodes.
    pub workers: usize,
    /// Where the nodes keep jobs and state.
    pub store: StoreOption,
    /// State of the network; `None`: a temporary folder.
    pub directory: Option<PathBuf>,
    /// First port; `None`: free ones.
    pub base_port: Option<u16>,
    /// What the nodes sign with.
    pub signing: SigningKeys,
    /// `LOG_LEVEL` of the nodes.
    pub log_level: String,
    /// How often message queue services repeat what is not acknowledged.
    pub retransmit: Duration,
}

/// The network of the demo.
impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            binary: None,
            nodes: ["rp1", "idp1", "as1"].map(str::to_owned).to_vec(),
            workers: 2,
            store: StoreOption::Embedded,
            directory: None,
            base_port: None,
            signing: SigningKeys::Rsa,
            log_level: "info".to_owned(),
            retransmit: Duration::from_secs(60),
        }
    }
}

/// A process of a node that serves metrics.
pub struct NodeProcess {
    /// `master`, `worker` or `standalone`.
    pub kind: &'static str,
    /// The process.
    pub process: Process,
    /// Base URL of its API, unless it is a master.
    pub api: Option<String>,
    /// URL of its metrics.
    pub metrics: String,
}

/// A node with its processes.
pub struct Node {
    /// Its id.
    pub node_id: String,
    /// Its role.
    pub role: Role,
    /// Address of its MQ service (gRPC).
    pub mq: String,
    /// Master or standalone first.
    pub processes: Vec<NodeProcess>,
}

impl Node {
    /// Base URLs of its API.
    pub fn api_urls(&self) -> Vec<String> {
        self.processes
            .iter()
            .filter_map(|process| process.api.clone())
            .collect()
    }
}

/// A running network. Dropping it kills what still runs.
pub struct Network {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// `host:port` of the ledger's RPC.
    pub ledger: String,
    /// Where state, keys and logs are.
    pub directory: PathBuf,
    binary: Option<PathBuf>,
    services: Vec<Process>,
    redis: Option<RedisServer>,
    temporary: Option<TempDir>,
}

/// Role of a development node, from its id.
///
/// # Errors
/// When the id does not begin with `rp`, `idp` or `as`.
pub fn role_of(node_id: &str) -> io::Result<Role> {
    let letters = node_id.trim_end_matches(|c: char| c.is_ascii_digit());
    match Role::parse(letters) {
        Some(role @ (Role::Rp | Role::Idp | Role::As)) => Ok(role),
        _ => Err(io::Error::other(format!(
            "node id {node_id:?}: use rp, idp or as followed by a number, for example idp2"
        ))),
    }
}

/// Ports of one network, all chosen before anything listens.
struct Ports {
    base: Option<u16>,
    /// Kept open until all are chosen, so that no port is given twice.
    reserved: Vec<TcpListener>,
}

impl Ports {
    fn pick(&mut self, offset: u16) -> io::Result<u16> {
        if let Some(base) = self.base {
            return base
                .checked_add(offset)
                .ok_or_else(|| io::Error::other("base port too high for this many nodes"));
        }
        let listener = TcpListener::bind((LOCAL, 0))?;
        let port = listener.local_addr()?.port();
        self.reserved.push(listener);
        Ok(port)
    }
}

struct NodePlan {
    node_id: String,
    role: Role,
    keys: NodeKeys,
    mq_grpc: u16,
    mq: u16,
    master: u16,
    /// `(kind, api port, metrics port)`
    processes: Vec<(&'static str, Option<u16>, u16)>,
}

impl Network {
    /// Starts everything and waits until the ledger and the message queue
    /// services answer; the nodes' APIs may still be starting.
    ///
    /// # Errors
    /// When something cannot be started; whatever had been started is stopped.
    pub async fn start(options: NetworkOptions) -> io::Result<Self> {
        let temporary = match options.directory {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("erawan-").tempdir()?),
        };
        let directory = match (&options.directory, &temporary) {
            (Some(directory), _) => directory.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => std::env::temp_dir(),
        };
        std::fs::create_dir_all(directory.join("logs"))?;
        let directory = directory.canonicalize()?;
        let mut ports = Ports {
            base: options.base_port,
            reserved: Vec::new(),
        };
        let ledger_port = ports.pick(0)?;
        let plans = plan_nodes(&options, &directory, &mut ports)?;
        drop(ports);
        let mut network = Network {
            nodes: Vec::new(),
            ledger: format!("{LOCAL}:{ledger_port}"),
            directory,
            binary: options.binary.clone(),
            services: Vec::new(),
            redis: None,
            temporary,
        };
        network.start_ledger(ledger_port).await?;
        network
            .initialise_chain(&options, &plans, ledger_port)
            .await?;
        network.start_redis(&options).await?;
        for plan in &plans {
            network.start_mq(&options, plan)?;
        }
        for plan in plans {
            let node = network.start_node(&options, plan, ledger_port)?;
            network.nodes.push(node);
        }
        Ok(network)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join("logs").join(format!("{name}.log"))
    }

    async fn start_ledger(&mut self, port: u16) -> io::Result<()> {
        let directory = self.directory.join("ledger");
        std::fs::create_dir_all(&directory)?;
        let arguments = vec![
            "devnet-ledger".to_owned(),
            "--port".to_owned(),
            port.to_string(),
            "--directory".to_owned(),
            directory.display().to_string(),
        ];
        self.start_service("ledger", arguments)?;
        wait_for_port(port, "the development ledger", &mut self.services).await
    }

    fn start_service(&mut self, name: &str, arguments: Vec<String>) -> io::Result<()> {
        let plan = Plan {
            name: name.to_owned(),
            binary: self.binary.clone(),
            arguments,
            environment: Vec::new(),
            log: self.log(name),
        };
        self.services.push(Process::start(plan)?);
        Ok(())
    }

    async fn initialise_chain(
        &mut self,
        options: &NetworkOptions,
        plans: &[NodePlan],
        port: u16,
    ) -> io::Result<()> {
        let keys_directory = self.directory.join("keys");
        let ndid = NodeKeys::at(&keys_directory, NDID);
        let mut all: Vec<NodeKeys> = plans.iter().map(|plan| plan.keys.clone()).collect();
        all.push(ndid.clone());
        let signing = options.signing;
        let tasks = all
            .into_iter()
            .map(|keys| tokio::task::spawn_blocking(move || keys.ensure(signing)));
        for made in futures_util::future::join_all(tasks).await {
            made.map_err(io::Error::other)??;
        }
        let members: Vec<Member> = plans
            .iter()
            .map(|plan| Member {
                node_id: plan.node_id.clone(),
                role: plan.role,
                keys: plan.keys.clone(),
            })
            .collect();
        let client = LedgerClient::start(RpcOptions::new(LOCAL, port, 1));
        wait_until_known(&client).await?;
        genesis::initialise(client.as_ref(), &ndid, signing, &members).await
    }

    async fn start_redis(&mut self, options: &NetworkOptions) -> io::Result<()> {
        if options.store == StoreOption::Redis {
            let start = || RedisServer::start(redis_server::Options::default());
            let started = tokio::task::spawn_blocking(start).await;
            self.redis = Some(started.map_err(io::Error::other)??);
        }
        Ok(())
    }

    fn start_mq(&mut self, options: &NetworkOptions, plan: &NodePlan) -> io::Result<()> {
        let arguments = vec![
            "devnet-mq".to_owned(),
            "--node-id".to_owned(),
            plan.node_id.clone(),
            "--port".to_owned(),
            plan.mq_grpc.to_string(),
            "--mq-port".to_owned(),
            plan.mq.to_string(),
            "--retransmit-ms".to_owned(),
            options.retransmit.as_millis().to_string(),
        ];
        self.start_service(&format!("{}-mq", plan.node_id), arguments)
    }

    fn start_node(
        &self,
        options: &NetworkOptions,
        plan: NodePlan,
        ledger_port: u16,
    ) -> io::Result<Node> {
        let mut processes = Vec::new();
        for (index, (kind, api_port, metrics_port)) in plan.processes.iter().enumerate() {
            let name = match *kind {
                "worker" => format!("{}-worker{index}", plan.node_id),
                kind => format!("{}-{kind}", plan.node_id),
            };
            let mut environment = self.environment(options, &plan, ledger_port);
            let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
            set("MODE", (*kind).to_owned());
            set("PROMETHEUS_SERVER_PORT", metrics_port.to_string());
            if let Some(port) = api_port {
                set("SERVER_PORT", port.to_string());
            }
            let log = self.log(&name);
            let process = Plan {
                name,
                binary: self.binary.clone(),
                arguments: Vec::new(),
                environment,
                log,
            };
            processes.push(NodeProcess {
                kind,
                process: Process::start(process)?,
                api: api_port.map(|port| format!("http://{LOCAL}:{port}")),
                metrics: format!("http://{LOCAL}:{metrics_port}/metrics"),
            });
        }
        let mq = format!("{LOCAL}:{}", plan.mq_grpc);
        Ok(Node {
            node_id: plan.node_id,
            role: plan.role,
            mq,
            processes,
        })
    }

    fn environment(
        &self,
        options: &NetworkOptions,
        plan: &NodePlan,
        ledger_port: u16,
    ) -> Vec<(String, String)> {
        let path = |path: &Path| path.display().to_string();
        let data = self.directory.join("data").join(&plan.node_id);
        let mut variables = vec![
            ("NODE_ENV", "development".to_owned()),
            ("NODE_ID", plan.node_id.clone()),
            ("LOG_LEVEL", options.log_level.clone()),
            ("LOG_PRETTY_PRINT", "false".to_owned()),
            ("TENDERMINT_IP", LOCAL.to_owned()),
            ("TENDERMINT_PORT", ledger_port.to_string()),
            ("TENDERMINT_WS_CONNECTIONS", "2".to_owned()),
            ("MQ_CONTACT_IP", LOCAL.to_owned()),
            ("MQ_BINDING_PORT", plan.mq.to_string()),
            ("MQ_SERVICE_SERVER_IP", LOCAL.to_owned()),
            ("MQ_SERVICE_SERVER_PORT", plan.mq_grpc.to_string()),
            ("MASTER_SERVER_IP", LOCAL.to_owned()),
            ("MASTER_SERVER_PORT", plan.master.to_string()),
            ("DATA_DIRECTORY_PATH", path(&data)),
            ("SIGNING_PRIVATE_KEY_PATH", path(&plan.keys.signing)),
            ("SIGNING_MASTER_PRIVATE_KEY_PATH", path(&plan.keys.master)),
            ("ENCRYPTION_PRIVATE_KEY_PATH", path(&plan.keys.encryption)),
            ("PROMETHEUS", "true".to_owned()),
            ("ENABLE_CONFIG_HTTP_ROUTE_PATH", "true".to_owned()),
            ("ENABLE_TELEMETRY_LOGGING", "false".to_owned()),
            ("STORE", options.store.name().to_owned()),
        ];
        match (&options.store, &self.redis) {
            (
                StoreOption::RedisAt {
                    host,
                    port,
                    password,
                },
                _,
            ) => {
                variables.push(("DB_IP", host.clone()));
                variables.push(("DB_PORT", port.to_string()));
                variables.extend(password.clone().map(|password| ("DB_PASSWORD", password)));
            }
            (_, Some(redis)) => {
                variables.push(("DB_IP", LOCAL.to_owned()));
                variables.push(("DB_PORT", redis.port().to_string()));
            }
            _ => {}
        }
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The node with this role, the first one named.
    pub fn node(&self, role: Role) -> Option<&Node> {
        self.nodes.iter().find(|node| node.role == role)
    }

    /// Names and log files of processes that have ended by themselves.
    pub fn ended(&mut self) -> Vec<(String, PathBuf)> {
        let nodes = self.nodes.iter_mut().flat_map(|node| &mut node.processes);
        let all = nodes
            .map(|node| &mut node.process)
            .chain(&mut self.services);
        all.filter_map(|process| {
            let ended = process.has_ended();
            ended.then(|| (process.name().to_owned(), process.log().to_owned()))
        })
        .collect()
    }

    /// Stops every process, nodes first; a temporary folder is removed.
    pub async fn stop(self) {
        let nodes = self.nodes.into_iter().flat_map(|node| node.processes);
        let stops = nodes.map(|node| node.process.stop(STOP_GRACE));
        futures_util::future::join_all(stops).await;
        let stops = self
            .services
            .into_iter()
            .map(|process| process.stop(STOP_GRACE));
        futures_util::future::join_all(stops).await;
        drop(self.redis);
        drop(self.temporary);
    }

    /// Leaves the temporary folder behind (`--keep`).
    pub fn keep_directory(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // The path is known from `directory`.
            let _ = temporary.keep();
        }
    }
}

fn plan_nodes(
    options: &NetworkOptions,
    directory: &Path,
    ports: &mut Ports,
) -> io::Result<Vec<NodePlan>> {
    let mut names = HashSet::new();
    let mut plans = Vec::new();
    for (index, node_id) in options.nodes.iter().enumerate() {
        if !names.insert(node_id) {
            return Err(io::Error::other(format!(
                "node id {node_id:?} is given twice"
            )));
        }
        let role = role_of(node_id)?;
        let first = u16::try_from(index + 1)
            .ok()
            .and_then(|number| number.checked_mul(PORTS_PER_NODE))
            .ok_or_else(|| io::Error::other("too many nodes"))?;
        let mut processes = Vec::new();
        if options.workers == 0 {
            processes.push((
                "standalone",
                Some(ports.pick(first)?),
                ports.pick(first + 50)?,
            ));
        } else {
            processes.push(("master", None, ports.pick(first + 50)?));
            for worker in 0..u16::try_from(options.workers).unwrap_or(u16::MAX).min(40) {
                let api = ports.pick(first + worker)?;
                processes.push(("worker", Some(api), ports.pick(first + 51 + worker)?));
            }
        }
        plans.push(NodePlan {
            node_id: node_id.clone(),
            role,
            keys: NodeKeys::at(&directory.join("keys"), node_id),
            mq_grpc: ports.pick(first + 97)?,
            mq: ports.pick(first + 98)?,
            master: ports.pick(first + 99)?,
            processes,
        });
    }
    Ok(plans)
}

/// Waits until the ledger has told its chain id.
async fn wait_until_known(client: &LedgerClient) -> io::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    while client.chain_id().is_err() {
        if Instant::now() > deadline {
            return Err(io::Error::other("the development ledger does not answer"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn wait_for_port(port: u16, what: &str, processes: &mut [Process]) -> io::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        if tokio::net::TcpStream::connect((LOCAL, port)).await.is_ok() {
            return Ok(());
        }
        for process in processes.iter_mut() {
            if process.has_ended() {
                let log = process.log().display();
                return Err(io::Error::other(format!("{what} ended at once; see {log}")));
            }
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(format!(
                "{what} did not start on port {port}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
