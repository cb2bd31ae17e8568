//! The sockets of one listener: one for each of its addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the system has accepted and nobody has taken yet.
const BACKLOG: i32 = 1024;

/// Bound sockets, at least one, that listen.
#[derive(Debug)]
pub struct Sockets {
    pub(super) bound: Vec<TcpListener>,
}

impl Sockets {
    /// Listens at these addresses; port 0 picks a free one, the same for all.
    /// An address of a family that this machine does not have is left out,
    /// unless it is the only one. All of IPv6 means all of IPv4 too.
    ///
    /// # Errors
    /// An address is in use, or not ours.
    pub fn bind(addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut bound: Vec<TcpListener> = Vec::new();
        let mut missing = None;
        for address in addresses {
            let mut address = *address;
            if address.port() == 0
                && let Some(first) = bound.first()
            {
                address.set_port(first.local_addr()?.port());
            }
            match listen(address) {
                Ok(socket) => bound.push(socket),
                Err(error) if is_of_family(&error) => missing = Some((address, error)),
                Err(error) => return Err(named(address, &error)),
            }
        }
        match (bound.is_empty(), missing) {
            (true, Some((address, error))) => Err(named(address, &error)),
            (true, None) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no address to listen on",
            )),
            (false, _) => Ok(Self { bound }),
        }
    }

    /// The first address, with its port.
    pub fn address(&self) -> SocketAddr {
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let first = self
            .bound
            .first()
            .and_then(|socket| socket.local_addr().ok());
        first.unwrap_or(unknown)
    }

    /// For another thread.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn try_clone(&self) -> io::Result<Self> {
        let clones = self.bound.iter().map(TcpListener::try_clone);
        let bound = clones.collect::<Result<_, _>>()?;
        Ok(Self { bound })
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let is_everywhere = address.is_ipv6() && address.ip().is_unspecified();
    match listen_at(address) {
        // A machine without IPv6 has all of IPv4.
        Err(error) if is_everywhere && is_of_family(&error) => {
            listen_at((IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()).into())
        }
        bound => bound,
    }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The machine does not have the address's family, or no address of it.
fn is_of_family(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL))
}

fn named(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn sockets(addresses: &[&str]) -> Sockets {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        Sockets::bind(&addresses.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn all_of_ipv6_is_all_of_ipv4_too() {
        let port = sockets(&["[::]:0"]).address().port();
        let sockets = sockets(&[&format!("[::]:{port}")]);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        if TcpListener::bind("[::1]:0").is_ok() {
            assert!(TcpStream::connect(("::1", port)).is_ok());
        }
        drop(sockets);
    }

    #[test]
    fn several_addresses_have_one_port_and_no_other_address_is_served() {
        let sockets = sockets(&["127.0.0.2:0", "127.0.0.3:0"]);
        let port = sockets.address().port();
        for (host, is_served) in [
            ("127.0.0.2", true),
            ("127.0.0.3", true),
            ("127.0.0.1", false),
        ] {
            assert_eq!(
                TcpStream::connect((host, port)).is_ok(),
                is_served,
                "{host}"
            );
        }
    }

    #[test]
    fn a_taken_address_is_named() {
        let taken = sockets(&["127.0.0.1:0"]);
        let address = taken.address();
        let error = Sockets::bind(&[address]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
