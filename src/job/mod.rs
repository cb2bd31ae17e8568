//! Everything a node does is a job: an API call, a message, a block's effect, a
//! timer, a transaction to broadcast, a message to send, a callback to deliver
//! (docs/architecture.md). A handler reads and returns a [`Commit`]. The store
//! applies it and ends the job in one atomic step.

mod attempt;
mod caller;
pub mod codec;
mod commit;
#[cfg(test)]
pub(crate) mod golden;
mod handler;
mod kind;
mod kinds;
pub mod noop;
mod request_key;
mod run;
mod stored;
mod tables;
pub mod trace;

pub use attempt::{Attempt, Epoch};
pub use caller::Caller;
pub use commit::{Column, Commit, Guard, JobOutcome, Row, Write};
pub use handler::Handler;
pub use kind::{Class, GAUGES, Gauge, Kind, Pool, Spec};
pub use kinds::{Kinds, KindsError};
pub use request_key::{is_of_request, request_key, request_of};
pub use run::{Run, Runner};
pub use stored::{Stored, StoredAsJson};
pub(crate) use stored::{sent, stored, stored_as_json};
pub use tables::{Table, Tables, TablesError};
pub use trace::TraceContext;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Time-ordered unique id of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(Uuid);

impl JobId {
    /// A new id; later ids sort after earlier ones (UUIDv7).
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The 16 bytes of the id, as stored and sent.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id of a companion job. The first id is enough to cancel the companion.
    pub fn partner(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128() ^ 1))
    }

    /// `None` unless there are 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Milliseconds since the Unix epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Millis(pub u64);

impl Millis {
    /// The time of the wall clock.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self(since_epoch.as_millis() as u64)
    }

    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis() as u64))
    }

    /// How long until `later`; zero if it has passed.
    pub fn until(self, later: Millis) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }

    /// Whether this instant has come, which was planned `pause` ahead. An
    /// instant further ahead than that means that the clock was set back since.
    pub fn has_come(self, now: Millis, pause: Duration) -> bool {
        self <= now || self > now.after(pause)
    }
}

/// A job that a handler, an API call or the master wants to be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NewJob {
    /// The maker chooses it, so that it can cancel a timer.
    pub id: JobId,
    pub kind: Kind,
    /// Jobs of one key run one at a time, in the order they were accepted.
    pub key: Arc<str>,
    /// In the form of [`codec`].
    #[serde(with = "codec::bytes")]
    pub payload: Vec<u8>,
    /// The same source is accepted once within the store's retention
    /// ([`crate::store::SOURCE_RETENTION`]).
    pub source: Option<String>,
    /// The job does not start before this instant. It takes its place in its
    /// key's order when it comes due.
    pub not_before: Option<Millis>,
    /// The job does not start before the node has seen a block above this
    /// height (spec/flows.md 1.5). It takes its place in its key's order then.
    pub after_height: Option<u64>,
    /// The era of `after_height` ([`crate::ledger::follow::Progress::era`]):
    /// once the ledger has been replaced, old heights mean nothing and the job
    /// waits no longer.
    pub era: u64,
    /// The job is given up after this instant.
    pub deadline: Option<Millis>,
    /// The trace that it belongs to: that of the work which made it.
    pub trace: Option<TraceContext>,
}

impl NewJob {
    /// A job that may run at once.
    pub fn new<P: Stored>(kind: Kind, key: impl Into<Arc<str>>, payload: &P) -> Self {
        Self {
            id: JobId::generate(),
            kind,
            key: key.into(),
            payload: codec::encode(payload),
            source: None,
            not_before: None,
            after_height: None,
            era: 0,
            deadline: None,
            trace: trace::current(),
        }
    }

    /// Sets the idempotency key.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets the earliest start.
    pub fn not_before(mut self, instant: Millis) -> Self {
        self.not_before = Some(instant);
        self
    }

    /// Holds the job until a block above `height` has been seen.
    pub fn after_height(mut self, height: u64) -> Self {
        self.after_height = Some(height);
        self
    }

    /// Sets the era of the height.
    pub fn of_era(mut self, era: u64) -> Self {
        self.era = era;
        self
    }

    /// Sets the instant after which the job is given up.
    pub fn deadline(mut self, instant: Millis) -> Self {
        self.deadline = Some(instant);
        self
    }
}

impl NewJob {
    /// The receiver of a delivery; `None` for the node's own work.
    pub fn receiver(&self) -> Option<&str> {
        (self.kind.pool() == Pool::Delivery).then(|| receiver_of(&self.key))
    }

    /// The sender in whose line a message waits; `None` for everything else.
    pub fn sender(&self) -> Option<&str> {
        let is_message = self.kind.is_shared_by_senders();
        is_message.then(|| receiver_of(&self.key))
    }
}

/// The keys of messages from other nodes begin with this.
const MESSAGE: &str = "receive";

/// The key of a message from another node. Messages of one sender share its
/// part of the credit. The sender is not verified.
pub fn message_key(sender: &str, message: &str) -> String {
    delivery_key(MESSAGE, sender, message)
}

/// Whether this is the key of a message from another node.
pub fn is_of_message(key: &str) -> bool {
    let rest = key.strip_prefix(MESSAGE);
    rest.is_some_and(|rest| rest.starts_with(':'))
}

/// The key of a delivery: what is delivered, to whom, and in which order.
/// Deliveries to one receiver share its part of the credit.
pub fn delivery_key(what: &str, receiver: &str, order: &str) -> String {
    format!("{what}:{} {order}", receiver.replace(' ', "%20"))
}

/// The receiver of a delivery: the part of its key before the first space. A
/// key without a space is a receiver itself.
pub fn receiver_of(key: &str) -> &str {
    key.split_once(' ').map_or(key, |(receiver, _)| receiver)
}

/// An accepted job, as the store and the dispatcher know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Job {
    pub new: NewJob,
    /// Place in the node's order of acceptance. The store assigns it, from 1.
    pub seq: u64,
    /// `seq` of the last open job of the same key at the time of acceptance; 0
    /// if there was none. The job starts only when that predecessor has ended.
    /// Jobs accepted with `not_before` or `after_height` have no predecessor
    /// and are no predecessor of others.
    pub prev: u64,
    /// The fence: a commit with a lower attempt than the stored one is refused.
    /// 1 when accepted; raised only when a worker is given up, or when an
    /// operator runs a parked or failed job again.
    pub attempt: u32,
    /// How often the job was rescheduled after a failure or a panic.
    pub tries: u32,
    /// Panics of its handler and losses of its worker in a row.
    /// [`crate::store::MAX_STRIKES`] of them park the job. A reschedule that
    /// the handler asks for resets them.
    pub strikes: u32,
    /// Whether it waits for an operator. It keeps its place and blocks its own
    /// key only.
    pub parked: bool,
    pub accepted_at: Millis,
}

impl Job {
    pub fn id(&self) -> JobId {
        self.new.id
    }

    pub fn kind(&self) -> Kind {
        self.new.kind
    }

    pub fn key(&self) -> &str {
        &self.new.key
    }

    /// Whether it must run on a worker that runs no other such job, because it
    /// has panicked or was lost with its worker more than once. So a job that
    /// kills its workers does not get its neighbours parked.
    pub fn runs_apart(&self) -> bool {
        self.strikes > 1
    }

    pub fn payload<P: Stored>(&self) -> Result<P, codec::DecodeError> {
        codec::decode(&self.new.payload)
    }
}
