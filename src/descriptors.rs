//! Divides the files and sockets that this process may have open. Each group of
//! outside connections has a share, so that a crowd at one port leaves enough
//! for health, the store, the ledger and the link.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::{Config, Mode};

/// Files, event queues, and sockets to the store, the ledger, the message queue
/// service and the master.
const OWN: usize = 64;
/// Sockets for the downloads of jobs, and for DNS.
const DOWNLOADS: usize = 64;
/// Readers of metrics and probes.
const ADMIN: usize = 64;
/// Dashboards, each with the connection that brings it news.
const DASHBOARDS: usize = 256;
/// Operators on this machine.
pub const OPERATORS: usize = 16;
/// Workers, each with two links, and operators.
const LINKS: usize = 2048;
/// More API connections would cost more memory than they are worth.
const MOST_API: usize = 16_384;
/// However low the limit is.
const LEAST: usize = 16;

/// The system's limit of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// In force.
    pub soft: u64,
    /// What the soft limit can be raised to.
    pub hard: u64,
}

impl Limit {
    /// Asks the system.
    /// # Errors
    /// When it does not answer.
    pub fn now() -> io::Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self { soft, hard })
    }

    /// Raises the soft limit to the hard one, for this process and its
    /// children. The soft limit is usually 1,024, for programs that use
    /// `select`.
    /// # Errors
    /// When the system refuses.
    pub fn raise() -> io::Result<Self> {
        let limit = Self::now()?;
        if limit.soft < limit.hard {
            setrlimit(Resource::RLIMIT_NOFILE, limit.hard, limit.hard)?;
        }
        Self::now()
    }
}

/// Most open connections at each port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    pub api: usize,
    /// For metrics, health and readiness.
    pub admin: usize,
    /// At the master's port.
    pub links: usize,
    pub dashboards: usize,
}

impl Shares {
    /// For a process with this configuration.
    pub fn of(limit: Limit, config: &Config) -> Self {
        let deliveries = match config.mode {
            Mode::Master => 0,
            Mode::Standalone | Mode::Worker => config.capacity.delivery as usize + DOWNLOADS,
        };
        let dashboards = config.dashboard.as_ref().map_or(0, |_| DASHBOARDS);
        Self {
            dashboards,
            ..Self::beside(limit, config.mode, deliveries + dashboards)
        }
    }

    fn beside(limit: Limit, mode: Mode, deliveries: usize) -> Self {
        let limit = usize::try_from(limit.soft).unwrap_or(usize::MAX);
        let left = limit.saturating_sub(OWN + ADMIN + OPERATORS + deliveries);
        let share = |most: usize| left.clamp(LEAST, most);
        match mode {
            Mode::Master => Self {
                api: 0,
                admin: ADMIN,
                links: share(LINKS),
                dashboards: 0,
            },
            Mode::Standalone | Mode::Worker => Self {
                api: share(MOST_API),
                admin: ADMIN,
                links: 0,
                dashboards: 0,
            },
        }
    }

    /// Whether scarce descriptors limit the API's connections.
    pub fn is_scarce(self, mode: Mode) -> bool {
        match mode {
            Mode::Master => self.links < LINKS,
            Mode::Standalone | Mode::Worker => self.api < MOST_API / 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(soft: u64, mode: Mode, deliveries: usize) -> Shares {
        Shares::beside(Limit { soft, hard: soft }, mode, deliveries)
    }

    #[test]
    fn all_shares_together_leave_the_process_its_own() {
        for soft in [1024, 4096, 65_536] {
            for mode in [Mode::Standalone, Mode::Worker, Mode::Master] {
                let deliveries = if mode == Mode::Master { 0 } else { 576 };
                let shares = shares(soft, mode, deliveries);
                let all = shares.api + shares.admin + shares.links + OPERATORS + deliveries;
                assert!(all + OWN <= soft as usize, "{soft} {mode:?} {shares:?}");
            }
        }
    }

    #[test]
    fn a_high_limit_does_not_mean_as_many_connections() {
        assert_eq!(shares(1 << 30, Mode::Worker, 576).api, MOST_API);
        assert_eq!(shares(1 << 30, Mode::Master, 0).links, LINKS);
    }

    #[test]
    fn a_low_limit_leaves_a_few_and_is_called_scarce() {
        let few = shares(64, Mode::Worker, 576);
        assert_eq!(few.api, LEAST);
        assert!(few.is_scarce(Mode::Worker));
        assert!(!shares(1 << 20, Mode::Worker, 576).is_scarce(Mode::Worker));
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let limit = Limit::raise().unwrap();
        assert_eq!(limit.soft, limit.hard);
    }
}
