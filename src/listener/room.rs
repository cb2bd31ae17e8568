//! The guests of a port. A guest that is being served is never sent away. When
//! somebody else comes, the idle guest that has been silent longest goes first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

/// A guest heard of within this time is not sent away: it may be reading an
/// answer.
const RECENT: Duration = Duration::from_millis(100);
/// How often a waiting connection checks whether a guest has become idle.
const LOOK: Duration = Duration::from_millis(50);

/// Limits for the guests of a port.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Name in metrics.
    pub name: &'static str,
    /// Most connections.
    pub most: usize,
    /// How long a guest may be idle while it is not being served.
    pub patience: Duration,
    /// Whether moving bytes count as activity, or only calls.
    pub bytes_count: bool,
}

/// The guests of a port, for all threads that accept there.
#[derive(Clone)]
pub struct Room {
    inner: Arc<Inner>,
}

struct Inner {
    rules: Rules,
    opened: Instant,
    guests: Mutex<Guests>,
    /// A guest has left.
    left: Notify,
}

#[derive(Default)]
struct Guests {
    next: u64,
    present: HashMap<u64, Arc<Guest>>,
}

/// One connection, as the room sees it.
#[derive(Debug)]
pub struct Guest {
    opened: Instant,
    /// Time of its last activity, in milliseconds since `opened`.
    last: AtomicU64,
    calls: AtomicUsize,
    must_go: AtomicBool,
    task: AtomicWaker,
}

impl Guest {
    fn new(opened: Instant) -> Self {
        let guest = Self {
            opened,
            last: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
            must_go: AtomicBool::new(false),
            task: AtomicWaker::new(),
        };
        guest.note();
        guest
    }

    fn elapsed(&self) -> u64 {
        self.opened.elapsed().as_millis() as u64
    }

    fn note(&self) {
        self.last.store(self.elapsed(), Ordering::Relaxed);
    }

    /// Serves it until the returned value is dropped.
    pub fn begin(self: &Arc<Self>) -> Serving {
        self.calls.fetch_add(1, Ordering::AcqRel);
        Serving(self.clone())
    }

    fn silent_for(&self) -> Duration {
        let silent = self
            .elapsed()
            .saturating_sub(self.last.load(Ordering::Relaxed));
        Duration::from_millis(silent)
    }

    /// `None` while it is being served.
    fn idle_for(&self) -> Option<Duration> {
        let is_served = self.calls.load(Ordering::Acquire) > 0;
        (!is_served).then(|| self.silent_for())
    }

    fn send_away(&self) {
        self.must_go.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// A guest is being served while this lives.
#[derive(Debug)]
pub struct Serving(Arc<Guest>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.note();
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Room {
    pub fn new(rules: Rules) -> Self {
        metrics::gauge!("erawan_connections_limit", "port" => rules.name).set(rules.most as f64);
        Self {
            inner: Arc::new(Inner {
                rules,
                opened: Instant::now(),
                guests: Mutex::default(),
                left: Notify::new(),
            }),
        }
    }

    pub fn guests(&self) -> usize {
        self.inner.guests.lock().present.len()
    }

    /// Takes a place. If none is free, sends the guest away that has been idle
    /// longest, and waits while all are being served.
    pub async fn enter(&self) -> Visit {
        loop {
            let left = self.inner.left.notified();
            if let Some(visit) = self.inner.let_in() {
                return visit;
            }
            if self.inner.send_oldest_away() {
                let name = self.inner.rules.name;
                metrics::counter!("erawan_connections_sent_away_total", "port" => name)
                    .increment(1);
            }
            // Either may come first.
            let _ = timeout(LOOK, left).await;
        }
    }

    /// Sends every guest away that is not being served, and waits until none is
    /// left. For a port that is closed already. The caller sets a time limit.
    pub async fn empty(&self) {
        loop {
            let left = self.inner.left.notified();
            {
                let guests = self.inner.guests.lock();
                if guests.present.is_empty() {
                    return;
                }
                let idle = |guest: &&Arc<Guest>| guest.idle_for() >= Some(RECENT);
                guests
                    .present
                    .values()
                    .filter(idle)
                    .for_each(|guest| guest.send_away());
            }
            let _ = timeout(LOOK, left).await;
        }
    }
}

impl Inner {
    fn let_in(self: &Arc<Self>) -> Option<Visit> {
        let mut guests = self.guests.lock();
        if guests.present.len() >= self.rules.most {
            return None;
        }
        let id = guests.next;
        guests.next += 1;
        let guest = Arc::new(Guest::new(self.opened));
        guests.present.insert(id, guest.clone());
        drop(guests);
        metrics::gauge!("erawan_connections", "port" => self.rules.name).increment(1.0);
        Some(Visit {
            room: self.clone(),
            id,
            guest,
        })
    }

    /// False if all guests are being served or are leaving.
    fn send_oldest_away(&self) -> bool {
        let guests = self.guests.lock();
        let stays = guests
            .present
            .values()
            .filter(|guest| !guest.must_go.load(Ordering::Acquire));
        let idle = stays.filter_map(|guest| Some((guest.idle_for()?, guest)));
        let oldest = idle.max_by_key(|(idle, _)| *idle);
        match oldest {
            Some((idle, guest)) if idle >= RECENT => {
                guest.send_away();
                true
            }
            _ => false,
        }
    }
}

/// A place in a room, returned when it is dropped.
pub struct Visit {
    room: Arc<Inner>,
    id: u64,
    guest: Arc<Guest>,
}

impl Visit {
    pub fn guest(&self) -> &Arc<Guest> {
        &self.guest
    }

    /// Notes that bytes have moved.
    pub(super) fn note_bytes(&self) {
        if self.room.rules.bytes_count {
            self.guest.note();
        }
    }

    /// Whether the guest has to leave. If not, wakes `waker` once it has to.
    pub(super) fn must_go(&self, waker: &Waker) -> bool {
        self.guest.task.register(waker);
        self.guest.must_go.load(Ordering::Acquire)
    }

    /// How long the guest may still be idle; zero if its time is up.
    pub(super) fn patience(&self) -> Duration {
        let idle = self.guest.idle_for().unwrap_or_default();
        self.room.rules.patience.saturating_sub(idle)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.room.guests.lock().present.remove(&self.id);
        metrics::gauge!("erawan_connections", "port" => self.room.rules.name).decrement(1.0);
        self.room.left.notify_waiters();
    }
}
