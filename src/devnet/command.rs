//! The commands `demo` and `devnet`.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};
use url::Url;

use super::apps::{Apps, Manners, Targets};
use super::chaos;
use super::demo;
use super::first_request;
use super::keys::SigningKeys;
use super::network::{Network, NetworkOptions, StoreOption};
use super::redis_server::RedisServer;
use super::report::Report;
use super::story::{self, Step, Story};
use crate::output;

/// Where the nodes keep jobs and state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreArgument {
    /// A file per node.
    Embedded,
    /// A Redis server.
    Redis,
}

impl StoreArgument {
    /// `embedded` or `redis`.
    pub fn name(self) -> &'static str {
        match self {
            StoreArgument::Embedded => "embedded",
            StoreArgument::Redis => "redis",
        }
    }
}

/// How many blocks the second full node of the ledger is behind.
const LAG: u64 = 2;

#[derive(Debug, Clone, Args)]
pub struct NetworkArguments {
    /// Masters of each node: one works, the others stand by (needs `--store
    /// redis`). Default: 1, or 2 with `--chaos --store redis`.
    #[arg(long)]
    pub masters: Option<usize>,
    /// Workers of each node; 0: standalone nodes.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Where the nodes keep jobs and state.
    #[arg(long, value_enum, default_value = "embedded")]
    pub store: StoreArgument,
    /// With `--store redis`: use this server (`redis://[:password@]host:port`)
    /// instead of starting one.
    #[arg(long)]
    pub redis_url: Option<Url>,
    /// Keys that the nodes sign with.
    #[arg(long, value_enum, default_value = "rsa")]
    pub keys: SigningKeys,
    /// LOG_LEVEL of the nodes.
    #[arg(long, default_value = "info")]
    pub log_level: String,
}

impl NetworkArguments {
    /// The store, checked.
    ///
    /// # Errors
    /// When the URL does not fit.
    pub fn store(&self) -> io::Result<StoreOption> {
        match (self.store, &self.redis_url) {
            (StoreArgument::Embedded, None) => Ok(StoreOption::Embedded),
            (StoreArgument::Embedded, Some(_)) => {
                Err(io::Error::other("--redis-url needs --store redis"))
            }
            (StoreArgument::Redis, None) => Ok(StoreOption::Redis),
            (StoreArgument::Redis, Some(url)) if url.scheme() == "redis" => {
                Ok(StoreOption::RedisAt {
                    host: url.host_str().unwrap_or("127.0.0.1").to_owned(),
                    port: url.port().unwrap_or(6379),
                    password: url.password().map(str::to_owned),
                })
            }
            (StoreArgument::Redis, Some(url)) => Err(io::Error::other(format!(
                "--redis-url {}://...: use redis://[:password@]host:port",
                url.scheme()
            ))),
        }
    }

    /// A network of these nodes.
    ///
    /// # Errors
    /// When an option does not fit.
    pub fn network(&self, nodes: Vec<String>) -> io::Result<NetworkOptions> {
        Ok(NetworkOptions {
            nodes,
            masters: self.masters.unwrap_or(1),
            workers: self.workers,
            store: self.store()?,
            signing: self.keys,
            log_level: self.log_level.clone(),
            second_ledger: Some(LAG),
            ..NetworkOptions::default()
        })
    }
}

/// `erawan demo`
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// Number of requests.
    #[arg(long, default_value_t = 100)]
    pub requests: u64,
    /// Concurrent requests.
    #[arg(long, default_value_t = 10)]
    pub concurrency: usize,
    /// Mode of the requests. In modes 2 and 3 the IdP onboards each user with an
    /// accessor key first, and the RP checks the signatures of its answers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub mode: u8,
    /// Tell one user's life on the platform instead, a line a step: onboarded at
    /// one IdP, at a second by consent, accessor replaced, data requested, mode
    /// upgraded, association revoked.
    #[arg(long, conflicts_with_all = ["rp", "chaos", "requests", "concurrency", "mode"])]
    pub story: bool,
    /// The network.
    #[command(flatten)]
    pub network: NetworkArguments,
    /// Print one JSON object and nothing else on standard output.
    #[arg(long)]
    pub json: bool,
    /// Leave the network running at the end and print its URLs.
    #[arg(long, conflicts_with_all = ["rp", "chaos"])]
    pub keep: bool,
    /// Kill, stop, terminate and restart processes while the requests run, and
    /// then judge whether anything was lost, stuck or done twice. Requests
    /// continue as long as the faults do.
    #[arg(long, conflicts_with = "rp")]
    pub chaos: bool,
    /// With `--chaos`: repeat the faults of this seed. Default: a random seed.
    #[arg(long, requires = "chaos")]
    pub seed: Option<u64>,
    /// With `--chaos`: number of faults.
    #[arg(long, default_value_t = 12)]
    pub kills: usize,
    /// API URL of an RP's node that is running elsewhere; repeat it for several
    /// processes.
    #[arg(long, requires_all = ["idp", "as_"])]
    pub rp: Vec<Url>,
    /// API URL of an IdP's node.
    #[arg(long, requires = "rp")]
    pub idp: Vec<Url>,
    /// API URL of an AS's node.
    #[arg(long = "as", requires = "rp")]
    pub as_: Vec<Url>,
    /// Node id of the IdP.
    #[arg(long, default_value = "idp1")]
    pub idp_id: String,
    /// Node id of the AS.
    #[arg(long, default_value = "as1")]
    pub as_id: String,
    /// Service to ask for.
    #[arg(long, default_value = "bank_statement")]
    pub service: String,
}

/// `erawan devnet`
#[derive(Debug, Clone, Args)]
pub struct DevnetArguments {
    /// Nodes; the role is in the name. `proxy1_idp4` is a node behind `proxy1`.
    /// The network always has `ndid1`.
    #[arg(long, value_delimiter = ',', default_value = "rp1,idp1,as1")]
    pub nodes: Vec<String>,
    /// Keep state here; it survives a restart. Default: a temporary folder.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// First of the ports: the ledger's; each node takes the next hundred.
    #[arg(long, default_value_t = 45000)]
    pub base_port: u16,
    /// Where ledger, message queue services and Redis listen: an address of this
    /// machine, or `0.0.0.0`, so that containers and other machines join.
    #[arg(long, default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// The network.
    #[command(flatten)]
    pub network: NetworkArguments,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Listens for SIGINT and SIGTERM. No signal is missed while nobody waits.
#[derive(Debug)]
pub struct Interruption {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Interruption {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.interrupt.recv() => Signal::SIGINT,
        }
    }
}

/// Resolves at a SIGINT or SIGTERM from now on.
///
/// # Errors
/// When the handlers cannot be installed.
pub async fn interrupted() -> io::Result<Signal> {
    Ok(Interruption::listen()?.next().await)
}

/// Runs `erawan demo`. Success only when every request completed with its data verified.
///
/// # Errors
/// When the network cannot be started or an option does not fit.
pub async fn demo(arguments: DemoArguments) -> io::Result<ExitCode> {
    let mut interruption = Interruption::listen()?;
    if !arguments.rp.is_empty() {
        let base = |urls: &[Url]| {
            urls.iter()
                .map(|url| url.as_str().trim_end_matches('/').to_owned())
                .collect()
        };
        let targets = Targets {
            rp: base(&arguments.rp),
            idp: base(&arguments.idp),
            as_: base(&arguments.as_),
            rp_id: None,
            idp_id: arguments.idp_id.clone(),
            as_id: arguments.as_id.clone(),
            service: arguments.service.clone(),
            mode: arguments.mode,
            users: demo::USERS,
        };
        let report = tokio::select! {
            report = run_apps(&arguments, targets, "unknown") => report?,
            signal = interruption.next() => return Ok(stopped_by(signal)),
        };
        return Ok(Told::Report(Box::new(report)).finish(&arguments));
    }
    let nodes: &[&str] = match arguments.story {
        true => &story::NODES,
        false => &["rp1", "idp1", "as1"],
    };
    let nodes = nodes.iter().copied().map(str::to_owned).collect();
    let mut options = arguments.network.network(nodes)?;
    let chaos = arguments.chaos.then(|| chaos_options(&arguments));
    match chaos {
        Some(_) => chaos::prepare(&mut options, arguments.network.masters),
        None => options.have_ndid(),
    }
    options.check()?;
    if !arguments.json {
        output::note("starting ledger, message queues and nodes ...");
    }
    let store = options.store.name();
    let mut network = tokio::select! {
        network = Network::start(options) => network?,
        signal = interruption.next() => return Ok(stopped_by(signal)),
    };
    let run = async {
        if arguments.story {
            let tell = |step: &Step| {
                if !arguments.json {
                    // The last lines show whether anybody reads them.
                    let _ = output::say(story::line(step));
                }
            };
            return Ok(Told::Story(story::live(&network, tell).await?));
        }
        let mut targets = demo::targets_of(&network, &arguments.service)?;
        targets.mode = arguments.mode;
        if let Some(chaos) = &chaos {
            let report = chaos::run(&mut network, targets, chaos).await?;
            return Ok(Told::Report(Box::new(report)));
        }
        let before = demo::usage(&network);
        let mut report = run_apps(&arguments, targets, store).await?;
        report.nodes = demo::node_reports(&network, &before).await;
        io::Result::Ok(Told::Report(Box::new(report)))
    };
    let outcome = tokio::select! {
        report = run => report,
        signal = interruption.next() => {
            network.stop().await;
            return Ok(stopped_by(signal));
        }
    };
    for (name, log) in network.ended() {
        output::note(format_args!(
            "{name} has ended by itself; see {}",
            log.display()
        ));
        network.keep_directory();
    }
    let told = match outcome {
        Ok(told) => told,
        Err(error) => {
            network.keep_directory();
            output::note(format_args!(
                "logs are in {}",
                network.directory.join("logs").display()
            ));
            network.stop().await;
            return Err(error);
        }
    };
    let code = told.finish(&arguments);
    if code != ExitCode::SUCCESS && (chaos.is_some() || arguments.story) {
        network.keep_directory();
        output::note(format_args!(
            "logs are in {}",
            network.directory.join("logs").display()
        ));
    }
    if arguments.keep {
        output::note(table(&network));
        output::note("running until Ctrl-C");
        interruption.next().await;
    }
    network.stop().await;
    Ok(code)
}

fn chaos_options(arguments: &DemoArguments) -> chaos::Options {
    chaos::Options {
        // Any number will do. It is printed, so that the run can be repeated.
        seed: arguments.seed.unwrap_or_else(rand::random),
        faults: arguments.kills,
        requests: arguments.requests,
        concurrency: arguments.concurrency,
    }
}

async fn run_apps(arguments: &DemoArguments, targets: Targets, store: &str) -> io::Result<Report> {
    let manners = Manners::Harmless { seed: 0 };
    let apps = Apps::start_with(targets, manners).await?;
    let took = demo::drive(&apps, arguments.requests, arguments.concurrency, false).await;
    let report = demo::report(arguments.requests, took, apps.totals(), store);
    apps.stop().await;
    Ok(report)
}

/// The output at the end of a demo.
enum Told {
    Report(Box<Report>),
    Story(Story),
}

impl Told {
    fn finish(&self, arguments: &DemoArguments) -> ExitCode {
        // Both are plain data, so writing them as JSON cannot fail.
        let (json, text, is_success) = match self {
            Self::Report(report) => (
                serde_json::to_string(report).unwrap_or_default(),
                report.table(),
                report.is_success(),
            ),
            Self::Story(story) => (
                serde_json::to_string(story).unwrap_or_default(),
                story.ending(),
                story.problem.is_none(),
            ),
        };
        let said = match arguments.json {
            true => output::say(json),
            false => output::say(text),
        };
        if let Err(error) = said {
            output::note(format_args!("the report cannot be written: {error}"));
            return ExitCode::FAILURE;
        }
        match is_success {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}

fn stopped_by(signal: Signal) -> ExitCode {
    ExitCode::from(128 + signal as i32 as u8)
}

/// Runs `erawan devnet` until it is interrupted.
///
/// # Errors
/// When the network cannot be started or an option does not fit.
pub async fn devnet(arguments: DevnetArguments) -> io::Result<ExitCode> {
    let mut interruption = Interruption::listen()?;
    let mut options = arguments.network.network(arguments.nodes.clone())?;
    options.have_ndid();
    options.directory = arguments.dir.clone();
    options.base_port = Some(arguments.base_port);
    options.dashboards = true;
    options.bind = arguments.bind;
    output::note("starting ledger, message queues and nodes ...");
    let network = tokio::select! {
        network = Network::start(options) => network?,
        signal = interruption.next() => return Ok(stopped_by(signal)),
    };
    tokio::select! {
        ready = first_request::would_be_accepted(&network) => if let Err(error) = ready {
            network.stop().await;
            return Err(error);
        },
        signal = interruption.next() => {
            network.stop().await;
            return Ok(stopped_by(signal));
        }
    }
    let said = if arguments.json {
        output::say(description(&network))
    } else {
        output::say(format_args!("{}\nrunning until Ctrl-C", table(&network)))
    };
    if said.is_ok() {
        interruption.next().await;
    }
    network.stop().await;
    said.map(|()| ExitCode::SUCCESS)
}

fn description(network: &Network) -> serde_json::Value {
    let nodes: Vec<_> = network
        .nodes
        .iter()
        .map(|node| {
            serde_json::json!({
                "node_id": node.node_id,
                "role": node.role.as_str(),
                "api": node.api_urls(),
                "mq": node.mq,
                "masters": node.masters,
                "processes": node.processes.iter().map(|part| serde_json::json!({
                    "kind": part.kind,
                    "id": part.process.name(),
                    "pid": part.process.pid(),
                    "metrics": part.metrics,
                    "dashboard": part.dashboard,
                    "log": part.process.log(),
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::json!({
        "ledger": network.ledger,
        "second_ledger": network.second_ledger,
        "redis": network.redis.as_ref().map(RedisServer::port),
        "directory": network.directory,
        "keys": network.directory.join("keys"),
        "nodes": nodes,
        "behind_proxies": network.behind.iter().map(|node| serde_json::json!({
            "node_id": node.node_id,
            "role": node.role.as_str(),
            "proxy": node.proxy,
        })).collect::<Vec<_>>(),
    })
}

fn table(network: &Network) -> String {
    let mut lines = vec![
        format!("  ledger RPC   ws://{}/websocket", network.ledger),
        format!(
            "  behind it    {}",
            network.second_ledger.as_deref().unwrap_or("-")
        ),
        format!("  folder       {}", network.directory.display()),
        format!(
            "  keys         {}",
            network.directory.join("keys").display()
        ),
        String::new(),
        format!(
            "  {:<8} {:<5} {:<18} {:<28} log",
            "node", "role", "process", "API"
        ),
    ];
    for node in &network.nodes {
        for part in &node.processes {
            lines.push(format!(
                "  {:<8} {:<5} {:<18} {:<28} {}",
                node.node_id,
                node.role.as_str(),
                part.process.name(),
                part.api.as_deref().unwrap_or("-"),
                part.process.log().display()
            ));
            if let Some(dashboard) = &part.dashboard {
                lines.push(format!(
                    "  {:<8} {:<5} {:<18} {dashboard}",
                    node.node_id, "", "dashboard"
                ));
            }
        }
        lines.push(format!(
            "  {:<8} {:<5} {:<18} {:<28} {}",
            node.node_id,
            "",
            "MQ service",
            node.mq,
            network
                .directory
                .join("logs")
                .join(format!("{}-mq.log", node.node_id))
                .display()
        ));
    }
    for node in &network.behind {
        let (node_id, role, proxy) = (&node.node_id, node.role.as_str(), &node.proxy);
        lines.push(format!(
            "  {node_id} ({role}) is behind {proxy}: call {proxy} with \"node_id\": \"{node_id}\""
        ));
    }
    lines.join("\n")
}
