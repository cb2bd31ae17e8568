//! Ports for servers that are stopped and started again. They are taken from
//! below the range that the system gives to outgoing connections: while such a
//! server is down, another process' connection could be given its port (or a
//! client that tries to reach it could even connect to itself), and the server
//! could not come back.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use parking_lot::Mutex;
use rand::Rng;

/// Linux gives outgoing connections 32768 and above.
const RANGE: Range<u16> = 12_000..32_000;
const ATTEMPTS: usize = 1000;

/// What this process has given away. Another of its networks gets none of these:
/// the server that has it may be down for a moment only.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port of the loopback interface that this process has not given away before,
/// kept until the listener is dropped.
///
/// # Errors
/// When none can be had.
pub fn reserve() -> io::Result<TcpListener> {
    let mut last_error = None;
    for _ in 0..ATTEMPTS {
        let port = rand::rng().random_range(RANGE);
        if GIVEN.lock().contains(&port) {
            continue;
        }
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => {
                GIVEN.lock().insert(port);
                return Ok(listener);
            }
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error.unwrap_or_else(|| io::Error::other("no port was tried")))
}

/// A port of the loopback interface that is free now.
///
/// # Errors
/// When none can be had.
pub fn free() -> io::Result<u16> {
    Ok(reserve()?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_none_that_an_outgoing_connection_could_take() {
        let one = reserve().unwrap().local_addr().unwrap().port();
        assert!(RANGE.contains(&one));
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let lowest: u16 = text.split_whitespace().next().unwrap().parse().unwrap();
        assert!(RANGE.end <= lowest);
    }
    #[test]
    fn no_port_is_given_away_twice() {
        let given: BTreeSet<u16> = (0..500).map(|_| free().unwrap()).collect();
        assert_eq!(given.len(), 500);
    }
}
