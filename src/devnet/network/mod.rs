//! Starting and stopping a whole network as child processes.

mod options;
mod plan;
mod stores;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use options::{NetworkOptions, SetUp, StoreOption};
use plan::{NodePlan, Plans, Ports, Surroundings, environment, plan_nodes};

use super::apps::ApiClient;
use super::genesis::{self, Member, NDID};
use super::hand::{Hand, NdidNode};
use super::keys::{GeneratedKeys, SigningKeys};
use super::process::{Process, ProcessSpec};
use super::redis_server::{self, RedisServer};
use super::switch::Switch;
use crate::context::Role;
use crate::ledger::rpc::RpcOptions;
use crate::ledger::{Ledger, LedgerClient};

const LOCAL: &str = "127.0.0.1";
const START_PATIENCE: Duration = Duration::from_secs(30);
/// For a whole node, on a machine that may be busy.
const NDID_PATIENCE: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(10);
/// More than `SHUTDOWN_GRACE_MS`.
const NODE_STOP_GRACE: Duration = Duration::from_secs(35);

/// A process of a node that serves metrics.
pub struct NodeProcess {
    /// `master`, `worker` or `standalone`.
    pub kind: &'static str,
    pub process: Process,
    /// Base URL of its API, unless it is a master.
    pub api: Option<String>,
    /// URL of its metrics.
    pub metrics: String,
    /// URL of its dashboard, if it has one.
    pub dashboard: Option<String>,
}

/// A node with its processes.
pub struct NetworkNode {
    pub node_id: String,
    pub role: Role,
    /// Address of its MQ service (gRPC).
    pub mq: String,
    /// Addresses of its masters (gRPC); none of a standalone node.
    pub masters: Vec<String>,
    /// Masters or standalone first.
    pub processes: Vec<NodeProcess>,
}

impl NetworkNode {
    /// Base URLs of its API.
    pub fn api_urls(&self) -> Vec<String> {
        self.processes
            .iter()
            .filter_map(|process| process.api.clone())
            .collect()
    }
}

/// A node without processes of its own: a proxy works for it.
pub struct ProxiedNode {
    pub node_id: String,
    pub role: Role,
    /// Id of the proxy.
    pub proxy: String,
}

/// What a service of the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// The development ledger.
    Ledger,
    /// A node's message queue service.
    MessageQueue,
}

/// What a process of the network is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessGroup {
    /// Masters, workers, standalone nodes.
    Nodes,
    /// What the nodes use.
    Service(ServiceKind),
    /// A Redis server started for the network.
    Redis,
}

/// What the nodes use, beside Redis.
pub struct NetworkService {
    /// What it is.
    pub kind: ServiceKind,
    /// `host:port` where it listens.
    pub address: String,
    /// The process; it keeps what it must under the network's folder.
    pub process: Process,
}

/// A running network. Dropping it kills what still runs.
pub struct Network {
    pub nodes: Vec<NetworkNode>,
    /// The nodes that proxies work for.
    pub behind: Vec<ProxiedNode>,
    /// Ledger and message queue services.
    pub services: Vec<NetworkService>,
    /// The Redis server started for the network.
    pub redis: Option<RedisServer>,
    /// `host:port` of the ledger's RPC.
    pub ledger: String,
    /// `host:port` of a second full node of the same chain, which is behind.
    pub second_ledger: Option<String>,
    /// Node ids, and what leads their processes to the ledger.
    pub ledger_switches: Vec<(String, Switch)>,
    /// Where state, keys and logs are.
    pub directory: PathBuf,
    /// Where this machine reaches what listens at `bind`.
    host: IpAddr,
    bind: IpAddr,
    binary: Option<PathBuf>,
    store: StoreOption,
    temporary: Option<TempDir>,
}

/// Role of a development node, from its id.
///
/// # Errors
/// When the id does not begin with `rp`, `idp`, `as` or `proxy`, and is not [`NDID`].
pub fn role_of(node_id: &str) -> io::Result<Role> {
    if node_id == NDID {
        return Ok(Role::Ndid);
    }
    let (proxy, own) = match node_id.split_once('_') {
        Some((proxy, own)) => (Some(proxy), own),
        None => (None, node_id),
    };
    let named = |name: &str| Role::parse(name.trim_end_matches(|c: char| c.is_ascii_digit()));
    match (named(own), proxy.map(named)) {
        (Some(role @ (Role::Rp | Role::Idp | Role::As)), None | Some(Some(Role::Proxy)))
        | (Some(role @ Role::Proxy), None) => Ok(role),
        _ => Err(io::Error::other(format!(
            "node id {node_id:?}: use rp, idp, as or proxy followed by a number, or ndid1; for example \
             idp2, or proxy1_idp4 for a node behind proxy1"
        ))),
    }
}

impl Network {
    /// Starts everything and waits until the ledger and the message queue
    /// services answer; the nodes' APIs may still be starting.
    ///
    /// # Errors
    /// When something cannot be started; whatever had been started is stopped.
    pub async fn start(options: NetworkOptions) -> io::Result<Self> {
        options.check()?;
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
        let mut ports = Ports::counted_from(options.base_port);
        let ledger_port = ports.pick(0)?;
        let second_port = ports.pick(1)?;
        let plans = plan_nodes(&options, &directory, &mut ports)?;
        drop(ports);
        let mut network = Network {
            nodes: Vec::new(),
            behind: Vec::new(),
            ledger: SocketAddr::new(options.host(), ledger_port).to_string(),
            host: options.host(),
            bind: options.bind,
            second_ledger: None,
            ledger_switches: Vec::new(),
            directory,
            binary: options.binary.clone(),
            store: options.store.clone(),
            services: Vec::new(),
            redis: None,
            temporary,
        };
        network.start_ledger(&options, ledger_port).await?;
        let members = members(&plans);
        network.make_keys(&options, &members).await?;
        let client = LedgerClient::start(RpcOptions::new(network.host.to_string(), ledger_port, 1));
        wait_until_known(&client).await?;
        let begins = options.set_up != SetUp::Nobody && !genesis::is_ready(client.as_ref()).await?;
        if begins && options.set_up == SetUp::WithKey {
            let hand = network.key_of_ndid(client.as_ref())?;
            network.set_up_chain(&options, hand, &members).await?;
        }
        if let Some(lag) = options.second_ledger {
            network
                .start_second_ledger(ledger_port, second_port, lag)
                .await?;
        }
        network.start_redis(&options).await?;
        for plan in &plans.nodes {
            network.start_mq(&options, plan)?;
        }
        for plan in plans.behind {
            network.behind.push(ProxiedNode {
                node_id: plan.node_id,
                role: plan.role,
                proxy: plan.proxy,
            });
        }
        let (ndid, others): (Vec<NodePlan>, Vec<NodePlan>) = plans
            .nodes
            .into_iter()
            .partition(|plan| plan.role == Role::Ndid);
        for plan in ndid {
            network.add_node(&options, plan, ledger_port).await?;
        }
        if begins && options.set_up == SetUp::ByNdid {
            let hand = network.node_of_ndid(options.signing).await?;
            network.set_up_chain(&options, hand, &members).await?;
        }
        for plan in others {
            network.add_node(&options, plan, ledger_port).await?;
        }
        Ok(network)
    }

    /// Where a node's message queue service writes down what came, if it does.
    pub fn message_record(&self, node_id: &str) -> PathBuf {
        let folder = self.directory.join("logs");
        folder.join(format!("{node_id}-mq.messages.jsonl"))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join("logs").join(format!("{name}.log"))
    }

    async fn start_ledger(&mut self, options: &NetworkOptions, port: u16) -> io::Result<()> {
        let directory = self.directory.join("ledger");
        std::fs::create_dir_all(&directory)?;
        let mut arguments = vec![
            "devnet-ledger".to_owned(),
            "--bind".to_owned(),
            self.bind.to_string(),
            "--port".to_owned(),
            port.to_string(),
            "--directory".to_owned(),
            directory.display().to_string(),
        ];
        if options.identities > 0 {
            arguments.extend(["--identities".to_owned(), options.identities.to_string()]);
        }
        if let Some(pause) = options.empty_blocks_every {
            arguments.extend(["--empty-every-ms".to_owned(), pause.as_millis().to_string()]);
        }
        self.start_service(ServiceKind::Ledger, "ledger", port, arguments)?;
        let address = SocketAddr::new(self.host, port);
        wait_for(address, "the development ledger", &mut self.services).await
    }

    async fn start_second_ledger(&mut self, first: u16, port: u16, lag: u64) -> io::Result<()> {
        let arguments = vec![
            "devnet-ledger".to_owned(),
            "--bind".to_owned(),
            self.bind.to_string(),
            "--port".to_owned(),
            port.to_string(),
            "--follow-port".to_owned(),
            first.to_string(),
            "--lag".to_owned(),
            lag.to_string(),
        ];
        self.start_service(ServiceKind::Ledger, "ledger2", port, arguments)?;
        let address = SocketAddr::new(self.host, port);
        self.second_ledger = Some(address.to_string());
        wait_for(address, "the second ledger", &mut self.services).await
    }

    /// Returns the port that leads to the ledger.
    async fn start_switch(&mut self, node_id: &str) -> io::Result<u16> {
        let switch = Switch::start(0, self.ledger.clone()).await?;
        let port = switch.port();
        self.ledger_switches.push((node_id.to_owned(), switch));
        Ok(port)
    }

    async fn add_node(
        &mut self,
        options: &NetworkOptions,
        plan: NodePlan,
        ledger_port: u16,
    ) -> io::Result<()> {
        let port = match options.ledger_switches {
            true => self.start_switch(&plan.node_id).await?,
            false => ledger_port,
        };
        let node = self.start_node(options, plan, port)?;
        self.nodes.push(node);
        Ok(())
    }

    fn start_service(
        &mut self,
        kind: ServiceKind,
        name: &str,
        port: u16,
        arguments: Vec<String>,
    ) -> io::Result<()> {
        let plan = ProcessSpec {
            name: name.to_owned(),
            binary: self.binary.clone(),
            arguments,
            environment: Vec::new(),
            log: self.log(name),
        };
        self.services.push(NetworkService {
            kind,
            address: SocketAddr::new(self.host, port).to_string(),
            process: Process::start(plan)?,
        });
        Ok(())
    }

    fn keys_of_ndid(&self) -> GeneratedKeys {
        GeneratedKeys::at(&self.directory.join("keys"), NDID)
    }

    /// Makes the key files of all nodes that have none yet.
    async fn make_keys(&self, options: &NetworkOptions, members: &[Member]) -> io::Result<()> {
        let of_members = members.iter().map(|member| member.keys.clone());
        let signing = options.signing;
        let tasks = of_members
            .chain([self.keys_of_ndid()])
            .map(|keys| tokio::task::spawn_blocking(move || keys.ensure(signing)));
        for made in futures_util::future::join_all(tasks).await {
            made.map_err(io::Error::other)??;
        }
        Ok(())
    }

    fn key_of_ndid<'a>(&self, ledger: &'a dyn Ledger) -> io::Result<Hand<'a>> {
        let key = GeneratedKeys::read(&self.keys_of_ndid().signing)?;
        Ok(Hand::Key { ledger, key })
    }

    /// The node of NDID, when it takes calls.
    async fn node_of_ndid(&self, signing: SigningKeys) -> io::Result<Hand<'static>> {
        let node = self.node(Role::Ndid);
        let apis = node.map(NetworkNode::api_urls).unwrap_or_default();
        let Some(api) = apis.first().cloned() else {
            let needed = format!("{NDID} is to set the chain up, and is none of the nodes");
            return Err(io::Error::other(needed));
        };
        let client = ApiClient::new(apis)?;
        client.wait_until_ready(NDID_PATIENCE).await?;
        Ok(Hand::Node(NdidNode::new(api, signing)?))
    }

    async fn set_up_chain(
        &self,
        options: &NetworkOptions,
        hand: Hand<'_>,
        members: &[Member],
    ) -> io::Result<()> {
        genesis::initialise(hand, &self.keys_of_ndid(), options.signing, members).await
    }

    async fn start_redis(&mut self, options: &NetworkOptions) -> io::Result<()> {
        if options.store == StoreOption::Redis {
            let options = redis_server::Options {
                durability: options.durability,
                arguments: options.redis_arguments(),
                ..redis_server::Options::default()
            };
            let start = || RedisServer::start(options);
            let started = tokio::task::spawn_blocking(start).await;
            self.redis = Some(started.map_err(io::Error::other)??);
        }
        Ok(())
    }

    fn start_mq(&mut self, options: &NetworkOptions, plan: &NodePlan) -> io::Result<()> {
        let mut arguments = vec![
            "devnet-mq".to_owned(),
            "--node-id".to_owned(),
            plan.node_id.clone(),
            "--bind".to_owned(),
            self.bind.to_string(),
            "--port".to_owned(),
            plan.mq_grpc.to_string(),
            "--mq-port".to_owned(),
            plan.mq.to_string(),
            "--retransmit-ms".to_owned(),
            options.retransmit.as_millis().to_string(),
        ];
        if options.record_messages {
            let record = self.message_record(&plan.node_id);
            arguments.extend(["--record".to_owned(), record.display().to_string()]);
        }
        let name = format!("{}-mq", plan.node_id);
        self.start_service(ServiceKind::MessageQueue, &name, plan.mq_grpc, arguments)
    }

    fn start_node(
        &self,
        options: &NetworkOptions,
        plan: NodePlan,
        ledger_port: u16,
    ) -> io::Result<NetworkNode> {
        let surroundings = Surroundings {
            directory: &self.directory,
            ledger_port,
            redis_port: self.redis.as_ref().map(RedisServer::port),
        };
        let mut processes = Vec::new();
        for part in &plan.processes {
            let process = ProcessSpec {
                name: part.name.clone(),
                binary: self.binary.clone(),
                arguments: Vec::new(),
                environment: environment(options, &plan, part, &surroundings),
                log: self.log(&part.name),
            };
            processes.push(NodeProcess {
                kind: part.kind,
                process: Process::start(process)?,
                api: part.api.map(|port| format!("http://{LOCAL}:{port}")),
                metrics: format!("http://{LOCAL}:{}/metrics", part.metrics),
                dashboard: part.dashboard.map(|port| format!("http://{LOCAL}:{port}")),
            });
        }
        let masters = plan.processes.iter().filter(|part| part.kind == "master");
        let masters = masters.filter_map(|part| part.master);
        Ok(NetworkNode {
            masters: masters.map(|port| format!("{LOCAL}:{port}")).collect(),
            mq: SocketAddr::new(self.host, plan.mq_grpc).to_string(),
            node_id: plan.node_id,
            role: plan.role,
            processes,
        })
    }

    /// Process ids of everything that runs, by what it is for.
    pub fn pids(&self) -> Vec<(ProcessGroup, u32)> {
        let nodes = self.nodes.iter().flat_map(|node| &node.processes);
        let nodes = nodes.map(|node| (ProcessGroup::Nodes, node.process.pid()));
        let services = self.services.iter();
        let services =
            services.map(|service| (ProcessGroup::Service(service.kind), service.process.pid()));
        let redis = self
            .redis
            .iter()
            .map(|redis| (ProcessGroup::Redis, redis.pid()));
        nodes
            .chain(services)
            .chain(redis)
            .filter_map(|(part, pid)| Some((part, pid?)))
            .collect()
    }

    /// The node with this role, the first one named.
    pub fn node(&self, role: Role) -> Option<&NetworkNode> {
        self.nodes.iter().find(|node| node.role == role)
    }

    /// Id of the first node with this role, also behind a proxy, and base URLs
    /// of the API that serves it.
    pub fn place(&self, role: Role) -> Option<(&str, Vec<String>)> {
        if let Some(node) = self.node(role) {
            return Some((&node.node_id, node.api_urls()));
        }
        let behind = self.behind.iter().find(|node| node.role == role)?;
        let proxy = self
            .nodes
            .iter()
            .find(|node| node.node_id == behind.proxy)?;
        Some((&behind.node_id, proxy.api_urls()))
    }

    /// Names and log files of processes that have ended by themselves.
    pub fn ended(&mut self) -> Vec<(String, PathBuf)> {
        let nodes = self.nodes.iter_mut().flat_map(|node| &mut node.processes);
        let all = nodes
            .map(|node| &mut node.process)
            .chain(self.services.iter_mut().map(|service| &mut service.process));
        all.filter_map(|process| {
            let ended = process.has_ended();
            ended.then(|| (process.name().to_owned(), process.log().to_owned()))
        })
        .collect()
    }

    /// Stops the processes of all nodes and leaves the rest running. Returns
    /// those that did not end as they should, and how.
    pub async fn stop_nodes(&mut self) -> Vec<(String, io::Result<Option<ExitStatus>>)> {
        let nodes = self
            .nodes
            .iter_mut()
            .flat_map(|node| node.processes.drain(..));
        let stops = nodes.map(async |mut node| {
            let name = node.process.name().to_owned();
            (name, node.process.terminate(NODE_STOP_GRACE).await)
        });
        let ends = futures_util::future::join_all(stops).await;
        let is_good = |end: &io::Result<Option<ExitStatus>>| matches!(end, Ok(Some(status)) if status.success());
        ends.into_iter().filter(|(_, end)| !is_good(end)).collect()
    }

    /// Stops every process, nodes first; a temporary folder is removed.
    pub async fn stop(self) {
        let nodes = self.nodes.into_iter().flat_map(|node| node.processes);
        let stops = nodes.map(|node| node.process.stop(STOP_GRACE));
        futures_util::future::join_all(stops).await;
        let stops = self
            .services
            .into_iter()
            .map(|service| service.process.stop(STOP_GRACE));
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

/// Whom NDID registers: it is on the chain itself before the others.
fn members(plans: &Plans) -> Vec<Member> {
    let registered = plans.nodes.iter().filter(|plan| plan.role != Role::Ndid);
    let of_nodes = registered.map(|plan| Member {
        node_id: plan.node_id.clone(),
        role: plan.role,
        keys: plan.keys.clone(),
        proxy: None,
    });
    let behind_proxies = plans.behind.iter().map(|plan| Member {
        node_id: plan.node_id.clone(),
        role: plan.role,
        keys: plan.keys.clone(),
        proxy: Some(plan.proxy.clone()),
    });
    of_nodes.chain(behind_proxies).collect()
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

async fn wait_for(
    address: SocketAddr,
    what: &str,
    services: &mut [NetworkService],
) -> io::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        for NetworkService { process, .. } in services.iter_mut() {
            if process.has_ended() {
                let log = process.log().display();
                return Err(io::Error::other(format!("{what} ended at once; see {log}")));
            }
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(format!(
                "{what} did not start at {address}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
