//! Connections between workers and masters: in order and without loss while
//! they live, like gRPC's; what is under way is lost with them.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use crate::dispatch::SessionId;
use crate::protocol::message::{FromMaster, FromWorker};

use super::choice::{LinkNo, Side};

/// When a message was sent, relative to others; not part of the world's state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent(u64);

impl PartialEq for Sent {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Sent {}

impl Hash for Sent {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SimulatedLink {
    pub(super) worker: usize,
    pub(super) master: usize,
    /// The master's name for it, from the worker's introduction on.
    pub(super) session: Option<SessionId>,
    pub(super) up: VecDeque<(Sent, FromWorker)>,
    pub(super) down: VecDeque<(Sent, FromMaster)>,
    pub(super) worker_open: bool,
    pub(super) master_open: bool,
    cut: bool,
    half_open: bool,
}

impl SimulatedLink {
    pub(super) fn is_open(&self, side: Side) -> bool {
        match side {
            Side::Worker => self.worker_open,
            Side::Master => self.master_open,
        }
    }

    /// Whether this end can learn that the connection is gone: it was cut, or
    /// the other end closed it and everything it sent before has been read.
    pub(super) fn can_notice(&self, side: Side) -> bool {
        let (open, other_open, all_read) = match side {
            Side::Worker => (self.worker_open, self.master_open, self.down.is_empty()),
            Side::Master => (self.master_open, self.worker_open, self.up.is_empty()),
        };
        open && !self.half_open && (self.cut || (!other_open && all_read))
    }

    /// Whether nothing arrives any more and neither end is told.
    pub(super) fn is_dead(&self, side: Side) -> bool {
        self.half_open && self.is_open(side)
    }

    fn carries(&self) -> bool {
        !self.cut && !self.half_open && self.worker_open && self.master_open
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct SimulatedNetwork {
    pub(super) links: BTreeMap<LinkNo, SimulatedLink>,
    /// Orders messages in time, to see which overtakes which.
    sent: Sent,
}

impl SimulatedNetwork {
    pub(super) fn connect(&mut self, worker: usize, master: usize, hello: FromWorker) -> LinkNo {
        let mut no = LinkNo(worker, 0);
        while self.links.contains_key(&no) {
            no.1 += 1;
        }
        let link = SimulatedLink {
            worker,
            master,
            session: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            worker_open: true,
            master_open: true,
            cut: false,
            half_open: false,
        };
        self.links.insert(no, link);
        self.send_up(no, hello);
        no
    }

    /// False if the message is lost.
    pub(super) fn send_up(&mut self, no: LinkNo, message: FromWorker) -> bool {
        self.sent.0 += 1;
        let sent = self.sent;
        match self.links.get_mut(&no) {
            Some(link) if link.carries() => {
                link.up.push_back((sent, message));
                true
            }
            _ => false,
        }
    }

    /// False if the message is lost.
    pub(super) fn send_down(&mut self, no: LinkNo, message: FromMaster) -> bool {
        self.sent.0 += 1;
        let sent = self.sent;
        match self.links.get_mut(&no) {
            Some(link) if link.carries() => {
                link.down.push_back((sent, message));
                true
            }
            _ => false,
        }
    }

    /// Whether this message overtakes one that was sent earlier and is under way.
    pub(super) fn overtakes(&self, sent: Sent) -> bool {
        self.links.values().any(|link| {
            let up = link.up.front().is_some_and(|(first, _)| first.0 < sent.0);
            let down = link.down.front().is_some_and(|(first, _)| first.0 < sent.0);
            up || down
        })
    }

    /// One end closes the connection; what it has sent is still under way.
    pub(super) fn close(&mut self, no: LinkNo, side: Side) {
        let Some(link) = self.links.get_mut(&no) else {
            return;
        };
        match side {
            Side::Worker => {
                link.worker_open = false;
                link.down.clear();
            }
            Side::Master => {
                link.master_open = false;
                link.up.clear();
            }
        }
        if !link.worker_open && !link.master_open {
            self.links.remove(&no);
        }
    }

    /// Cuts the connection. Returns how many messages are lost with it.
    pub(super) fn cut(&mut self, no: LinkNo) -> usize {
        self.lose(no, |link| link.cut = true)
    }

    /// Lets nothing arrive any more. Returns how many messages are lost.
    pub(super) fn half_open(&mut self, no: LinkNo) -> usize {
        self.lose(no, |link| link.half_open = true)
    }

    fn lose(&mut self, no: LinkNo, how: impl FnOnce(&mut SimulatedLink)) -> usize {
        let Some(link) = self.links.get_mut(&no) else {
            return 0;
        };
        how(link);
        let lost = link.up.len() + link.down.len();
        link.up.clear();
        link.down.clear();
        lost
    }
}
