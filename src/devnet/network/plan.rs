//! Names, ports and environment of every process, chosen before anything runs.

use std::collections::HashSet;
use std::io;
use std::net::TcpListener;
use std::path::Path;

use super::options::{NetworkOptions, SetUp, StoreOption};
use super::{LOCAL, role_of};
use crate::context::Role;
use crate::devnet::genesis::NDID;
use crate::devnet::keys::GeneratedKeys;
use crate::devnet::ports;

/// Ports a node takes when they are counted from a base port.
const PORTS_PER_NODE: u16 = 100;
const MOST_WORKERS: usize = 40;

/// Ports of one network, all chosen before anything listens.
pub(super) struct Ports {
    base: Option<u16>,
    /// Kept open until all are chosen, so that no port is given twice.
    reserved: Vec<TcpListener>,
}

impl Ports {
    pub fn counted_from(base: Option<u16>) -> Self {
        Self {
            base,
            reserved: Vec::new(),
        }
    }

    pub fn pick(&mut self, offset: u16) -> io::Result<u16> {
        if let Some(base) = self.base {
            return base
                .checked_add(offset)
                .ok_or_else(|| io::Error::other("base port too high for this many nodes"));
        }
        let listener = ports::reserve()?;
        let port = listener.local_addr()?.port();
        self.reserved.push(listener);
        Ok(port)
    }
}

/// A process of a node.
pub(super) struct ProcessPlan {
    pub kind: &'static str,
    pub name: String,
    pub api: Option<u16>,
    pub metrics: u16,
    /// Where a master listens.
    pub master: Option<u16>,
    /// Of a process that leads, where dashboards are wanted.
    pub dashboard: Option<u16>,
}

pub(super) struct NodePlan {
    pub node_id: String,
    pub role: Role,
    pub keys: GeneratedKeys,
    pub mq_grpc: u16,
    pub mq: u16,
    pub processes: Vec<ProcessPlan>,
}

/// A node without processes: a proxy works for it.
pub(super) struct BehindPlan {
    pub node_id: String,
    pub role: Role,
    pub proxy: String,
    pub keys: GeneratedKeys,
}

/// Every node of a network.
#[derive(Default)]
pub(super) struct Plans {
    pub nodes: Vec<NodePlan>,
    pub behind: Vec<BehindPlan>,
}

/// A plan for every node.
///
/// # Errors
/// When the names or the ports do not fit.
pub(super) fn plan_nodes(
    options: &NetworkOptions,
    directory: &Path,
    ports: &mut Ports,
) -> io::Result<Plans> {
    let keys = directory.join("keys");
    let mut names = HashSet::new();
    let mut plans = Plans::default();
    for (index, node_id) in options.nodes.iter().enumerate() {
        if !names.insert(node_id) {
            return Err(io::Error::other(format!(
                "node id {node_id:?} is given twice"
            )));
        }
        if let Some((proxy, _)) = node_id.split_once('_') {
            plans.behind.push(BehindPlan {
                node_id: node_id.clone(),
                role: role_of(node_id)?,
                proxy: proxy.to_owned(),
                keys: GeneratedKeys::behind_proxy(&keys, node_id),
            });
            continue;
        }
        let first = u16::try_from(index + 1)
            .ok()
            .and_then(|number| number.checked_mul(PORTS_PER_NODE))
            .ok_or_else(|| io::Error::other("too many nodes"))?;
        plans.nodes.push(NodePlan {
            node_id: node_id.clone(),
            role: role_of(node_id)?,
            keys: GeneratedKeys::at(&keys, node_id),
            mq_grpc: ports.pick(first + 97)?,
            mq: ports.pick(first + 98)?,
            processes: plan_processes(options, node_id, first, ports)?,
        });
    }
    Ok(plans)
}

/// Masters (or the standalone process) first.
fn plan_processes(
    options: &NetworkOptions,
    node_id: &str,
    first: u16,
    ports: &mut Ports,
) -> io::Result<Vec<ProcessPlan>> {
    let is_set_up_by_it = options.set_up == SetUp::ByNdid && node_id == NDID;
    if options.workers == 0 || is_set_up_by_it {
        return Ok(vec![ProcessPlan {
            kind: "standalone",
            name: format!("{node_id}-standalone"),
            api: Some(ports.pick(first)?),
            metrics: ports.pick(first + 50)?,
            master: Some(ports.pick(first + 99)?),
            dashboard: dashboard(options, first, 1, ports)?,
        }]);
    }
    let mut processes = Vec::new();
    for number in (1u16..).take(options.masters) {
        let (name, port) = match number {
            1 => (format!("{node_id}-master"), first + 99),
            _ => (format!("{node_id}-master{number}"), first + 98 - number),
        };
        processes.push(ProcessPlan {
            kind: "master",
            name,
            api: None,
            metrics: ports.pick(first + 51 - number)?,
            master: Some(ports.pick(port)?),
            dashboard: dashboard(options, first, number, ports)?,
        });
    }
    for number in (1u16..).take(options.workers.min(MOST_WORKERS)) {
        processes.push(ProcessPlan {
            kind: "worker",
            name: format!("{node_id}-worker{number}"),
            api: Some(ports.pick(first + number - 1)?),
            metrics: ports.pick(first + 50 + number)?,
            master: None,
            dashboard: None,
        });
    }
    Ok(processes)
}

/// The port of the dashboard of a process that leads.
fn dashboard(
    options: &NetworkOptions,
    first: u16,
    number: u16,
    ports: &mut Ports,
) -> io::Result<Option<u16>> {
    match options.dashboards {
        true => ports.pick(first + 46 - number).map(Some),
        false => Ok(None),
    }
}

/// Where the nodes' processes find what they all use.
pub(super) struct Surroundings<'a> {
    pub directory: &'a Path,
    pub ledger_port: u16,
    /// Of the server started for the network.
    pub redis_port: Option<u16>,
}

/// Environment of a process.
pub(super) fn environment(
    options: &NetworkOptions,
    node: &NodePlan,
    process: &ProcessPlan,
    surroundings: &Surroundings,
) -> Vec<(String, String)> {
    let path = |path: &Path| path.display().to_string();
    let data = surroundings.directory.join("data").join(&node.node_id);
    let (master_ip, master_port) = masters(node, process);
    let host = options.host().to_string();
    let mut variables = vec![
        ("NODE_ENV", "development".to_owned()),
        ("MODE", process.kind.to_owned()),
        ("NODE_ID", node.node_id.clone()),
        ("LOG_LEVEL", options.log_level.clone()),
        ("LOG_PRETTY_PRINT", "false".to_owned()),
        ("TENDERMINT_IP", host.clone()),
        ("TENDERMINT_PORT", surroundings.ledger_port.to_string()),
        ("TENDERMINT_WS_CONNECTIONS", "2".to_owned()),
        ("MQ_CONTACT_IP", host.clone()),
        ("MQ_BINDING_PORT", node.mq.to_string()),
        ("MQ_SERVICE_SERVER_IP", host),
        ("MQ_SERVICE_SERVER_PORT", node.mq_grpc.to_string()),
        ("MASTER_SERVER_IP", master_ip),
        ("MASTER_SERVER_PORT", master_port.to_string()),
        ("DATA_DIRECTORY_PATH", path(&data)),
        ("SIGNING_PRIVATE_KEY_PATH", path(&node.keys.signing)),
        ("SIGNING_MASTER_PRIVATE_KEY_PATH", path(&node.keys.master)),
        ("ENCRYPTION_PRIVATE_KEY_PATH", path(&node.keys.encryption)),
        ("PROMETHEUS", "true".to_owned()),
        ("PROMETHEUS_SERVER_PORT", process.metrics.to_string()),
        ("ENABLE_CONFIG_HTTP_ROUTE_PATH", "true".to_owned()),
        ("ENABLE_TELEMETRY_LOGGING", "false".to_owned()),
        ("STORE", options.store.name().to_owned()),
    ];
    if !options.bind.is_loopback() {
        variables.push(("CLUSTER_INSECURE", "true".to_owned()));
    }
    if node.role == Role::Ndid {
        variables.push(("NDID_NODE", "true".to_owned()));
    }
    if node.role == Role::Proxy {
        let keys = surroundings.directory.join("keys");
        let names = [
            "NODE_BEHIND_PROXY_SIGNING_PRIVATE_KEY_DIRECTORY_PATH",
            "NODE_BEHIND_PROXY_SIGNING_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
            "NODE_BEHIND_PROXY_ENCRYPTION_PRIVATE_KEY_DIRECTORY_PATH",
        ];
        let directories = GeneratedKeys::directories_behind_proxy(&keys);
        let given = names.into_iter().zip(directories);
        // Without nodes behind it there are no folders.
        let given = given.filter(|(_, directory)| directory.is_dir());
        variables.extend(given.map(|(name, directory)| (name, path(&directory))));
    }
    if let Some(port) = process.dashboard {
        variables.push(("DASHBOARD_PORT", port.to_string()));
        variables.push(("DASHBOARD_LOOPBACK_OPERATOR", "devnet".to_owned()));
    }
    variables.extend(process.api.map(|port| ("SERVER_PORT", port.to_string())));
    match (&options.store, surroundings.redis_port) {
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
        (_, Some(port)) => {
            variables.push(("DB_IP", LOCAL.to_owned()));
            variables.push(("DB_PORT", port.to_string()));
        }
        (StoreOption::Embedded | StoreOption::Redis, None) => {}
    }
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(options.settings.clone())
        .collect()
}

/// Where a process finds its masters: itself, the only one, or a list.
fn masters(node: &NodePlan, process: &ProcessPlan) -> (String, u16) {
    if let Some(port) = process.master {
        return (LOCAL.to_owned(), port);
    }
    let ports: Vec<u16> = node
        .processes
        .iter()
        .filter_map(|process| process.master)
        .collect();
    let first = ports.first().copied().unwrap_or_default();
    if ports.len() <= 1 {
        return (LOCAL.to_owned(), first);
    }
    let all: Vec<String> = ports.iter().map(|port| format!("{LOCAL}:{port}")).collect();
    (all.join(","), first)
}
