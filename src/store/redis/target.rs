//! Who takes writes, judged from what servers say. Nothing is asked here.

use std::collections::HashMap;

use redis::RedisError;

use crate::config::RedisAddress;

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Told {
    /// Changes with every start; `None` if it does not tell (some hosted
    /// servers refuse INFO).
    pub run: Option<String>,
    pub is_replica: bool,
    /// Whether it owns only some of the keys.
    pub is_in_cluster: bool,
}

impl Told {
    /// Of its answer to INFO.
    pub fn of_info(info: &str) -> Self {
        let field = |name: &str| {
            let mut lines = info.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        Self {
            run: field("run_id").map(str::to_owned),
            is_replica: field("role") == Some("slave"),
            is_in_cluster: field("cluster_enabled") == Some("1"),
        }
    }
}

/// Whether these are several servers that take writes, each by itself. (Those of
/// a cluster share the keys.)
pub(super) fn are_several<'a>(writers: impl Iterator<Item = &'a Told>) -> bool {
    let alone = writers.filter(|told| !told.is_in_cluster);
    let mut runs: Vec<&String> = alone.filter_map(|told| told.run.as_ref()).collect();
    runs.sort();
    runs.dedup();
    runs.len() > 1
}

/// Whether this answer is one of a server that does not take writes, and perhaps
/// another one does.
pub(super) fn refuses_writes(error: &RedisError) -> bool {
    let codes = [
        "READONLY",
        "MASTERDOWN",
        "MOVED",
        "CLUSTERDOWN",
        "NOREPLICAS",
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}

/// Somebody's word that a server takes writes since an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub epoch: u64,
    pub address: RedisAddress,
}

impl Claim {
    /// Of a Sentinel's answer to `SENTINEL MASTER`.
    pub fn of_sentinel(fields: &HashMap<String, String>) -> Option<Self> {
        let address = RedisAddress {
            host: fields.get("ip").filter(|host| !host.is_empty())?.clone(),
            port: fields.get("port")?.parse().ok()?,
        };
        let epoch = fields.get("config-epoch")?.parse().ok()?;
        Some(Self { epoch, address })
    }

    /// Of the answer to `CLUSTER NODES` of the node at `asked`: who owns the
    /// slot. `by_name`: where nodes have names, these are in their
    /// certificates.
    pub fn of_cluster(nodes: &str, slot: u16, asked: &RedisAddress, by_name: bool) -> Option<Self> {
        let mut nodes = nodes
            .lines()
            .filter_map(|line| Node::of_line(line, by_name));
        let owner = nodes.find(|node| node.owns(slot))?;
        Some(Self {
            epoch: owner.epoch,
            address: owner.address(asked),
        })
    }
}

/// The newest claim. An older one is of a server that has been replaced, so it is
/// not tried even when the newest leads nowhere.
pub(super) fn newest(claims: Vec<Claim>) -> Option<RedisAddress> {
    let newest = claims.into_iter().max_by_key(|claim| claim.epoch);
    newest.map(|claim| claim.address)
}

/// All nodes that an answer to `CLUSTER NODES` names.
pub(super) fn members(nodes: &str, asked: &RedisAddress, by_name: bool) -> Vec<RedisAddress> {
    let nodes = nodes
        .lines()
        .filter_map(|line| Node::of_line(line, by_name));
    nodes.map(|node| node.address(asked)).collect()
}

/// A line of `CLUSTER NODES`:
/// `<id> <host>:<port>@<bus>[,<name>…] <flags> <master> <ping> <pong> <epoch> <link> <slots…>`
struct Node<'a> {
    host: &'a str,
    port: u16,
    epoch: u64,
    is_master: bool,
    slots: Vec<&'a str>,
}

impl<'a> Node<'a> {
    fn of_line(line: &'a str, by_name: bool) -> Option<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (whole, flags, epoch) = (fields.get(1)?, fields.get(2)?, fields.get(6)?);
        let (address, names) = whole.split_once(',').unwrap_or((whole, ""));
        let address = address
            .split_once('@')
            .map_or(address, |(before, _)| before);
        let (ip, port) = address.rsplit_once(':')?;
        // What follows the name, if anything, is `key=value`.
        let name = names.split(',').next().unwrap_or_default();
        let name = Some(name).filter(|name| by_name && !name.is_empty() && !name.contains('='));
        Some(Self {
            host: name.unwrap_or(ip),
            // 0: the node has no address any more.
            port: port.parse().ok().filter(|port| *port > 0)?,
            epoch: epoch.parse().ok()?,
            is_master: flags.split(',').any(|flag| flag == "master"),
            slots: fields.get(8..).unwrap_or_default().to_vec(),
        })
    }

    fn owns(&self, slot: u16) -> bool {
        let has = |range: &&str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            // `[93-<-…]` is a slot on its way, which its owner still owns.
            match (first.parse::<u16>(), last.parse::<u16>()) {
                (Ok(first), Ok(last)) => (first..=last).contains(&slot),
                _ => false,
            }
        };
        self.is_master && self.slots.iter().any(has)
    }

    /// A node that nobody has greeted yet does not know its own.
    fn address(&self, asked: &RedisAddress) -> RedisAddress {
        let host = match self.host {
            "" => asked.host.clone(),
            host => host.to_owned(),
        };
        RedisAddress {
            host,
            port: self.port,
        }
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
