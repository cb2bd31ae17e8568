//! Which servers the node calls when a client or another node names one:
//! callbacks, crypto services, documents of contracts. A URL is foreign, and
//! the machines around a node answer to whoever is inside their network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::check::{Checker, Variable, variable};
use super::variables::Outward;

/// What is never called unless an operator allows it: link-local addresses,
/// with which clouds tell a machine its secrets, and such addresses elsewhere.
const DENIED: [(&str, &str); 7] = [
    ("169.254.0.0/16", "link-local, metadata of clouds"),
    ("fe80::/10", "link-local"),
    ("fd00:ec2::/32", "metadata of AWS"),
    ("fd20:ce::254/128", "metadata of Google Cloud"),
    ("100.100.100.200/32", "metadata of Alibaba Cloud"),
    ("168.63.129.16/32", "metadata of Azure"),
    ("192.0.0.192/32", "metadata of Oracle Cloud"),
];

/// `OUTBOUND_*` and `NODE_EXTRA_CA_CERTS`.
#[derive(Debug, Clone, Default)]
pub struct Outbound {
    pub networks: Arc<Networks>,
    /// Authorities beside those of the system, for HTTPS.
    pub extra_authorities: Option<PathBuf>,
}

/// The longest network that has an address decides about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Networks {
    denied: Vec<IpNet>,
    /// Empty: everything that is not denied.
    allowed: Vec<IpNet>,
}

impl Default for Networks {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new())
    }
}

/// An address that is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Denied {
    address: IpAddr,
    /// `None`: no network allows it.
    network: Option<IpNet>,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match self.network {
            Some(network) => write!(
                f,
                "{address} is not called: it is in {network}, which is denied \
                 (OUTBOUND_DENY_NETWORKS, or by default; OUTBOUND_ALLOW_NETWORKS allows it)"
            ),
            None => write!(
                f,
                "{address} is not called: it is in no network of OUTBOUND_ALLOW_NETWORKS"
            ),
        }
    }
}

impl Networks {
    pub fn new(mut denied: Vec<IpNet>, allowed: Vec<IpNet>) -> Self {
        // All of them are networks, as a test sees.
        denied.extend(
            DENIED
                .iter()
                .filter_map(|(network, _)| network.parse::<IpNet>().ok()),
        );
        Self { denied, allowed }
    }

    /// Whether an address may be called.
    ///
    /// # Errors
    /// The network that denies it.
    pub fn check(&self, address: IpAddr) -> Result<(), Denied> {
        let real = embedded(address);
        let longest = |networks: &[IpNet]| {
            let having = networks.iter().filter(|network| network.contains(&real));
            having.max_by_key(|network| network.prefix_len()).copied()
        };
        let denied = match (longest(&self.denied), longest(&self.allowed)) {
            (Some(denied), Some(allowed)) if allowed.prefix_len() > denied.prefix_len() => {
                return Ok(());
            }
            (Some(denied), _) => Some(denied),
            (None, None) if !self.allowed.is_empty() => None,
            (None, _) => return Ok(()),
        };
        let network = denied;
        Err(Denied { address, network })
    }
}

/// The IPv4 address that an IPv6 address stands for, if any: mapped, of NAT64,
/// or compatible.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else {
        return address.to_canonical();
    };
    let of_last_four = || {
        let [.., a, b, c, d] = v6.octets();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => of_last_four(),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => of_last_four(),
        // 6to4 has it in the middle.
        [0x2002, high, low, ..] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        _ => IpAddr::V6(v6),
    }
}

pub(super) fn outbound(variables: &Outward, checker: &mut Checker) -> Outbound {
    let denied = networks(
        variable!("OUTBOUND_DENY_NETWORKS", variables.outbound_deny_networks),
        checker,
    );
    let allowed = networks(
        variable!("OUTBOUND_ALLOW_NETWORKS", variables.outbound_allow_networks),
        checker,
    );
    let file = variable!("NODE_EXTRA_CA_CERTS", variables.node_extra_ca_certs);
    Outbound {
        networks: Arc::new(Networks::new(denied, allowed)),
        extra_authorities: file
            .1
            .is_some()
            .then(|| checker.file(file, "certificates of further authorities (PEM)")),
    }
}

fn networks((name, value): Variable, checker: &mut Checker) -> Vec<IpNet> {
    let Some(text) = value else {
        return Vec::new();
    };
    let entries = text.split(',').map(str::trim);
    let entries = entries.filter(|entry| !entry.is_empty());
    let networks: Option<Vec<IpNet>> = entries.map(network).collect();
    networks.unwrap_or_else(|| {
        let fix = "networks separated by commas (10.0.0.0/8, 192.168.7.9, fd00::/8)";
        checker.mistake(name, Some(text), fix);
        Vec::new()
    })
}

fn network(text: &str) -> Option<IpNet> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Some(network.trunc());
    }
    match text.trim_matches(['[', ']']).parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => Ipv4Net::new(address, 32).ok().map(IpNet::V4),
        IpAddr::V6(address) => Ipv6Net::new(address, 128).ok().map(IpNet::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(denied: &[&str], allowed: &[&str]) -> Networks {
        let read = |texts: &[&str]| texts.iter().map(|text| network(text).unwrap()).collect();
        Networks::new(read(denied), read(allowed))
    }

    fn is_called(networks: &Networks, address: &str) -> bool {
        networks.check(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn metadata_and_link_local_addresses_are_denied_by_default() {
        assert_eq!(networks(&[], &[]).denied.len(), DENIED.len());
        let networks = Networks::default();
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
        ] {
            assert!(!is_called(&networks, address), "{address}");
        }
        for address in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.0.2.1",
            "2001:db8::1",
            "fd00::1",
        ] {
            assert!(is_called(&networks, address), "{address}");
        }
    }

    #[test]
    fn the_longest_network_decides() {
        let networks = networks(
            &["10.0.0.0/8"],
            &["10.1.0.0/16", "192.0.2.0/24", "169.254.7.1"],
        );
        for (address, expected) in [
            ("10.1.2.3", true),
            ("10.2.0.1", false),
            ("192.0.2.9", true),
            ("198.51.100.1", false),
            ("169.254.7.1", true),
            ("169.254.7.2", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_called(&networks, address), expected, "{address}");
        }
    }

    #[test]
    fn on_equal_length_the_denial_wins() {
        let networks = networks(&["10.0.0.0/8"], &["10.0.0.0/8", "0.0.0.0/0"]);
        assert!(!is_called(&networks, "10.0.0.1"));
        assert!(is_called(&networks, "11.0.0.1"));
        assert!(
            !is_called(&networks, "169.254.0.1"),
            "shorter than the default"
        );
    }

    #[test]
    fn a_denial_names_the_network_and_the_variable() {
        let denied = Networks::default().check("169.254.169.254".parse().unwrap());
        let text = denied.unwrap_err().to_string();
        assert!(text.contains("169.254.0.0/16"), "{text}");
        assert!(text.contains("OUTBOUND_ALLOW_NETWORKS"), "{text}");
    }
}
