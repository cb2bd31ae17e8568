//! The addresses that this process listens on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::parse_ip;
use super::check::{Checker, Variable, variable};
use super::variables::Listeners;

/// Where a listener listens, its port aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind(Vec<IpAddr>);

impl Bind {
    /// All addresses of the machine, of both families.
    pub fn everywhere() -> Self {
        Self(vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED)])
    }

    /// Those that only the machine itself reaches, of both families.
    pub fn loopback() -> Self {
        Self(vec![
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ])
    }

    pub fn is_loopback(&self) -> bool {
        self.0.iter().all(IpAddr::is_loopback)
    }

    /// With this port.
    pub fn at(&self, port: u16) -> Vec<SocketAddr> {
        let addresses = self.0.iter();
        addresses.map(|address| (*address, port).into()).collect()
    }
}

/// As the variable lists them.
impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.0.iter().map(IpAddr::to_string);
        f.write_str(&addresses.collect::<Vec<_>>().join(","))
    }
}

/// `BIND_ADDRESS`, and a variable for each listener, which wins..
#[derive(Debug, Clone)]
pub struct Listen {
    /// `SERVER_BIND_ADDRESS`: of the API.
    pub api: Bind,
    /// `MASTER_SERVER_BIND_ADDRESS`: of a master, for workers and operators.
    pub master: Bind,
    /// Whether `MASTER_SERVER_BIND_ADDRESS` was set.
    pub(super) master_is_set: bool,
    /// `PROMETHEUS_SERVER_BIND_ADDRESS`: of metrics and probes.
    pub metrics: Bind,
}

pub(super) fn listen(listeners: &Listeners, checker: &mut Checker) -> Listen {
    let all = bind(variable!("BIND_ADDRESS", listeners.bind_address), checker);
    let mut own = |variable: Variable| bind(variable, checker);
    let api = own(variable!(
        "SERVER_BIND_ADDRESS",
        listeners.server_bind_address
    ));
    let master = own(variable!(
        "MASTER_SERVER_BIND_ADDRESS",
        listeners.master_server_bind_address
    ));
    let metrics = own(variable!(
        "PROMETHEUS_SERVER_BIND_ADDRESS",
        listeners.prometheus_server_bind_address
    ));
    let or_all = |own: Option<Bind>| {
        let all = || all.clone().unwrap_or_else(Bind::everywhere);
        own.unwrap_or_else(all)
    };
    Listen {
        api: or_all(api),
        master_is_set: master.is_some(),
        master: or_all(master),
        metrics: or_all(metrics),
    }
}

/// Addresses separated by commas. `None` if the variable is not set.
pub(super) fn bind((name, value): Variable, checker: &mut Checker) -> Option<Bind> {
    let text = value?;
    let addresses: Option<Vec<IpAddr>> = text.split(',').map(str::trim).map(parse_ip).collect();
    if addresses.is_none() {
        let fix = "addresses of this machine separated by commas, without ports \
                   (10.0.0.2, ::1, 0.0.0.0 for all of IPv4, :: for all of both families)";
        checker.mistake(name, Some(text), fix);
    }
    addresses.map(Bind)
}
