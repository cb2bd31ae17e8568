//! CPU time of all processes of a benchmark.

use serde::Serialize;

use crate::devnet::network::{Network, ProcessGroup, ServiceKind};
use crate::devnet::process::usage_of;

/// CPU milliseconds, user and system, by group of processes; in results, per
/// request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Masters, workers, standalone nodes.
    pub nodes: f64,
    /// The development ledger.
    pub ledger: f64,
    /// The message queue services.
    pub queues: f64,
    /// A Redis server started for the network.
    pub redis: f64,
    /// This process: the client applications.
    pub clients: f64,
    /// The system's part of all these.
    pub system: f64,
}

impl Cpu {
    /// Until now.
    pub fn now(network: &Network) -> Self {
        let mut cpu = Self::default();
        for (part, pid) in network.pids() {
            let used = usage_of(pid).unwrap_or_default();
            let sum = match part {
                ProcessGroup::Nodes => &mut cpu.nodes,
                ProcessGroup::Service(ServiceKind::Ledger) => &mut cpu.ledger,
                ProcessGroup::Service(ServiceKind::MessageQueue) => &mut cpu.queues,
                ProcessGroup::Redis => &mut cpu.redis,
            };
            *sum += used.cpu_ms as f64;
            cpu.system += used.system_ms as f64;
        }
        let own = usage_of(std::process::id()).unwrap_or_default();
        cpu.clients = own.cpu_ms as f64;
        cpu.system += own.system_ms as f64;
        cpu
    }

    /// The use since `before`, per request.
    pub fn per_request(self, before: Self, requests: u64) -> Self {
        let each = |now: f64, before: f64| {
            let each = (now - before) / requests.max(1) as f64;
            (each * 100.0).round() / 100.0
        };
        Self {
            nodes: each(self.nodes, before.nodes),
            ledger: each(self.ledger, before.ledger),
            queues: each(self.queues, before.queues),
            redis: each(self.redis, before.redis),
            clients: each(self.clients, before.clients),
            system: each(self.system, before.system),
        }
    }

    /// The sum over all processes.
    pub fn total(self) -> f64 {
        self.nodes + self.ledger + self.queues + self.redis + self.clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_shared_out_among_the_requests() {
        let before = Cpu {
            nodes: 100.0,
            clients: 50.0,
            ..Cpu::default()
        };
        let after = Cpu {
            nodes: 300.0,
            clients: 60.0,
            system: 20.0,
            ..Cpu::default()
        };
        let each = after.per_request(before, 10);
        assert_eq!((each.nodes, each.clients, each.system), (20.0, 1.0, 2.0));
        assert_eq!(each.total(), 21.0);
    }
}
