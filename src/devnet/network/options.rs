//! The options of a network.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::LOCAL;
use crate::devnet::genesis::NDID;
use crate::devnet::keys::SigningKeys;
use crate::devnet::redis_server::Durability;

/// Most masters of a node: their ports are counted down from a base.
const MOST_MASTERS: usize = 5;

/// Where the nodes keep jobs and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOption {
    /// A file per node.
    Embedded,
    /// A Redis server started for the network.
    Redis,
    /// A Redis server that is running elsewhere.
    RedisAt {
        /// Host name or address.
        host: String,
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

/// Who sets a new chain up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetUp {
    /// This process, with NDID's key.
    WithKey,
    /// NDID's node, by calls of its API. It is one of the nodes, and standalone.
    ByNdid,
    /// Nobody: NDID's client has to do it.
    Nobody,
}

#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// The program of every process; `None`: this same binary.
    pub binary: Option<PathBuf>,
    /// Node ids; the role is in the name (`rp1`, `idp1`, `as1`, `proxy1`).
    /// `proxy1_rp4` is a node behind `proxy1`, without processes of its own.
    pub nodes: Vec<String>,
    /// Masters of each node: one that works, the others stand by. More than one
    /// needs Redis and workers.
    pub masters: usize,
    /// Workers of each node; 0: standalone nodes.
    pub workers: usize,
    /// Where the nodes keep jobs and state.
    pub store: StoreOption,
    /// What a Redis server started for the network keeps.
    pub durability: Durability,
    /// State of the network; `None`: a temporary folder.
    pub directory: Option<PathBuf>,
    /// First port; `None`: free ones.
    pub base_port: Option<u16>,
    /// Where ledger, message queue services and Redis listen. Not the loopback
    /// interface: containers and other machines join, and masters take their
    /// workers without a token.
    pub bind: IpAddr,
    /// Who sets a new chain up and registers the nodes before they start.
    pub set_up: SetUp,
    /// Keys that the nodes sign with.
    pub signing: SigningKeys,
    /// `LOG_LEVEL` of the nodes.
    pub log_level: String,
    /// More environment variables of the nodes' processes.
    pub settings: Vec<(String, String)>,
    /// How often message queue services repeat an unacknowledged message.
    pub retransmit: Duration,
    /// Whether they record messages and their results.
    pub record_messages: bool,
    /// Whether processes that lead have a dashboard, where everybody on this
    /// machine may decide.
    pub dashboards: bool,
    /// A second full node of the chain, this many blocks behind the first.
    pub second_ledger: Option<u64>,
    /// Each node reaches the ledger through a switch, which can be turned to the
    /// second one.
    pub ledger_switches: bool,
    /// Identities that the chain has from its beginning, all known at `idp1`.
    pub identities: u64,
    /// The ledger makes an empty block when none has come for this long; `None`:
    /// only transactions make blocks.
    pub empty_blocks_every: Option<Duration>,
}

/// The network of the demo.
impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            binary: None,
            nodes: ["rp1", "idp1", "as1"].map(str::to_owned).to_vec(),
            masters: 1,
            workers: 2,
            store: StoreOption::Embedded,
            durability: Durability::default(),
            directory: None,
            base_port: None,
            bind: Ipv4Addr::LOCALHOST.into(),
            set_up: SetUp::WithKey,
            signing: SigningKeys::Rsa,
            log_level: "info".to_owned(),
            settings: Vec::new(),
            retransmit: Duration::from_secs(60),
            record_messages: false,
            dashboards: false,
            second_ledger: None,
            ledger_switches: false,
            empty_blocks_every: None,
            identities: 0,
        }
    }
}

impl NetworkOptions {
    /// NDID's node is one of the nodes, and sets the chain up by its API. It comes
    /// last, so that the others keep their ports.
    pub fn have_ndid(&mut self) {
        if !self.nodes.iter().any(|node_id| node_id == NDID) {
            self.nodes.push(NDID.to_owned());
        }
        self.set_up = SetUp::ByNdid;
    }

    /// Where this machine reaches what listens at `bind`.
    pub(super) fn host(&self) -> IpAddr {
        match self.bind {
            bind if bind.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            bind => bind,
        }
    }

    /// More arguments of a Redis server at `bind`.
    pub(super) fn redis_arguments(&self) -> Vec<String> {
        if self.bind.is_loopback() {
            return Vec::new();
        }
        let bind = self.bind.to_string();
        let addresses = match self.bind.is_unspecified() {
            true => vec!["--bind".to_owned(), bind],
            // Its own network looks for it on the loopback interface.
            false => vec!["--bind".to_owned(), bind, LOCAL.to_owned()],
        };
        let open = ["--protected-mode", "no"].map(str::to_owned);
        addresses.into_iter().chain(open).collect()
    }

    /// Checks that these options fit together.
    /// # Errors
    /// With what to change.
    pub fn check(&self) -> io::Result<()> {
        let problem = match self.masters {
            1 => return Ok(()),
            0 => "a node needs a master: --masters 1 or more".to_owned(),
            masters if masters > MOST_MASTERS => {
                format!("--masters {masters}: at most {MOST_MASTERS} of a node")
            }
            masters if self.workers == 0 => {
                format!("--masters {masters} needs --workers: a standalone node is its own master")
            }
            masters if self.store == StoreOption::Embedded => format!(
                "--masters {masters} needs --store redis: the file of an embedded store has one master"
            ),
            _ => return Ok(()),
        };
        Err(io::Error::other(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_needs_redis_and_workers() {
        let check = |masters, workers, store| {
            let options = NetworkOptions {
                masters,
                workers,
                store,
                ..NetworkOptions::default()
            };
            options.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(1, 0, StoreOption::Embedded), Ok(()));
        assert_eq!(check(2, 2, StoreOption::Redis), Ok(()));
        let refused = check(2, 2, StoreOption::Embedded).unwrap_err();
        assert!(refused.contains("--store redis"), "{refused}");
        let refused = check(2, 0, StoreOption::Redis).unwrap_err();
        assert!(refused.contains("--workers"), "{refused}");
        assert!(check(0, 2, StoreOption::Redis).is_err());
        assert!(check(6, 2, StoreOption::Redis).is_err());
    }
}
