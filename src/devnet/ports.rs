//! Ports for servers that are stopped and restarted. They lie below the range
//! that the system uses for outgoing connections. Otherwise, while such a
//! server is down, another process's connection could get its port (or a client
//! that tries to reach it could even connect to itself), and the server could
//! not come back.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;

use parking_lot::Mutex;
use rand::Rng;

/// Linux uses 32768 and above for outgoing connections.
const RANGE: Range<u16> = 12_000..32_000;
/// Ports that a process sets aside for itself at a time.
const BLOCK: u16 = 500;
const BLOCKS: u16 = (RANGE.end - RANGE.start) / BLOCK;

/// The blocks of this process; ports come from the last one. None is given
/// twice: the server that has it may be down for a moment only.
static OWN: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// Ports that nothing else uses: neither another network of this process nor
/// another process of this machine (`erawan demo` beside a test, say).
struct Block {
    left: Range<u16>,
    /// UDP disturbs none of the servers, and the system releases it however
    /// this process ends.
    _claim: UdpSocket,
}

impl Block {
    /// Claims a free block. The search begins anywhere.
    fn claim() -> io::Result<Self> {
        let begin = rand::rng().random_range(0..BLOCKS);
        let blocks = (0..BLOCKS).map(|index| (begin + index) % BLOCKS);
        let mut firsts = blocks.map(|block| RANGE.start + block * BLOCK);
        let claimed = firsts.find_map(|first| {
            let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
            Some(Self {
                left: first..first + BLOCK,
                _claim: claim,
            })
        });
        claimed.ok_or_else(|| io::Error::other("other processes have every port"))
    }

    /// The next port without a listener; `None`: none is left.
    fn next(&mut self) -> Option<TcpListener> {
        let left = self.left.by_ref();
        left.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
    }
}

/// A port of the loopback interface that neither this process nor another has
/// used before, kept until the listener is dropped.
/// # Errors
/// When none is free.
pub fn reserve() -> io::Result<TcpListener> {
    let mut own = OWN.lock();
    loop {
        if let Some(listener) = own.last_mut().and_then(Block::next) {
            return Ok(listener);
        }
        own.push(Block::claim()?);
    }
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
    use std::collections::BTreeSet;

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

    /// A block that is claimed is claimed for every process.
    #[test]
    fn no_two_blocks_have_a_port_in_common() {
        let blocks = [(); 3].map(|()| Block::claim().unwrap());
        let firsts: BTreeSet<u16> = blocks.iter().map(|block| block.left.start).collect();
        assert_eq!(firsts.len(), blocks.len());
        for Block { left, .. } in blocks {
            assert!(RANGE.start <= left.start && left.end <= RANGE.end);
            assert_eq!((left.start - RANGE.start) % BLOCK, 0);
        }
    }
}
