//! The one parser of addresses: `host`, `host:port`, `address`,
//! `[IPv6]`, `[IPv6]:port`, and IPv6 without brackets where no port follows.

use std::net::{IpAddr, Ipv6Addr};

/// Host and port, as an operator wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: Option<u16>,
}

impl Address {
    /// `None` for what is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = if is_v6(text) {
            (text, None)
        } else if let Some(rest) = text.strip_prefix('[') {
            let (host, port) = rest.split_once(']')?;
            if !is_v6(host) {
                return None;
            }
            match port {
                "" => (host, None),
                port => (host, Some(port.strip_prefix(':')?)),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let is_strange =
            |character: char| character.is_whitespace() || "/@?#:[]".contains(character);
        if host.is_empty() || (host.contains(is_strange) && !is_v6(host)) {
            return None;
        }
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
            None => None,
        };
        let host = host.to_owned();
        Some(Self { host, port })
    }

    /// A host alone.
    pub fn parse_host(text: &str) -> Option<String> {
        let address = Self::parse(text)?;
        address.port.is_none().then_some(address.host)
    }
}

/// Also with a zone: `fe80::1%eth0`.
fn is_v6(text: &str) -> bool {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(|zone| !zone.is_empty())
}

/// Host and port as URLs and logs have them.
pub fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// An address to listen on, with or without brackets.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    Address::parse_host(text)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Option<u16>)> {
        Address::parse(text).map(|address| (address.host, address.port))
    }

    #[test]
    fn addresses_are_read_in_every_form() {
        for (text, host, port) in [
            ("master", "master", None),
            ("master:7001", "master", Some(7001)),
            ("10.0.0.2", "10.0.0.2", None),
            ("10.0.0.2:7001", "10.0.0.2", Some(7001)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:7001", "::1", Some(7001)),
            ("2001:db8::7", "2001:db8::7", None),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("[fe80::1%eth0]:80", "fe80::1%eth0", Some(80)),
        ] {
            assert_eq!(parsed(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in [
            "", ":7000", "a b", "http://a", "user@a", "a:0", "a:70000", "a:b:c", "[a]:1", "[::1",
            "[::1]7", "a/b", "[]", "fe80::1%",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(Address::parse_host("[::1]").as_deref(), Some("::1"));
        assert_eq!(Address::parse_host("[::1]:80"), None);
    }

    #[test]
    fn an_address_is_written_as_urls_have_it() {
        assert_eq!(authority("::1", 80), "[::1]:80");
        assert_eq!(authority("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(authority("name", 80), "name:80");
    }
}
